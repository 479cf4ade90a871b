"""The training of the networks of the maps: cases and slice labels in, a bundle out."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from napari_gliocam.case import Modality
from napari_gliocam.errors import TrainingError
from napari_gliocam.nets.bundle import load_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.progress import Progress
from napari_gliocam.targets import TARGETS
from napari_gliocam.train.data.batches import SliceBatch, SliceDataset
from napari_gliocam.train.data.case_index import SlicePreparation, indexing
from napari_gliocam.train.data.case_set import derive_tags, gather_slices
from napari_gliocam.train.data.slice_set import check_labels
from napari_gliocam.train.data.split import read_split, split_cases
from napari_gliocam.train.data.synthetic import Drawing, drawing_cases
from napari_gliocam.train.labels.tag_file import load_tags
from napari_gliocam.train.labels.tags import Tags
from napari_gliocam.train.recipe.maps import Recipe
from napari_gliocam.train.recipe.toml_file import build_settings
from napari_gliocam.train.run.bundle_training import train_bundle
from napari_gliocam.train.run.checkpoints import load_best_so_far
from napari_gliocam.train.run.events import Reporter
from napari_gliocam.train.run.fit import Machine
from napari_gliocam.train.run.gathered import Gathered
from napari_gliocam.train.run.named_stages import make_stage
from napari_gliocam.train.run.plan import fit_to_cases, make_plan
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.train.stages.exit_map_cache import MapBatch
from napari_gliocam.train.stages.stage import Stage


@dataclass(frozen=True, eq=False, kw_only=True)
class MapTraining(Gathered):
    """Classifiers and aggregators that learn from slice labels."""

    recipe: Recipe
    made_by = "fine-tuned on own cases with slice labels alone"

    @property
    def about(self) -> BundleInfo:
        """The description of the new bundle; new networks have the recipe's modalities."""
        about = super().about
        if self.start is not None:
            return about
        return replace(about, modalities=tuple(Modality(m) for m in self.recipe.data.modalities))

    def train(self, machine: Machine, report: Reporter) -> bool:
        """Run every stage and write the bundle."""
        done = train_bundle(
            self.recipe,
            self.slices,
            self.request.out_dir,
            work_dir=self.request.work_dir,
            about=self.about,
            start=None if self.start is None else self.start.net,
            machine=machine,
            report=report,
        )
        return done is not None

    def best_so_far(self) -> tuple[GliocamNet, nn.Module | None] | None:
        """Return the networks with the best weights so far."""
        net = self._networks()
        if self.start is not None:
            net.load_state_dict(self.start.net.state_dict())
        return (net, None) if load_best_so_far(net, self.request.work_dir, self.recipe) else None

    def trial(self, name: str, device: torch.device) -> tuple[Stage, Callable[[], object]]:
        """Return a stage of new networks, and a function that makes a batch for it."""
        net, slices = self._networks(), self.slices
        stage = make_stage(name, net, self.recipe).to(device)
        size = min(stage.fit.batch, len(slices))
        if name.startswith("aggregate"):
            maps = _noise(size, slices.images.shape[1:], net.design.attention_stride, device)
            return stage, lambda: maps
        kind, network = name.split(".")
        how = getattr(getattr(self.recipe, kind), network).augment
        rows = np.arange(len(slices))
        data = SliceDataset(slices, rows, how, views=2 if kind == "pretrain" else 1)
        keys = [(0, int(row)) for row in np.sort(np.random.default_rng(0).permutation(rows)[:size])]
        return stage, lambda: SliceBatch(*(f.to(device) for f in data.__getitems__(keys)))

    def _networks(self) -> GliocamNet:
        """Return new networks of the design that is trained."""
        design = self.recipe.network.design if self.start is None else self.start.info.design
        return GliocamNet.of(self.slices.images.shape[1], design)


def gathering_maps(request: TrainingRequest) -> Generator[Progress, None, MapTraining]:
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
    MapTraining

    Raises
    ------
    GliocamError
        If anything stands in the way of the training.
    """
    recipe = build_settings(Recipe, request.recipe, "the recipe")
    start, dropped = None, tuple[str, ...]()
    if recipe.start == "bundle":
        yield Progress(0, 1, "loading the bundle")
        start = load_bundle(request.bundle or None)
        recipe = replace(recipe, network=replace(recipe.network, targets=start.info.targets))
        if start.segmenter is not None:
            dropped = (
                f'The new bundle is without the segmentation network of "{start.info.name}", which '
                "knows those maps alone; train one from masks of the new bundle.",
            )
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
    synthetic = yield from drawing_cases(
        index.cache,
        recipe.data.rehearsal,
        Drawing.of(recipe.data),
        recipe.seed,
        anatomies=Path(request.anatomies) if request.anatomies else None,
        workers=request.workers,
    )
    split = None
    if request.split:
        names = [name for name in index.usable if tags.of(name)]
        split = read_split(Path(request.split), names, request.fold)
        tags = Tags({n: slices for n, slices in tags.cases.items() if n not in split.test})
    slices, left_out = gather_slices(index, tags, synthetic)
    if split is not None:
        slices = replace(slices, validated=split.validation)
    targets = recipe.network.targets
    check_labels(slices.labels[slices.case >= 0], targets)
    recipe = fit_to_cases(recipe, len(slices.names))
    train, validation = split_cases(slices, recipe.data.validation, recipe.seed)
    steps = count_steps(recipe, slices.labels[train])
    return MapTraining(
        request=request,
        recipe=recipe,
        start=start,
        slices=slices,
        sources={name: index.source(name) for name in slices.names},
        tags=tags.cases,
        plan=make_plan(slices, train, validation, steps, index.problems, targets=targets),
        warnings=(*dropped, *warnings, *left_out),
    )


def count_steps(recipe: Recipe, labels: NDArray[np.float32]) -> dict[str, int]:
    """Return the number of steps of every stage that runs.

    Parameters
    ----------
    recipe : Recipe
        The recipe.
    labels : ndarray of float32, (N, 3)
        Labels of the slices to learn from.
    """
    count = len(labels)
    aggregated = int((labels[:, 0] > 0).sum()) if recipe.aggregate.slices == "tumour" else count
    if recipe.aggregate.max_slices:
        aggregated = min(aggregated, recipe.aggregate.max_slices)
    steps = {}
    for stage, fit in recipe.fits().items():
        kind, network = stage.split(".")
        if kind == "pretrain" and getattr(recipe.pretrain, network).loss == "none":
            continue
        epochs, each = fit.epochs, (aggregated if kind == "aggregate" else count) // fit.batch
        if kind == "classifier":
            each = recipe.data.sampling.steps if recipe.data.sampling.real else each
            epochs = recipe.seeds * sum(r.epochs for r in recipe.rounds) or epochs
        if epochs:
            steps[stage] = epochs * max(1, each)
    return steps


def _noise(count: int, shape: tuple[int, ...], stride: int, device: torch.device) -> MapBatch:
    """Return a batch of noise for an aggregator, of slices of the shape (C, H, W)."""
    channels, height, width = shape[0], shape[1] // stride, shape[2] // stride
    made = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=made).to(device)

    return MapBatch(
        images=noise(channels, height, width),
        brain=torch.ones(count, 1, height, width, device=device),
        maps=noise(4, len(TARGETS), height, width),
        tumour=noise(1, height, width),
        features=noise(64, height // 2, width // 2),
        labels=torch.ones(count, len(TARGETS), device=device),
    )
