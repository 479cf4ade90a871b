"""The training of a segmentation network: slices with computed masks in, a bundle out."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from napari_gliocam.errors import TrainingError
from napari_gliocam.io.atomic import write_files, write_json
from napari_gliocam.nets.bundle import Bundle, BundleInfo, load_bundle, save_bundle
from napari_gliocam.nets.segmenters.build import build_segmenter
from napari_gliocam.progress import Progress, finish
from napari_gliocam.targets import TARGETS
from napari_gliocam.train.data.mask_batches import MaskDataset
from napari_gliocam.train.data.mask_set import (
    MaskPreparation,
    MaskSet,
    check_masks,
    gathering_masks,
    open_packed,
)
from napari_gliocam.train.data.slice_set import SliceSet, split_cases
from napari_gliocam.train.data.synthetic_masks import SLICES_A_CASE, drawing_phantoms
from napari_gliocam.train.labels.tag_file import load_tags
from napari_gliocam.train.recipe.segmenter import SegmenterRecipe
from napari_gliocam.train.recipe.toml_file import build_settings, recipe_values
from napari_gliocam.train.run.before_after import comparing
from napari_gliocam.train.run.bundle_training import (
    check_same_training,
    seconds_of,
    timed,
)
from napari_gliocam.train.run.checkpoints import load_stage, stage_folder, weights_digest
from napari_gliocam.train.run.events import BeforeAfter, Emit, Note, Plan, TrainingReport
from napari_gliocam.train.run.finish import (
    CARD_FILE,
    CURVES_FILE,
    PICTURES,
    TABLE_FILE,
    curves,
    figures_text,
    plain_text,
    remove_checkpoints,
    some_of,
    table_text,
)
from napari_gliocam.train.run.fit import Machine, StoppedError, run_stage, seeded
from napari_gliocam.train.run.plan import CASES_TO_VALIDATE, LITTLE_CASES
from napari_gliocam.train.run.request import DONE_FILE, TrainingRequest
from napari_gliocam.train.stages.segmenter import SegmenterStage

#: Name of the only stage.
STAGE = "segmenter"
#: In the work folder: packed slices with their masks.
SLICES = "slices"
#: Seconds of all runs so far, in the work folder.
_SECONDS = "seconds.json"


@dataclass(frozen=True, eq=False)
class GatheredMasks:
    """The input of the training of a segmentation network.

    Parameters
    ----------
    recipe : SegmenterRecipe
        The recipe, fitted to the number of cases.
    teacher : Bundle
        The bundle whose maps made the masks; its networks stay in the new bundle.
    data : MaskSet
        Slices of the real cases.
    slices : SliceSet
        These and the synthetic ones.
    train, validation : ndarray of int
        Rows of ``slices`` to learn from and to validate with.
    plan : Plan
        A summary.
    warnings : tuple of str
        Sentences about slice labels.
    """

    recipe: SegmenterRecipe
    teacher: Bundle
    data: MaskSet
    slices: SliceSet
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    plan: Plan
    warnings: tuple[str, ...] = ()

    def dataset(self, rows: NDArray[np.int64], *, augmented: bool) -> MaskDataset:
        """Return some rows of the slices as a data set."""
        return MaskDataset(
            self.slices,
            rows,
            self.data.masks,
            len(self.teacher.info.modalities),
            self.recipe.augment if augmented else None,
            seed=self.recipe.seed * 10 + 5,
        )

    def network(self) -> nn.Module:
        """Return the network as it is before the training."""
        design, modalities = self.recipe.network, len(self.teacher.info.modalities)
        with seeded(self.recipe.seed):
            network = build_segmenter(design, modalities)
        if self.recipe.start == "bundle":
            before = self.teacher.segmenter
            if before is None or self.teacher.info.segmenter is None:
                raise TrainingError(
                    f'The bundle "{self.teacher.info.name}" has no segmentation network to go on '
                    'from; choose another bundle, or set start to "random".'
                )
            if weight_shapes(before) != weight_shapes(network):
                raise TrainingError(
                    f'The segmentation network of "{self.teacher.info.name}" is '
                    f"{self.teacher.info.segmenter.architecture}, which does not fit the recipe's "
                    f"{design.architecture}; change the recipe's network, or set start to "
                    '"random".'
                )
            network.load_state_dict(before.state_dict())
        return network


def weight_shapes(network: nn.Module) -> dict[str, tuple[int, ...]]:
    """Return the shape of each weight of a network by name."""
    return {name: tuple(value.shape) for name, value in network.state_dict().items()}


def gathering_segmenter(
    request: TrainingRequest, *, draw: bool = True
) -> Generator[Progress, None, GatheredMasks]:
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
    GatheredMasks

    Raises
    ------
    GliocamError
        If anything stands in the way of the training.
    """
    recipe = build_settings(SegmenterRecipe, request.recipe, "the recipe")
    yield Progress(0, 1, "loading the bundle")
    teacher = load_bundle(request.bundle or None)
    tags, warnings = {}, tuple[str, ...]()
    if request.labels:
        loaded, warnings = load_tags(Path(request.labels))
        tags = loaded.cases
    cache = Path(request.cache) if request.cache else request.work_dir / SLICES
    design = recipe.network
    data = yield from gathering_masks(
        Path(request.cases),
        Path(request.masks),
        Path(request.second_masks) if request.second_masks else None,
        cache,
        MaskPreparation(teacher.info, design, recipe.data.min_pixels),
        tags,
    )
    check_masks(data)
    if len(data.names) < CASES_TO_VALIDATE:
        recipe = _without_validation(recipe)
    phantoms = yield from drawing_phantoms(
        cache,
        recipe.data.phantoms if draw else 0,
        design,
        recipe.seed,
        masks=data.masks,
        anatomies=Path(request.anatomies) if request.anatomies else None,
        min_pixels=recipe.data.min_pixels,
    )
    slices = data.slices
    if phantoms:
        packed = [data.files[name] for name in data.names] + list(phantoms)
        numbers = [*range(len(data.names)), *(-1 - n for n in range(len(phantoms)))]
        slices = open_packed(packed, numbers)
    train, validation = split_cases(slices, recipe.data.validation, recipe.seed)
    train = _some_healthy(slices, train, recipe)
    drawn = len(slices) - len(data.slices) if draw else SLICES_A_CASE * recipe.data.phantoms
    plan = _plan(recipe, data, slices, train, validation, drawn)
    return GatheredMasks(recipe, teacher, data, slices, train, validation, plan, warnings)


