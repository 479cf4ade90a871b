"""Make and run a stage by its name, such as ``"classifier.tumour"``."""

from __future__ import annotations

from pathlib import Path

from napari_gliocam.errors import TrainingError
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.data.batches import Batched
from napari_gliocam.train.recipe.maps import Recipe
from napari_gliocam.train.run.checkpoints import stage_folder
from napari_gliocam.train.run.events import Reporter
from napari_gliocam.train.run.fit import Machine, run_stage, seeded
from napari_gliocam.train.stages.aggregator import ClassStage, TumourStage
from napari_gliocam.train.stages.classifier import ClassifierStage
from napari_gliocam.train.stages.contrastive import PretrainStage
from napari_gliocam.train.stages.stage import Stage


def make_stage(name: str, net: GliocamNet, recipe: Recipe) -> Stage:
    """Return a new stage, which trains a part of the networks in place.

    Parameters
    ----------
    name : str
        Kind and network, such as ``"classifier.tumour"``.
    net : GliocamNet
        All networks.
    recipe : Recipe
        The settings.
    """
    kind, network = name.split(".")
    settings = getattr(getattr(recipe, kind), network)
    if kind == "aggregate" and network == "tumour":
        return TumourStage(net.tumour_attention, net.design, settings, net.in_channels)
    if kind == "aggregate":
        assert net.class_attention is not None
        return ClassStage(net.class_attention, net.design, settings, net.in_channels)
    tumour = network == "tumour"
    part, columns = net.networks[not tumour], (0,) if tumour else (1, 2)
    if kind == "pretrain":
        return PretrainStage(part, columns, settings)
    return ClassifierStage(part, columns, settings, net.design)


def run_named_stage(
    name: str,
    net: GliocamNet,
    recipe: Recipe,
    data: tuple[Batched, Batched],
    work: Path,
    machine: Machine,
    report: Reporter | None,
    words: str = "",
) -> None:
    """Run a stage to its end; nothing happens where the recipe gives it no epoch.

    Parameters
    ----------
    name, net, recipe
        As in `make_stage`.
    data : tuple of 2 Batched
        The slices to learn from, and those to validate with.
    work : Path
        The folder that holds the stage's own.
    machine : Machine
        The devices.
    report : Reporter or None
        Takes the reports.
    words : str
        Added to the name in reports, such as the round.

    Raises
    ------
    TrainingError
        If there is no slice to learn from.
    """
    if recipe.fits()[name].epochs == 0:
        return
    if len(data[0]) == 0:
        raise TrainingError(f"No slice is left for {name}; add cases that show a tumour.")
    with seeded(recipe.seed, 1):
        stage = make_stage(name, net, recipe)
    folder = stage_folder(work, name)
    run_stage(name + words, stage, *data, folder, machine, seed=recipe.seed, report=report)
