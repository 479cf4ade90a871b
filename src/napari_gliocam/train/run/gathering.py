"""From a request to the slices of a training: cases, labels, the bundle to go on from, a plan."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

from napari_gliocam.errors import TrainingError
from napari_gliocam.nets.bundle import Bundle, load_bundle
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.progress import Progress
from napari_gliocam.train.data.case_index import CaseIndex, SlicePreparation, indexing
from napari_gliocam.train.data.case_set import CaseSet, derive_tags, gather_slices
from napari_gliocam.train.data.split import read_split
from napari_gliocam.train.data.synthetic import rehearsing
from napari_gliocam.train.labels.tag_file import load_tags
from napari_gliocam.train.labels.tags import Tags
from napari_gliocam.train.recipe.fields import Recipe
from napari_gliocam.train.recipe.toml_file import recipe_of
from napari_gliocam.train.run.events import Plan
from napari_gliocam.train.run.plan import fit_to_cases, make_plan
from napari_gliocam.train.run.request import TrainingRequest


@dataclass(frozen=True, eq=False)
class Gathered:
    """The input of a training.

    Parameters
    ----------
    recipe : Recipe
        The recipe, fitted to the number of cases.
    start : Bundle or None
        The bundle to go on from.
    index : CaseIndex
        The cases.
    tags : Tags
        The labels of their slices.
    cases : CaseSet
        The slices with a label.
    plan : Plan
        A summary.
    warnings : tuple of str
        Sentences about labels and slices that take no part.
    """

    recipe: Recipe
    start: Bundle | None
    index: CaseIndex
    tags: Tags
    cases: CaseSet
    plan: Plan
    warnings: tuple[str, ...]

    def new_networks(self) -> GliocamNet:
        """Return networks as they are before the training."""
        channels = self.cases.slices.images.shape[1]
        if self.start is None:
            return GliocamNet.of(channels, self.recipe.network.design)
        net = GliocamNet.of(channels, self.start.info.design)
        net.load_state_dict(self.start.net.state_dict())
        return net


def gathering(request: TrainingRequest) -> Generator[Progress, None, Gathered]:
    """Index the cases, read the labels and count both; nothing is trained.

    Parameters
    ----------
    request : TrainingRequest
        The training.

    Yields
    ------
    Progress
        Cases found and prepared.

    Returns
    -------
    Gathered

    Raises
    ------
    GliocamError
        If anything stands in the way of the training.
    """
    recipe = recipe_of(request.recipe, "the recipe")
    start = None
    if recipe.start == "bundle":
        yield Progress(0, 1, "loading the bundle")
        start = load_bundle(request.bundle or None)
    index = yield from indexing(
        Path(request.cases),
        SlicePreparation.of(None if start is None else start.info, recipe.data),
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
    rehearsal = yield from rehearsing(
        index.cache,
        recipe.data.rehearsal,
        recipe.data,
        recipe.seed,
        anatomies=Path(request.anatomies) if request.anatomies else None,
        workers=request.workers,
    )
    split = None
    if request.split:
        names = [name for name in index.usable if tags.of(name)]
        split = read_split(Path(request.split), names, request.fold)
        tags = Tags({n: slices for n, slices in tags.cases.items() if n not in split.test})
    cases = gather_slices(index, tags, rehearsal)
    if split is not None:
        cases = replace(cases, slices=replace(cases.slices, validated=split.validation))
    recipe = fit_to_cases(recipe, len(cases.names))
    plan = make_plan(cases, recipe, index.problems)
    return Gathered(recipe, start, index, tags, cases, plan, (*warnings, *cases.warnings))