def train_segmenter(request: TrainingRequest, machine: Machine, emit: Emit) -> Path | None:
    """Train a segmentation network as a request says, from any point where it was broken off.

    Parameters
    ----------
    request : TrainingRequest
        The training, with masks; its folder is held by this process.
    machine : Machine
        One device.
    emit : callable
        Takes every event.

    Returns
    -------
    Path or None
        The bundle's folder; None if the training was stopped: the folder then holds the best
        weights so far, and the same request goes on.

    Raises
    ------
    GliocamError
        If anything stands in the way.
    """
    if machine.world > 1:
        raise TrainingError(
            "A segmentation network trains on one device; set devices and nodes to 1."
        )
    given = finish(gathering_segmenter(request), emit)
    for sentence in given.warnings:
        emit(Note(sentence))
    emit(given.plan)
    network = given.network()
    work = request.work_dir
    check_same_training(
        work,
        {
            "recipe": recipe_values(given.recipe),
            "slices": given.slices.fingerprint(),
            "start": weights_digest(network),
        },
    )
    stage = SegmenterStage(network, given.recipe)

    def report(now: TrainingReport) -> bool:
        emit(now)
        return request.stop_file.exists()

    try:
        with timed(work / _SECONDS):
            run_stage(
                STAGE,
                stage,
                given.dataset(given.train, augmented=True),
                given.dataset(given.validation, augmented=False),
                stage_folder(work, STAGE),
                machine,
                seed=given.recipe.seed,
                report=report,
            )
    except StoppedError:
        if load_stage(stage.network, stage_folder(work, STAGE)):
            _save(request, given, stage.network, machine, finished=False)
            emit(Note("Stopped; the best weights so far are kept."))
        return None
    info = _save(request, given, stage.network, machine, finished=True)
    compared = finish(_finishing(request, given, info), emit)
    for problem in compared.problems:
        emit(Note(problem))
    emit(compared)
    return request.out_dir


