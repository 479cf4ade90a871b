"""One case of a study: every row's labels and scores, each network and map computed once."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.cams.compare.ensemble import PAPER_NAMES, Ensemble, combine_methods
from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
from napari_gliocam.case import Case
from napari_gliocam.colours import CONFUSION_COLOURS
from napari_gliocam.errors import CaseError
from napari_gliocam.io.atomic import write_files
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.measure.evaluation.baselines import baselines
from napari_gliocam.measure.evaluation.record import expert_labels
from napari_gliocam.measure.scores.confusion import CONFUSION_NAMES, confusion
from napari_gliocam.progress import Progress
from napari_gliocam.refine.ingredients import Ingredients
from napari_gliocam.refine.parameters import CRF_PRESETS, ComponentParameters, Refinement
from napari_gliocam.report.key_slices import KeySlice
from napari_gliocam.report.picture import draw_slice
from napari_gliocam.settings import Thresholds
from napari_gliocam.study.fields import BASELINES, SEGMENT, MapsChoice, Member, StudyRow
from napari_gliocam.study.scores import RowScores, score_target
from napari_gliocam.study.store import CaseScores, Setup
from napari_gliocam.targets import TUMOUR_ALONE, Target, mask_of

if TYPE_CHECKING:
    from napari_gliocam.cams.run.explain import Explaining
    from napari_gliocam.io import CaseFiles
    from napari_gliocam.maps.raw_maps import RawMaps
    from napari_gliocam.nets.bundle import Bundle

#: Threshold of a map where a row names none.
THRESHOLD = 0.5
#: Slices, rows and columns of BraTS, and what papers 4 and 5 take of them.
_BRATS_SHAPE = (155, 240, 240)
_BRATS_CROP = (slice(13, 141), slice(56, 184), slice(56, 184))
#: Bundles that a process keeps loaded.
_BUNDLES = 8


def running_case(
    files: CaseFiles, setup: Setup, *, pictured: bool = False
) -> Generator[Progress, None, CaseScores]:
    """Compute the rows of a case that are not stored yet, and store each when it is done.

    Parameters
    ----------
    files : CaseFiles
        The case, with expert labels.
    setup : Setup
        The study and its folder.
    pictured : bool
        Whether pictures are drawn.

    Returns
    -------
    CaseScores
        Of all rows; no image is read where they were all stored.

    Raises
    ------
    GliocamError
        The case cannot be read, has no expert labels or lacks a modality.
    """
    from napari_gliocam.io import read_case

    scores = CaseScores.read(setup, files)
    missing = scores.missing(setup, pictured=pictured)
    if not missing:
        return scores
    yield Progress(0, 1, "reading")
    case = read_case(files)
    expert = expert_labels(case)
    work = _CaseWork(case, setup)
    for number in _by_bundle(missing, setup):
        row, started = setup.study.rows[number], time.perf_counter()
        labels = yield from work.labels(row, missing)
        yield Progress(0, 1, f"scoring {row.title}")
        part = _crop(case, setup.study.crop)
        spacing, settings = case.grid.spacing, setup.study.evaluation
        targets = {
            target: score_target(labels[part], expert[part], target, spacing, settings)
            for target in setup.study.targets
        }
        if pictured:
            _draw(labels, expert, case, setup, number)
        seconds = round(time.perf_counter() - started + work.correction(row), 3)
        scores.rows[setup.keys[number]] = RowScores(targets, seconds)
        scores.write(setup)
    return scores


def _crop(case: Case, crop: str) -> tuple[slice, ...]:
    """Return the part of a case that is scored."""
    if not crop:
        return (slice(None),)
    if case.grid.shape != _BRATS_SHAPE:
        size = " × ".join(map(str, case.grid.shape))
        raise CaseError(
            f'"{case.name}" has {size} voxels, and the study scores a part of the 155 × 240 × 240 '
            'of BraTS; leave out crop = "brats".'
        )
    return _BRATS_CROP


def _by_bundle(numbers: Iterable[int], setup: Setup) -> list[int]:
    """Return rows in an order in which those of one bundle follow each other."""
    order = list(setup.bundles)
    rows = setup.study.rows
    return sorted(numbers, key=lambda n: (len(rows[n].members), _place(rows[n], order)))


def _place(row: StudyRow, order: list[str]) -> int:
    bundle = row.choices[0].bundle
    return order.index(bundle) if bundle in order else -1


@lru_cache(maxsize=_BUNDLES)
def _loaded(folder: Path) -> Bundle:
    from napari_gliocam.nets.bundle import load_bundle

    return load_bundle(folder)


@dataclass(eq=False)
class _CaseWork:
    """What rows of one case share: networks' maps, raw maps of methods, intensities."""

    case: Case
    setup: Setup
    segmented: dict[tuple[str, str], ClassMaps] = field(default_factory=dict)
    raw: dict[MapsChoice, RawMaps] = field(default_factory=dict)
    ingredients: Ingredients = field(default_factory=Ingredients)
    seconds: dict[MapsChoice, float] = field(default_factory=dict)
    made_now: float = 0.0

    def correction(self, row: StudyRow) -> float:
        """Return the time of a row's own maps less that of all maps that were made with it."""
        own = sum(self.seconds.pop(_choice(choice), 0.0) for choice in row.choices)
        made, self.made_now = self.made_now, 0.0
        return own - made

    @property
    def targets(self) -> tuple[Target, ...]:
        """Targets of the maps: tumour alone, or the classes."""
        asked = self.setup.study.targets
        return TUMOUR_ALONE if asked == TUMOUR_ALONE else ("core", "edema")

    def _bundle(self, name: str) -> Bundle:
        return _loaded(self.setup.bundle_of(name, self.case.name))

    def labels(
        self, row: StudyRow, missing: list[int]
    ) -> Generator[Progress, None, NDArray[np.uint8]]:
        """Return the labels of a row, (S, P, L); maps of all missing rows come with the first."""
        from napari_gliocam.segmentation import bundle_thresholds, labelling

        if not row.members and row.method in BASELINES:
            return baselines(self.case)[BASELINES[row.method]]
        for choice in row.choices:
            yield from self._make_maps(choice, missing)
        if not row.members and row.method == SEGMENT:
            maps = self.segmented[row.bundle, row.networks]
            usual = bundle_thresholds(self._bundle(row.bundle).info)
            tumour = usual.tumour_threshold if row.threshold is None else row.threshold
            classes = row.threshold if row.class_threshold is None else row.class_threshold
            thresholds = replace(
                usual,
                tumour_threshold=tumour,
                class_threshold=usual.class_threshold if classes is None else classes,
                exclusive=row.exclusive,
                gate=row.gate,
            )
        else:
            maps, threshold = self._maps(row)
            thresholds = Thresholds(threshold, threshold, row.exclusive, gate=False)
        segmentation = yield from labelling(
            maps,
            self.case,
            thresholds,
            refinement_of(row),
            ingredients=self.ingredients,
            device=self.setup.device,
        )
        return segmentation.labels

    def _maps(self, row: StudyRow) -> tuple[ClassMaps, float]:
        """Return the maps of a method or an ensemble as maps of a result, and their threshold."""
        maps = [self.raw[_choice(member)].class_maps() for member in row.choices]
        cuts = [THRESHOLD if c.threshold is None else c.threshold for c in row.choices]
        if not row.members:
            return maps[0].as_result(), cuts[0]
        rule = PAPER_NAMES.get(row.rule, cast("Any", row.rule))
        combined = combine_methods(row.name, maps, Ensemble(rule, row.votes), cuts)
        return combined.as_result(), THRESHOLD

    def _make_maps(self, choice: Member, missing: list[int]) -> Generator[Progress, None, None]:
        """Make the maps of a choice where they are not there, with all others of its bundle."""
        from napari_gliocam.segmentation import compute_maps

        name = choice.bundle
        bundle = self._bundle(name)
        wanted = [
            other
            for number in missing
            for other in self.setup.study.rows[number].choices
            if other.bundle == name and other.method not in BASELINES
        ]
        for networks in dict.fromkeys(c.networks for c in wanted if c.method == SEGMENT):
            if (name, networks) not in self.segmented:
                using = bundle.using(networks)
                maps = yield from compute_maps(self.case, bundle=using, device=self.setup.device)
                self.segmented[name, networks] = replace(maps, trace=None)
        plain = dict.fromkeys(_choice(other) for other in wanted if other.method != SEGMENT)
        choices = [c for c in plain if c not in self.raw]
        if choices:
            yield from self._explain(choices, bundle)

    def _explain(
        self, choices: list[MapsChoice], bundle: Bundle
    ) -> Generator[Progress, None, None]:
        """Run the methods of one bundle together, so that they share its features."""
        from napari_gliocam.cams.run.explain import explaining_together
        from napari_gliocam.cams.run.prepare import asking, preparing

        name = choices[0].bundle
        known = self.segmented.get((name, "maps")) or self.segmented.get((name, "bundle"))
        prepared = yield from preparing(self.case, bundle, self.setup.device, maps=known)
        if any(choice.gate for choice in choices):
            prepared = yield from asking(prepared, self.targets)
        works = {choice: _explaining(choice, prepared, self.targets) for choice in choices}
        yield from explaining_together(list(works.values()))
        for choice, work in works.items():
            assert work.raw is not None
            self.raw[choice] = work.raw
            self.seconds[choice] = work.seconds
            self.made_now += work.seconds


