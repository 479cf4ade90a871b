"""The work behind the dock "Train": labels, summary, start and stop, previews, bundles."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from psygnal import Signal
from qtpy.QtCore import QObject

from napari_gliocam.case import Case
from napari_gliocam.errors import GliocamError
from napari_gliocam.io.naming import safe_name
from napari_gliocam.nets.bundle_info import bundled_path, read_bundle_info
from napari_gliocam.nets.library import bundles_folder, list_bundles, remove_bundle, rename_bundle
from napari_gliocam.nets.segmenters.design import Architecture
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.train.labels.tag_file import FILE_NAME
from napari_gliocam.train.labels.tags import Tags
from napari_gliocam.train.recipe.choice import TrainingChoice, recipe_of_choice
from napari_gliocam.train.recipe.segmenter import SegmenterRecipe, read_segmenter_recipe
from napari_gliocam.train.recipe.toml_file import recipe_values
from napari_gliocam.train.run.events import BetterWeights, End, Event, Note, TrainingReport
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.ui.jobs import work
from napari_gliocam.ui.jobs.engine import Job, Work, engine
from napari_gliocam.ui.jobs.open_path import LabelsAlone, read_path
from napari_gliocam.ui.jobs.work import SegmentOutcome
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.train import work as train_work
from napari_gliocam.ui.train.process import TrainProcess, unfinished
from napari_gliocam.ui.train.tagging import Tagging
from napari_gliocam.ui.viewer import layer_data
from napari_gliocam.ui.viewer.session import DockSession
from napari_gliocam.wording import counted

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

#: Between two segmentations with the newest weights, in seconds: they slow the training down.
_PREVIEW_EVERY = 30.0
#: Least Dice of the two masks of a slice that is learned from.
_AGREEMENT = 0.6


@dataclass(frozen=True)
class Choices:
    """The choices of a user.

    Parameters
    ----------
    training : TrainingChoice
        Choices of the training.
    name : str
        Of the new bundle.
    case_names : bool
        Whether names and pictures of validation patients go into the bundle's folder.
    network : str or None
        Architecture of a segmentation network that learns from masks; None trains the networks of
        the maps.
    masks : Path or None
        Folder of its masks; None: those that *Check* makes.
    agreement : bool
        Whether *Check* makes second masks by a dense CRF, and slices whose two masks disagree take
        no part.
    """

    training: TrainingChoice
    name: str
    case_names: bool = True
    network: Architecture | None = None
    masks: Path | None = None
    agreement: bool = False


def segmenter_recipe(choices: Choices) -> SegmenterRecipe:
    """Return the recipe of a segmentation network with the values that a user changed."""
    assert choices.network is not None
    recipe, training = read_segmenter_recipe(), choices.training
    fit = replace(
        recipe.fit,
        epochs=training.epochs or recipe.fit.epochs,
        batch=training.batch or recipe.fit.batch,
        rate=training.rate or recipe.fit.rate,
    )
    return replace(
        recipe,
        fit=fit,
        data=replace(recipe.data, agreement=_AGREEMENT if choices.agreement else 0.0),
        network=replace(recipe.network, architecture=choices.network),
    )


class TrainSession(DockSession):
    """Tags slices, starts trainings, looks after bundles."""

    working = Signal(object)
    summarised = Signal(object)
    running = Signal(bool)
    event_received = Signal(object)
    #: A training that this window did not start: it goes on when the user agrees.
    resume_asked = Signal(object)
    pictures_made = Signal(object)
    #: Tags from masks, and how many of those that are there differ from them.
    derived = Signal(object, int)
    resumable = Signal(object)
    bundles_changed = Signal(object)

    def __init__(self, viewer: ViewerModel, parent: QObject, folder: Path | None = None) -> None:
        super().__init__(viewer, parent)
        self.folder = folder or bundles_folder()
        self.tagging = Tagging(self.viewer, self.state)
        self.process = TrainProcess(parent)
        self.process.event_received.connect(self._on_event)
        self.tagging.said.connect(self.say)
        self.preview = True
        self._previewed = 0.0
        self._started: set[Path] = set()

    # ---- start and end

    def start(self) -> None:
        """Look for bundles, and for a training that runs or was broken off."""
        if self.state.bundle is None:
            self.state.bundle = read_bundle_info(None)
        self.show_bundles()
        self._look_for_unfinished()

    def on_close(self, restore: bool) -> None:
        """Look away from the training, which works on."""
        self.process.close()
        self.tagging.close()

    # ---- cases and tags

    def open_folder(self, folder: str | Path, labels: str | Path | None = None) -> Job:
        """Look through a folder of cases; tags go to ``labels``, beside the cases by default."""
        folder = Path(folder)
        file = Path(labels) if labels is not None else folder / FILE_NAME
        self.say(f"Looking for cases in {folder.name}…")
        return self.jobs.run(
            "open the cases", partial(train_work.look_through, folder, file), self._on_found
        )

    def _on_found(self, found: train_work.Found) -> None:
        self.said.emit(None)
        self.tagging.take(found)
        if not found.cases:
            self.say(f"There is no case in {found.folder}; choose another folder.", "warning")
        if found.warnings:
            self.say(" ".join(found.warnings), "warning")

    def load_labels(self, file: str | Path) -> Job | None:
        """Read tags from a csv, and go on in it."""
        folder = self.tagging.folder
        return None if folder is None else self.open_folder(folder, file)

    def open_by_name(self, name: str) -> Job | None:
        """Show a case of the folder, to tag its slices."""
        source = self.tagging.source(name)
        if source is None:
            return None
        self.say(f"Opening {name}…")
        return self.jobs.run("open", partial(read_path, source), self._on_opened)

    def _on_opened(self, found: OpenCase | LabelsAlone) -> None:
        if isinstance(found, LabelsAlone):
            return
        self.said.emit(None)
        opened = self.layers.open(found)
        if opened is not found:
            self.state.current = opened
            self.layers.focus(opened)
        else:
            if self.state.panels == 0:  # no panel follows the layers
                self.state.open_cases = self.layers.open_cases()
                self.state.current = opened
            if opened.case.warnings:
                self.say(" ".join(opened.case.warnings), "warning")
        self.tagging.look()

    def derive(self, choices: Choices | None = None) -> Job | None:
        """Tag every slice of the cases that have expert labels."""
        if self.tagging.folder is None or self.jobs.running("work"):
            return None
        request = self.request(choices or Choices(TrainingChoice(), "derive"))
        derive = partial(train_work.derive, request)
        return self._work(derive, "Reading expert labels", self._on_derived)

    def _on_derived(self, tags: Tags) -> None:
        different = self.tagging.different(tags)
        if different:
            self.derived.emit(tags, different)
        else:
            self.take_derived(tags, overwrite=False)

    def take_derived(self, tags: Tags, *, overwrite: bool) -> None:
        """Add labels that come from masks.

        Parameters
        ----------
        tags : Tags
            Labels of slices.
        overwrite : bool
            Whether they replace labels given by hand that differ.
        """
        changed = self.tagging.merge(tags, overwrite=overwrite)
        self.say(
            f"{counted(changed, 'slice')} of {counted(len(tags.cases), 'case')} "
            f"{'was' if changed == 1 else 'were'} labelled from the masks."
        )

    # ---- a training

    def request(self, choices: Choices) -> TrainingRequest:
        """Return the request for a training."""
        bundle, labels = self.state.bundle, self.tagging.file
        path = None if bundle is None or bundle.path == bundled_path() else bundle.path
        cases = self.tagging.folder
        masks: Path | None = None
        second: Path | None = None
        recipe = recipe_values(recipe_of_choice(choices.training))
        if choices.network is not None:
            made = self.masks_of(cases or Path())
            masks = choices.masks or made
            second = made.with_name(f"{made.name}-crf") if choices.agreement else None
            recipe = recipe_values(segmenter_recipe(choices))
            labels = labels if labels is not None and labels.exists() else None
        return TrainingRequest(
            cases=str(cases or ""),
            out=str(self.folder / safe_name(choices.name)),
            recipe=recipe,
            labels=str(labels or ""),
            masks=str(masks or ""),
            second_masks=str(second or ""),
            cache="" if masks is None else str(masks / "slices"),
            bundle=str(path or ""),
            name=choices.name,
            device=self.state.device,
            case_names=choices.case_names,
        )

    def masks_of(self, cases: Path) -> Path:
        """Return the folder that *Check* puts the masks of a folder of cases into."""
        place = sha256(str(cases.absolute()).encode(errors="replace")).hexdigest()[:8]
        return self.folder.parent / "masks" / f"{safe_name(cases.name)}-{place}"

    def summarise(self, choices: Choices) -> Job | None:
        """Count cases and slices, and time a few steps; make masks where they are needed."""
        if self.jobs.running("work") or not self._ready(choices):
            return None
        request = self.request(choices)
        return self._work(
            partial(train_work.summarise, request),
            "Checking",
            lambda summary: self.summarised.emit(summary),
        )

    def show_mask(self, choices: Choices) -> Job | None:
        """Show the mask that the case in view would teach by; make it where it is missing."""
        opened = self.state.current
        if self.jobs.running("work") or not self._ready(choices):
            return None
        if opened is None:
            self.say("Open a case of the folder first: click its name in the list.", "warning")
            return None
        work = partial(train_work.showing_mask, self.request(choices), opened.case.name)
        return self._work(work, "Making the mask", self._on_mask)

    def _on_mask(self, file: Path) -> None:
        def read() -> list[Layer]:
            found = read_path(file)
            assert isinstance(found, LabelsAlone)  # a result of this program opens alone
            return layer_data.make_layers([layer_data.labels_alone_data(found)])

        self.jobs.run("mask", read, self.layers.add_labels, name="Show the mask")

    def train(self, choices: Choices) -> bool:
        """Start a training; return whether it was started."""
        request = self.request(choices)
        if not self._ready(choices) or self.process.running:
            return False
        if request.out_dir.exists() and any(request.out_dir.iterdir()):
            self.fail(
                f'There is a bundle "{choices.name}" already; give another name, or remove that '
                "one."
            )
            return False
        return self._run(request)

    def resume(self) -> bool:
        """Go on with the newest training that was broken off; ask where another window began it."""
        requests = unfinished(self.folder)
        if not requests or self.process.running:
            return False
        if requests[0].out_dir not in self._started:
            self.resume_asked.emit(requests[0])
            return False
        return self._run(requests[0])

    def resume_anyway(self, request: TrainingRequest) -> bool:
        """Go on with a training that another window began."""
        return not self.process.running and self._run(request)

    def stop(self) -> None:
        """Stop after the step under way; the best weights so far are kept."""
        self.process.stop()

    def _ready(self, choices: Choices) -> bool:
        if self.tagging.folder is None:
            self.say("Open a folder of cases first.", "warning")
            return False
        if choices.network is None and not len(self.tagging.tags):
            self.say("No slice is tagged yet; tag some, or take them from expert labels.")
            return False
        return True

    def _run(self, request: TrainingRequest) -> bool:
        try:
            self.process.start(request)
        except GliocamError as error:
            self.fail(str(error))
            return False
        self._started.add(request.out_dir)
        self.said.emit(None)
        self.resumable.emit(None)
        self.running.emit(True)
        return True

    def _look_for_unfinished(self) -> None:
        requests = unfinished(self.folder)
        if requests and self.process.attach(requests[0]):
            self.running.emit(True)
        else:
            self.resumable.emit(requests[0].name if requests else None)

    def _on_event(self, event: Event) -> None:
        self.event_received.emit(event)
        request = self.process.request
        assert request is not None
        if isinstance(event, BetterWeights):
            path = Path(event.path)
            if path.resolve().is_relative_to(request.out_dir.resolve()):
                self._show_newest(path)
        elif isinstance(event, Note):
            self.say(event.sentence, "warning")
        elif isinstance(event, TrainingReport) and event.note:
            self.say(event.note, "warning")
        elif isinstance(event, End):
            self.running.emit(False)
            self.show_bundles()
            if event.state == "failed":
                self.fail(event.sentence)
            elif event.state == "done":
                self.pictures_made.emit(request.out_dir / "pictures")
            self._look_for_unfinished()

    def _work(self, what: Work, name: str, done: Callable[..., object]) -> Job:
        """Run something long on the engine; one at a time."""
        self.said.emit(None)
        return self.jobs.run(
            "work",
            what,
            done,
            name=name,
            torch=True,
            shown=lambda progress: self.working.emit(progress),
        )

    # ---- the newest result on the open case

    def _show_newest(self, bundle: Path) -> None:
        opened = self.state.current
        late = time.monotonic() - self._previewed < _PREVIEW_EVERY
        if not self.preview or opened is None or late or self.state.running is not None:
            return
        if opened.kept is not None:  # another method's result was chosen by hand: it stays
            return
        if not engine().idle:
            return
        self._previewed = time.monotonic()
        case = opened.case
        request = replace(
            self.state.request_for(opened), bundle=bundle, refinement=Refinement.nothing()
        )
        self.jobs.run(
            "segment",
            partial(work.segment, case, request),
            partial(self._on_segmented, opened, case),
            torch=True,
        )

    def _on_segmented(self, opened: OpenCase, case: Case, made: SegmentOutcome) -> None:
        if opened not in self.layers.open_cases() or opened.kept is not None:
            return
        opened.take(case, made.maps)
        self.layers.show_result(opened)

    # ---- bundles

    def show_bundles(self) -> None:
        """Emit the bundles that there are."""
        self.bundles_changed.emit(list_bundles(self.folder))

    def use(self, folder: Path) -> None:
        """Take a bundle into use, in every panel of this viewer."""
        try:
            ships = folder.resolve() == bundled_path().resolve()
            self.state.bundle = read_bundle_info(None if ships else folder)
        except GliocamError as error:
            self.fail(str(error))
            return
        self.say(f"{self.state.bundle.name} is in use; click Segment to see what it finds.")
        self.show_bundles()

    def rename(self, folder: Path, name: str) -> None:
        """Call a bundle by another name."""
        self._change(lambda: rename_bundle(folder, name), folder)
        bundle = self.state.bundle
        if bundle is not None and bundle.path == folder:
            self.state.bundle = replace(bundle, name=name.strip())

    def remove(self, folder: Path) -> None:
        """Delete a bundle; the one that ships is used where it was in use."""
        used = self.state.bundle is not None and self.state.bundle.path == folder
        request = self.process.request if self.process.running else None
        if request is not None and request.out_dir == folder:
            self.fail("This bundle is being trained; stop that first.")
            return
        if self._change(lambda: remove_bundle(folder), folder) and used:
            self.use(bundled_path())
        self._look_for_unfinished()

    def _change(self, act: Callable[[], object], folder: Path) -> bool:
        try:
            act()
        except GliocamError as error:
            self.fail(str(error))
            return False
        finally:
            self.show_bundles()
        return True