def _without_validation(recipe: SegmenterRecipe) -> SegmenterRecipe:
    """Return a recipe that validates with no patient, where there are too few."""
    fit = replace(recipe.fit, keep="last", patience=0)
    return replace(recipe, fit=fit, data=replace(recipe.data, validation=0.0))


def _some_healthy(
    slices: SliceSet, rows: NDArray[np.int64], recipe: SegmenterRecipe
) -> NDArray[np.int64]:
    """Return the rows with tumour, the synthetic ones, and a part of the others by seed."""
    chance = np.random.default_rng([recipe.seed, 31]).random(len(rows))
    kept = (slices.labels[rows, 0] > 0) | (slices.case[rows] < 0)
    chosen: NDArray[np.int64] = rows[kept | (chance < recipe.data.healthy)]
    return chosen


def _plan(
    recipe: SegmenterRecipe,
    data: MaskSet,
    slices: SliceSet,
    train: NDArray[np.int64],
    validation: NDArray[np.int64],
    drawn: int,
) -> Plan:
    names = tuple(
        tuple(data.names[c] for c in np.unique(slices.case[rows]) if c >= 0)
        for rows in (train, validation)
    )
    shown = dict(
        zip(TARGETS, (data.slices.labels > 0).sum(axis=0).astype(int).tolist(), strict=True)
    )
    counts = ", ".join(f"{number} {name}" for name, number in shown.items())
    count = recipe.data.phantoms
    besides = f", besides {count} synthetic cases" if count else ""
    concerns = []
    if len(data.names) < CASES_TO_VALIDATE:
        concerns.append(
            f"{len(data.names)} cases are too few to keep one for judging: the last weights are "
            "kept, good or bad."
        )
    elif len(data.names) < LITTLE_CASES:
        concerns.append(f"{len(data.names)} cases are few; {LITTLE_CASES} or more teach better.")
    fit, own = recipe.fit, int((slices.case[train] >= 0).sum())
    return Plan(
        words=(
            f"{len(data.names)} cases with {len(data.slices)} slices and their masks ({counts})"
            f"{besides}; {len(names[0])} cases to learn from, {len(names[1])} to judge with."
        ),
        train=names[0],
        validation=names[1],
        slices=len(data.slices),
        shown=shown,
        rehearsal=drawn,
        concerns=tuple(concerns),
        left_out=dict(data.problems),
        steps={STAGE: fit.epochs * max(1, (own + drawn) // fit.batch)},
    )


def _save(
    request: TrainingRequest,
    given: GatheredMasks,
    network: nn.Module,
    machine: Machine,
    *,
    finished: bool,
) -> BundleInfo:
    """Write the bundle: the networks of the teacher's maps, and the segmentation network."""
    before, recipe = given.teacher.info, given.recipe
    name = (request.name or request.out_dir.name).encode(errors="replace").decode()
    own = given.slices.case[given.train]
    info = replace(
        before,
        name=name if finished else f"{name} (unfinished)",
        origin=(
            f"{before.name}, and a segmentation network taught by masks that were computed from "
            "maps; no outline was learned from"
        ),
        segmenter=recipe.network,
        training={
            "began_with": {"name": before.name, "origin": before.origin, "licence": before.licence},
            "recipe": recipe_values(recipe),
            "slices": int((own >= 0).sum()),
            "synthetic_slices": int((own < 0).sum()),
            "cases": len(given.plan.train),
            "validation_cases": len(given.plan.validation),
            "second_masks": bool(request.second_masks),
            "slice_labels": bool(request.labels),
            "anatomies": "given" if request.anatomies else "procedural",
            "hours": round(seconds_of(request.work_dir / _SECONDS) / 3600, 2),
            "machine": f"{platform.machine()}, {machine.words}",
        },
        path=None,
    )
    save_bundle(given.teacher.net, info, request.out_dir, segmenter=network.eval().cpu())
    return info


def _finishing(
    request: TrainingRequest, given: GatheredMasks, info: BundleInfo
) -> Generator[Progress, None, BeforeAfter]:
    """Compare teacher and new bundle, write table, curves and model card, tidy up."""
    out, work = request.out_dir, request.work_dir
    chosen = some_of(given.plan.validation, request.compare, given.recipe.seed)
    compared = BeforeAfter()
    if chosen:
        files = {name: next(iter(given.data.sources[name].modalities.values())) for name in chosen}
        compared = yield from comparing(
            files,
            {name: {} for name in chosen},
            given.teacher,
            load_bundle(out),
            pictures=out / PICTURES if request.case_names else None,
            device=request.device,
        )
        compared = replace(compared, rows=tuple(r for r in compared.rows if r.after is not None))
    contents = {
        out / CURVES_FILE: curves(work, [STAGE]),
        out / CARD_FILE: segmenter_card(info, given.plan, compared),
    }
    if compared.rows and request.case_names:
        contents[out / TABLE_FILE] = table_text(
            compared.rows, {name: name for name in ("all", *compared.cases)}
        )
    write_files(
        {file: text.encode(errors="backslashreplace") for file, text in contents.items()},
        overwrite=True,
    )
    write_json(work / DONE_FILE, {"bundle": str(out)})
    remove_checkpoints(work)
    if not request.cache:
        with suppress(OSError):
            shutil.rmtree(work / SLICES)
    return compared


def segmenter_card(info: BundleInfo, plan: Plan, compared: BeforeAfter) -> str:
    """Write a model card as far as the facts are known.

    Parameters
    ----------
    info : BundleInfo
        The description of the new bundle.
    plan : Plan
        The counts of cases and slices.
    compared : BeforeAfter
        Dice of the validation patients where they have expert labels; may be empty.

    Returns
    -------
    str
        Markdown.  Names from files are plain text in it.
    """
    training, design = info.training, info.segmenter
    assert design is not None
    recipe, began = (
        training["recipe"],
        {k: plain_text(v) for k, v in training["began_with"].items()},
    )
    sees = f"a slice and {design.neighbours} on either side" if design.neighbours else "a slice"
    lines = [
        f"# Model card: {plain_text(info.name)}",
        "",
        "Research use only. Not a medical device.",
        "",
        f"**What it is.** A segmentation network ({design.architecture}, which sees {sees}) beside "
        f"the networks of {began['name']} ({began['origin']}; licence {began['licence']}), which "
        f"explain and compare. Input: {', '.join(m.title for m in info.modalities)}, axial slices "
        f"at {info.pixel_mm:g} mm. Weight beside the maps: {design.share:g}.",
        "",
        f"**What it learned from.** {plan.words} The masks were computed from maps of networks "
        "that know image-level labels alone"
        + (", and corrected by slice labels" if training["slice_labels"] else "")
        + "; no outline was read.",
        *[f"- {concern}" for concern in plan.concerns],
        "",
        f"**How.** Recipe {plain_text(recipe['name'])}, seed {recipe['seed']}, "
        f"{training['hours']:g} hours on {training['machine']}. All settings are in "
        "`bundle.json`, losses by epoch in `curves.csv`.",
        "",
        "**What it reaches.** "
        + (
            figures_text(compared)
            if compared.rows or not plan.validation
            else "Dice was not measured: no patient that was kept for validation has expert labels."
        ),
        "",
        "**What it is not for.** Diagnosis; planning; images of another kind than those above.",
        "",
        "**To be filled in by you.** Where the cases come from, and whether the weights may be "
        "passed on.",
        "",
    ]
    return "\n".join(lines)
