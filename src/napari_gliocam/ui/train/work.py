"""Work of the dock "Train" on the engine's thread; nothing else here imports torch."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

from napari_gliocam.errors import CaseError
from napari_gliocam.io.find import CaseFiles, find_cases
from napari_gliocam.io.results import find_result
from napari_gliocam.progress import Progress
from napari_gliocam.train.labels.tag_file import load_tags
from napari_gliocam.train.labels.tags import Tags
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.ui.jobs.triton_guard import keep_triton_out


@dataclass(frozen=True)
class Summary:
    """A summary of the data of a training, and the time it would take.

    Parameters
    ----------
    words : str
        The summary, as shown.
    concerns : tuple of str
        What is little, what is left out.
    seconds : float
        Of all steps.
    device : str
        Where, in words.
    """

    words: str
    concerns: tuple[str, ...]
    seconds: float
    device: str


@dataclass(frozen=True)
class Found:
    """The cases of a folder and their tags.

    Parameters
    ----------
    folder : Path
        The folder to look in or write to.
    cases : tuple of CaseFiles
        The cases that were found.
    labels : Path
        The file that holds the labels.
    tags : Tags
        Labels of slices.
    warnings : tuple of str
        One sentence each.
    """

    folder: Path
    cases: tuple[CaseFiles, ...]
    labels: Path
    tags: Tags
    warnings: tuple[str, ...]


def look_through(folder: Path, labels: Path) -> Found:
    """Find cases and read the tags that were saved; a case that cannot be read is a warning."""
    found = find_cases(folder)
    cases = tuple(files for files in found if not files.problem)
    problems = tuple(files.problem for files in found if files.problem)
    tags, warnings = load_tags(labels) if labels.exists() else (Tags(), ())
    return Found(folder, cases, labels, tags, (*problems, *warnings))


def summarise(request: TrainingRequest) -> Generator[Progress, None, Summary]:
    """Make missing masks, count cases and slices, and time a few steps; needs Lightning."""
    keep_triton_out()
    from napari_gliocam.device import describe
    from napari_gliocam.train.run.plan import estimating_time
    from napari_gliocam.train.run.training import gathering

    problems = {}
    if request.masks:
        problems = yield from _making_masks(request)
    given = yield from gathering(request, draw=False)
    seconds = yield from estimating_time(given, request.device)
    left_out = {**given.plan.left_out, **problems}
    concerns = (*given.plan.concerns, *given.warnings, *left_out.values())
    return Summary(given.plan.words, concerns, seconds, describe(request.device))


def showing_mask(request: TrainingRequest, name: str) -> Generator[Progress, None, Path]:
    """Return the file of a case's mask, made now if it is missing.

    Raises
    ------
    GliocamError
        If there is none, and none can be made.
    """
    keep_triton_out()
    problems = yield from _making_masks(request, name)
    if name in problems:
        raise CaseError(problems[name])
    return find_result(Path(request.masks), name)


def _making_masks(
    request: TrainingRequest, only: str = ""
) -> Generator[Progress, None, dict[str, str]]:
    """Make the masks that are missing; return a sentence for each case that has none."""
    from napari_gliocam.nets.bundle import load_bundle
    from napari_gliocam.train.labels.pseudo import labelling_missing

    labels = Path(request.labels)
    tags = load_tags(labels)[0].cases if request.labels and labels.exists() else {}
    yield Progress(0, 1, "loading the bundle")
    problems = yield from labelling_missing(
        Path(request.cases),
        Path(request.masks),
        tags,
        bundle=load_bundle(request.bundle or None),
        device=request.device,
        second=Path(request.second_masks) if request.second_masks else None,
        only=only,
    )
    return problems


def derive(request: TrainingRequest) -> Generator[Progress, None, Tags]:
    """Derive tags of all cases that have expert labels."""
    from napari_gliocam.nets.bundle_info import read_bundle_info
    from napari_gliocam.train.data.case_index import SlicePreparation, indexing
    from napari_gliocam.train.data.case_set import derive_tags
    from napari_gliocam.train.recipe.maps import Recipe
    from napari_gliocam.train.recipe.toml_file import build_settings

    recipe = build_settings(Recipe, request.recipe, "the recipe")
    goes_on = recipe.start == "bundle"
    info = read_bundle_info(request.bundle or None) if goes_on else None
    preparation = SlicePreparation.of(info, recipe.data)
    index = yield from indexing(Path(request.cases), preparation)
    return derive_tags(index, recipe.data)
