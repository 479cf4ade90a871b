"""The training of a segmentation network: slices with computed masks in, a bundle out."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from napari_gliocam.errors import TrainingError
from napari_gliocam.nets.bundle import Bundle, load_bundle, save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.nets.segmenters.build import build_segmenter
from napari_gliocam.progress import Progress
from napari_gliocam.train.data.mask_batches import MaskBatch, MaskDataset
from napari_gliocam.train.data.mask_set import (
    MaskPreparation,
    agreeing,
    check_masks,
    gathering_masks,
)
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.data.split import split_cases
from napari_gliocam.train.data.synthetic import Drawing, drawing_cases
from napari_gliocam.train.labels.pseudo import check_teacher
from napari_gliocam.train.labels.tag_file import load_tags
from napari_gliocam.train.recipe.segmenter import SEGMENTER, SegmenterRecipe
from napari_gliocam.train.recipe.toml_file import build_settings, recipe_values
from napari_gliocam.train.run.checkpoints import load_stage, stage_folder
from napari_gliocam.train.run.events import Reporter
from napari_gliocam.train.run.fit import (
    Machine,
    StoppedError,
    first_process,
    launched,
    run_stage,
    seeded,
)
from napari_gliocam.train.run.gathered import Gathered
from napari_gliocam.train.run.plan import fit_to_cases, make_plan
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.train.run.work_files import check_same_training, facts, timed
from napari_gliocam.train.stages.segmenter import SegmenterStage
from napari_gliocam.train.stages.stage import Stage

#: In the work folder: packed slices with their masks.
SLICES = "slices"
#: About as many slices are learned from of a synthetic case.
SLICES_A_CASE = 11


@dataclass(frozen=True, eq=False, kw_only=True)
class SegmenterTraining(Gathered):
    """A segmentation network that learns from computed masks.

    Parameters
    ----------
    train_rows, validation_rows : ndarray of int
        Rows of ``slices`` to learn from and to validate with.
    masks : {2, 4}
        Channels of the slices that are masks.
    """

    recipe: SegmenterRecipe
    start: Bundle
    train_rows: NDArray[np.int64]
    validation_rows: NDArray[np.int64]
    masks: int
    made_by = (
        "and a segmentation network taught by masks that were computed from maps; no outline was "
        "learned from"
    )

    @property
    def about(self) -> BundleInfo:
        """The description of the new bundle, with the design of its segmentation network."""
        return replace(super().about, segmenter=self.recipe.network)

    def train(self, machine: Machine, report: Reporter) -> bool:
        """Run the only stage and write the bundle."""
        network, work = self.network(), self.request.work_dir
        fabric = launched(machine)
        check_same_training(work, self.recipe, self.slices, network)
        stage = SegmenterStage(network, self.recipe)
        try:
            with timed(work):
                run_stage(
                    SEGMENTER,
                    stage,
                    self.dataset(self.train_rows, augmented=True),
                    self.dataset(self.validation_rows, augmented=False),
                    stage_folder(work, SEGMENTER),
                    machine,
                    seed=self.recipe.seed,
                    report=report,
                )
        except StoppedError:
            return False
        if first_process():
            about = replace(
                self.about,
                training={
                    **self.about.training,
                    "recipe": recipe_values(self.recipe),
                    **facts(work, self.slices, self.train_rows, self.validation_rows, machine),
                    "second_masks": self.masks > 2,
                    "slice_labels": bool(self.request.labels),
                    "anatomies": "given" if self.request.anatomies else "procedural",
                },
            )
            save_bundle(self.start.net, about, self.request.out_dir, segmenter=network.eval().cpu())
        if fabric is not None:
            fabric.barrier()
        return True

    def best_so_far(self) -> tuple[GliocamNet, nn.Module | None] | None:
        """Return the teacher's networks beside the best segmentation network so far."""
        network = build_segmenter(self.recipe.network, len(self.start.info.modalities))
        found = load_stage(network, stage_folder(self.request.work_dir, SEGMENTER))
        return (self.start.net, network) if found else None

    def trial(self, name: str, device: torch.device) -> tuple[Stage, Callable[[], object]]:
        """Return the stage with new weights, and a function that makes a batch for it."""
        stage = SegmenterStage(self.network(), self.recipe).to(device)
        data = self.dataset(self.train_rows, augmented=True)
        keys = [(0, place) for place in range(min(stage.fit.batch, len(data)))]
        return stage, lambda: MaskBatch(*(f.to(device) for f in data.__getitems__(keys)))

    def dataset(self, rows: NDArray[np.int64], *, augmented: bool) -> MaskDataset:
        """Return some rows of the slices as a data set."""
        return MaskDataset(
            self.slices,
            rows,
            self.masks,
            len(self.start.info.modalities),
            self.recipe.augment if augmented else None,
            seed=self.recipe.seed * 10 + 5,
        )

    def network(self) -> nn.Module:
        """Return the network as it is before the training."""
        info, design = self.start.info, self.recipe.network
        with seeded(self.recipe.seed):
            network = build_segmenter(design, len(info.modalities))
        if self.recipe.start == "random":
            return network
        before = self.start.segmenter
        if before is None or info.segmenter is None:
            raise TrainingError(
                f'The bundle "{info.name}" has no segmentation network to go on from; choose '
                'another bundle, or set start to "random".'
            )
        if weight_shapes(before) != weight_shapes(network):
            raise TrainingError(
                f'The segmentation network of "{info.name}" is {info.segmenter.architecture}, '
                f"which does not fit the recipe's {design.architecture}; change the recipe's "
                'network, or set start to "random".'
            )
        network.load_state_dict(before.state_dict())
        return network