def _choice(member: MapsChoice) -> MapsChoice:
    """Return the choice of maps alone, without threshold, name and refinement."""
    return MapsChoice(**{f.name: getattr(member, f.name) for f in fields(MapsChoice)})


def _explaining(choice: MapsChoice, prepared: Any, targets: tuple[Target, ...]) -> Explaining:
    from napari_gliocam.cams.run.explain import Explaining

    score: int | Literal["mean"] | None = None
    if choice.score == "mean":
        score = "mean"
    elif choice.score != "exit":
        score = int(choice.score)
    return Explaining(
        prepared,
        choice.method,
        targets,
        explained=ExplainedLayer(choice.layer, score),
        scope="lesion" if choice.gate else "case",
        normalise=choice.normalise or None,
        gate=choice.gate,
    )


def refinement_of(row: StudyRow) -> Refinement:
    """Return the refinement of a row."""
    presets = {name.casefold(): preset for name, preset in CRF_PRESETS.items()}
    refinement = Refinement(
        cast("Any", row.refine),
        components=ComponentParameters() if row.components else None,
    )
    return replace(refinement, crf=presets[row.crf.casefold()]) if row.crf else refinement


def _draw(
    labels: NDArray[np.uint8],
    expert: NDArray[np.uint8],
    case: Case,
    setup: Setup,
    number: int,
) -> None:
    """Draw the slice with most of each class by the expert, with what is right and wrong."""
    contents = {}
    for target in setup.study.targets:
        index = int(np.count_nonzero(mask_of(expert, target), axis=(1, 2)).argmax())
        modality = case.best_modality(target)
        compared = confusion(labels[index], expert[index], target)
        key = KeySlice(
            target, "", index, modality, compared, dict(CONFUSION_COLOURS), dict(CONFUSION_NAMES)
        )
        contents[setup.picture_file(case.name, number, target)] = draw_slice(
            case, key, overlay=True
        )
    write_files(contents, overwrite=True)
