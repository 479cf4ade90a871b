"""From a folder of cases and slice labels to a bundle: the whole of a training, in one call.

The window and the command line both come here; whatever happens is told as plain dicts (`Tell`),
so that it goes through a pipe or into a file.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from napari_gliocam.errors import TrainingError
from napari_gliocam.nets.bundle import (
    Bundle,
    BundleInfo,
    load_bundle,
    read_bundle_info,
    save_bundle,
)
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.progress import Progress
from napari_gliocam.targets import TARGETS
from napari_gliocam.train.data.case_index import CaseIndex, Preparation, indexing
from napari_gliocam.train.data.case_set import CaseSet, derive_tags, gather_slices
from napari_gliocam.train.data.synthetic import rehearsing
from napari_gliocam.train.labels.tag_file import load_tags
from napari_gliocam.train.labels.tags import Tags
from napari_gliocam.train.recipe.fields import Recipe
from napari_gliocam.train.recipe.toml_file import recipe_of
from napari_gliocam.train.run.bundle_training import train_bundle
from napari_gliocam.train.run.checkpoint_weights import newest_networks
from napari_gliocam.train.run.disk import full_disk
from napari_gliocam.train.run.fit import Machine, first_process
from napari_gliocam.train.run.lock import locked
from napari_gliocam.train.run.plan import Plan, fit_to_cases, make_plan
from napari_gliocam.train.run.report import TrainingReport
from napari_gliocam.train.run.request import TrainingRequest

T = TypeVar("T")
#: Takes every event: a dict with ``kind`` and plain values.
Tell = Callable[[dict[str, Any]], None]

#: Lightning's words for devices.
_ACCELERATORS = {"auto": "auto", "cpu": "cpu", "cuda": "gpu", "mps": "mps"}
#: In the work folder: the best networks so far, a whole bundle.
NEWEST = "newest"


@dataclass(frozen=True, eq=False)
class Gathered:
    """All that a training is given.

    Parameters
    ----------
    recipe : Recipe
        Fitted to the number of cases.
    start : Bundle or None
        What it goes on from.
    index : CaseIndex
    tags : Tags
    cases : CaseSet
    plan : Plan
    warnings : tuple of str
    """

    recipe: Recipe
    start: Bundle | None
    index: CaseIndex
    tags: Tags
    cases: CaseSet
    plan: Plan
    warnings: tuple[str, ...]


def gathering(request: TrainingRequest) -> Generator[Progress, None, Gathered]:
    """Index the cases, read the labels, count what there is; nothing is trained.

    Raises
    ------
    GliocamError
        Whatever stands in the way, one sentence.
    """
    recipe = recipe_of(request.recipe, "the recipe")
    start = None
    if recipe.start == "bundle":
        yield Progress(0, 1, "loading the bundle")
        _check_bundle(read_bundle_info(request.bundle or None))
        start = load_bundle(request.bundle or None)
    preparation = Preparation.of(None if start is None else start.info, recipe.data)
    index = yield from indexing(
        Path(request.cases),
        preparation,
        cache=Path(request.cache) if request.cache else None,
        workers=request.workers,
    )
    if not index.usable:
        reason = next(iter(index.problems.values()))
        raise TrainingError(f"No case in {index.root} can be used: {reason}")
    warnings: tuple[str, ...] = ()
    if request.labels:
        tags, warnings = load_tags(Path(request.labels), index.depths)
    else:
        tags = derive_tags(index, recipe.data)
    rehearsal = yield from rehearsing(index.cache, recipe.data.rehearsal, recipe.data, recipe.seed)
    cases = gather_slices(index, tags, rehearsal)
    warnings += cases.warnings
    recipe = fit_to_cases(recipe, len(cases.names))
    plan = make_plan(cases, recipe, index.problems)
    return Gathered(recipe, start, index, tags, cases, plan, warnings)


def run_request(request: TrainingRequest, tell: Tell) -> Path | None:
    """Train what is asked for, from wherever it stood.

    Parameters
    ----------
    request : TrainingRequest
    tell : Tell
        Called with ``progress``, ``plan``, ``note``, ``training``, ``newest``, ``table`` events.

    Returns
    -------
    Path or None
        The bundle's folder; None where it was stopped: the folder then holds the best so far, and
        the same request goes on.

    Raises
    ------
    GliocamError
        One sentence, with the remedy.
    """
    from napari_gliocam.train.run.finish import finish_bundle

    first = first_process()
    alone: AbstractContextManager[None] = locked(request.out_dir) if first else nullcontext()
    with alone, full_disk(request.out_dir):
        if request.finished:
            raise TrainingError(
                f'"{request.out_dir}" holds a finished bundle; choose another folder, or remove it.'
            )
        if first:
            request.save()
            request.stop_file.unlink(missing_ok=True)
        given = drive(gathering(request), tell)
        for sentence in given.warnings:
            tell({"kind": "note", "sentence": sentence})
        tell({"kind": "plan", "words": given.plan.words, **asdict(given.plan)})
        watch = _Watch(request, given, tell)
        done = train_bundle(
            given.recipe,
            given.cases.slices,
            request.out_dir,
            work_dir=request.work_dir,
            about=watch.about,
            start=None if given.start is None else given.start.net,
            machine=machine_of(request),
            report=watch.report,
        )
        if not first:
            return done
        if done is None:
            if watch.write_newest(request.out_dir):
                tell({"kind": "note", "sentence": "Stopped; the best weights so far are kept."})
            return None
        drive(finish_bundle(request, given, tell), tell)
        return done


def machine_of(request: TrainingRequest) -> Machine:
    """Lightning's words for where a request runs."""
    from napari_gliocam.device import choose_device

    choose_device(request.device)  # a sentence where it is not there
    return Machine(
        _ACCELERATORS[request.device],
        request.devices,
        request.nodes,
        strategy="ddp" if request.devices * request.nodes > 1 else "auto",
        workers=request.workers,
    )