def weight_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of a network by name."""
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def gathering_segmenter(
    request: TrainingRequest, *, draw: bool = True
) -> Generator[Progress, None, SegmenterTraining]:
    """Prepare slices and masks and count both; nothing is trained.

    Parameters
    ----------
    request : TrainingRequest
        The training, with masks.
    draw : bool
        Whether synthetic cases are drawn, which takes minutes; False counts about as many slices
        as they will have, for a check.

    Yields
    ------
    Progress
        Cases prepared and synthetic cases drawn.

    Returns
    -------
    SegmenterTraining

    Raises
    ------
    GliocamError
        If anything stands in the way of the training.
    """
    recipe = build_settings(SegmenterRecipe, request.recipe, "the recipe")
    yield Progress(0, 1, "loading the bundle")
    teacher = load_bundle(request.bundle or None)
    check_teacher(teacher.info)
    tags, warnings = {}, tuple[str, ...]()
    if request.labels:
        loaded, warnings = load_tags(Path(request.labels))
        tags = loaded.cases
    cache = Path(request.cache) if request.cache else request.work_dir / SLICES
    data = yield from gathering_masks(
        Path(request.cases),
        Path(request.masks),
        Path(request.second_masks) if request.second_masks else None,
        cache,
        MaskPreparation(teacher.info, recipe.network, recipe.data.min_pixels),
        tags,
    )
    check_masks(data.slices())
    recipe, phantoms = fit_to_cases(recipe, len(data.files)), recipe.data.phantoms
    synthetic = yield from drawing_cases(
        cache,
        phantoms if draw else 0,
        Drawing.with_masks(recipe.network, data.masks, recipe.data.min_pixels),
        recipe.seed,
        anatomies=Path(request.anatomies) if request.anatomies else None,
        workers=request.workers,
    )
    slices = data.slices(synthetic)
    train, validation = split_cases(slices, recipe.data.validation, recipe.seed)
    train = _some_healthy(slices, train, recipe)
    if recipe.data.agreement:
        if data.masks < 4:
            raise TrainingError(
                "data.agreement compares first and second masks, and there are no second ones; "
                "give a folder of them, or set it to 0."
            )
        agree = agreeing(slices, recipe.data.agreement)
        left_out = int((~agree[np.concatenate([train, validation])]).sum())
        train, validation = train[agree[train]], validation[agree[validation]]
        warnings += (f"{left_out} slices whose masks disagree are left out.",) if left_out else ()
    undrawn = (0, 0) if draw else (phantoms, SLICES_A_CASE * phantoms)
    steps = recipe.fit.epochs * max(1, (len(train) + undrawn[1]) // recipe.fit.batch)
    return SegmenterTraining(
        request=request,
        recipe=recipe,
        start=teacher,
        slices=slices,
        sources=data.sources,
        tags=tags,
        plan=make_plan(
            slices,
            train,
            validation,
            {SEGMENTER: steps},
            data.problems,
            kind="slices and their masks",
            undrawn=undrawn,
        ),
        warnings=warnings,
        train_rows=train,
        validation_rows=validation,
        masks=data.masks,
    )


def _some_healthy(
    slices: SliceSet, rows: NDArray[np.int64], recipe: SegmenterRecipe
) -> NDArray[np.int64]:
    """Return the rows with tumour, the synthetic ones, and a part of the others by seed."""
    chance = np.random.default_rng([recipe.seed, 31]).random(len(rows))
    kept = (slices.labels[rows, 0] > 0) | (slices.case[rows] < 0)
    chosen: NDArray[np.int64] = rows[kept | (chance < recipe.data.healthy)]
    return chosen