def drive(work: Generator[Progress, None, T], tell: Tell) -> T:
    """Run a generator to its end and tell of its progress."""
    try:
        while True:
            told = next(work)
            tell({"kind": "progress", **asdict(told)})
    except StopIteration as stop:
        result: T = stop.value
        return result
    finally:
        work.close()


class _Watch:
    """What happens beside the steps: reports go out, stop comes in, the newest bundle is kept."""

    def __init__(self, request: TrainingRequest, given: Gathered, tell: Tell) -> None:
        self.request, self.given, self.tell = request, given, tell
        self.about = _about(request, given)
        self._seen: dict[Path, int] = {}

    def report(self, told: TrainingReport) -> bool:
        """Tell of a step; whether to stop."""
        self.tell({"kind": "training", **asdict(told)})
        if self._better():
            folder = self.request.work_dir / NEWEST
            if self.write_newest(folder):
                self.tell({"kind": "newest", "path": str(folder)})
        return self.request.stop_file.exists()

    def write_newest(self, folder: Path) -> bool:
        """Write the best networks so far as a bundle; False where there are none yet."""
        given, start = self.given, self.given.start
        channels = given.cases.slices.images.shape[1]
        net = GliocamNet.of(channels, start.info.design if start else given.recipe.network.design)
        if start is not None:
            net.load_state_dict(start.net.state_dict())
        found = newest_networks(net, self.request.work_dir, given.recipe)
        if found:
            design = asdict(net.design)
            info = replace(self.about, **design, name=f"{self.about.name} (unfinished)")
            save_bundle(net.eval(), info, folder)
        return found

    def _better(self) -> bool:
        """Whether a stage has written better weights since this was asked last."""
        work = self.request.work_dir
        files = [*work.glob("*/best.ckpt"), *work.glob("*/weights.safetensors")]
        now = {file: file.stat().st_mtime_ns for file in files}
        changed, self._seen = now != self._seen, now
        return changed and bool(now)


def _about(request: TrainingRequest, given: Gathered) -> BundleInfo:
    """What the new bundle says of itself before it is trained."""
    name = request.name or request.out_dir.resolve().name
    if given.start is None:
        return BundleInfo(
            name=name,
            origin="Trained from scratch on own cases with slice labels alone",
            licence="unknown",
            training={"request": _settings(request)},
        )
    before = given.start.info
    return replace(
        before,
        name=name,
        origin=f"{before.name}, gone on with own cases with slice labels alone",
        path=None,
        training={
            "began_with": {"name": before.name, "origin": before.origin, "licence": before.licence},
            "request": _settings(request),
        },
    )


def _settings(request: TrainingRequest) -> dict[str, Any]:
    plain = asdict(request)
    plain.pop("recipe")  # stands beside it, fitted to the cases
    return plain


def _check_bundle(info: BundleInfo) -> None:
    if set(info.polarity) != set(TARGETS):
        raise TrainingError(
            f'The bundle "{info.path}" has the classes {", ".join(info.polarity)}, not '
            f"{', '.join(TARGETS)}; choose another bundle, or train from scratch."
        )
