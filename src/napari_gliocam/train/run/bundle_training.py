"""A whole training: slices with image-level labels in, a bundle out."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from napari_gliocam.case import Modality
from napari_gliocam.device import choose_device
from napari_gliocam.errors import TrainingError
from napari_gliocam.io.atomic import write_json
from napari_gliocam.nets.bundle import BundleInfo, save_bundle
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.data.batches import SliceDataset, StageData
from napari_gliocam.train.data.slice_set import (
    SliceSet,
    check_slices,
    drop_blank,
    split_cases,
)
from napari_gliocam.train.recipe.fields import Fit, Recipe
from napari_gliocam.train.recipe.toml_file import differences, recipe_values
from napari_gliocam.train.run.checkpoint_weights import blend_weights, weights_digest
from napari_gliocam.train.run.fit import (
    Machine,
    first_process,
    fit_stage,
    keep_what_there_is,
    only_once,
    stage_folder,
)
from napari_gliocam.train.run.memory import halve, halved
from napari_gliocam.train.run.report import Reporter, StoppedError, TrainingReport
from napari_gliocam.train.stages.aggregator import ClassStage, TumourStage
from napari_gliocam.train.stages.classifier import ClassifierStage
from napari_gliocam.train.stages.contrastive import PretrainStage
from napari_gliocam.train.stages.exit_map_cache import FrozenMaps, add_tumour, freeze
from napari_gliocam.train.stages.polarity import Polarity, settle_polarity
from napari_gliocam.train.stages.stage import LossError, Stage

Network = Literal["tumour", "classes"]

#: Labels that each network learns.
COLUMNS: Mapping[Network, tuple[int, ...]] = {"tumour": (0,), "classes": (1, 2)}


def train_bundle(
    recipe: Recipe,
    slices: SliceSet,
    out_dir: Path,
    *,
    work_dir: Path,
    about: BundleInfo,
    start: GliocamNet | None = None,
    machine: Machine | None = None,
    report: Reporter | None = None,
) -> Path | None:
    """Run every stage of a recipe and write the bundle.

    A stage that is done is not run again, and one that was broken off, by whatever, goes on
    from its last checkpoint: calling this again with the same arguments gives the bundle that an
    unbroken run would have given (the same one to the bit on the CPU).

    Parameters
    ----------
    recipe : Recipe
    slices : SliceSet
    out_dir : Path
        The bundle's folder.
    work_dir : Path
        Checkpoints, csv logs (``<stage>/logs/version_k/metrics.csv``), finished stages.
    about : BundleInfo
        Name, origin, licence, modalities and pixel; the rest is filled in.
    start : GliocamNet, optional
        Networks to go on from (of the recipe's design), instead of random ones.
    machine : Machine, optional
        Any one device by default.
    report : Reporter, optional
        Called after each step with a `TrainingReport`; returning True stops.

    Returns
    -------
    Path or None
        ``out_dir``; None if ``report`` stopped it.

    Raises
    ------
    TrainingError
        If the slices do not suffice, or ``work_dir`` holds another training.
    """
    run = _Run.prepare(recipe, slices, work_dir, start, machine or Machine(), report)
    try:
        return run.through(out_dir, about)
    except StoppedError:
        return None


@dataclass(eq=False)
class _Run:
    recipe: Recipe
    slices: SliceSet
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    work: Path
    net: GliocamNet
    machine: Machine
    report: Reporter | None

    @classmethod
    def prepare(
        cls,
        recipe: Recipe,
        slices: SliceSet,
        work: Path,
        start: GliocamNet | None,
        machine: Machine,
        report: Reporter | None,
    ) -> _Run:
        check_slices(slices)
        if recipe.start == "bundle" and start is None:
            raise TrainingError(
                f'The recipe "{recipe.name}" goes on from a bundle and none was given; name one, '
                'or set start to "random".'
            )
        work.mkdir(parents=True, exist_ok=True)
        _claim(work, recipe, slices, start)
        train, validation = _rows(work / "rows.npz", recipe, slices)
        channels = slices.images.shape[1]
        design = start.design if start and recipe.start == "bundle" else recipe.network.design
        with _seeded(recipe.seed):
            net = GliocamNet.of(channels, design)
        if start is not None:
            keys = differences(asdict(start.design), asdict(net.design), "network")
            if keys:
                raise TrainingError(
                    "The bundle to go on from is built in another way than the recipe says "
                    f"({', '.join(keys)}); change the recipe there or train from scratch."
                )
            net.load_state_dict(start.state_dict())
        return cls(recipe, slices, train, validation, work, net, machine, report)

    def through(self, out: Path, about: BundleInfo) -> Path:
        with _timed(self.work / "seconds.json"):
            polarity = self._train()
        if first_process():
            seconds = json.loads((self.work / "seconds.json").read_text(encoding="utf-8"))
            info = self._describe(about, polarity, seconds)
            save_bundle(self.net.eval().cpu(), info, out)
        return out

    def _train(self) -> Polarity:
        for network in COLUMNS:
            self._backbone(network)
        self.net.eval()
        device = choose_device("cpu" if self.machine.accelerator == "cpu" else "auto")
        polarity = self._polarity(device)
        self.net.set_polarity(polarity.signs)
        self._aggregators(device)
        return polarity

    # ---- stages

    def _backbone(self, name: Network) -> None:
        network, columns = getattr(self.net, name), COLUMNS[name]
        before = {k: v.clone() for k, v in network.state_dict().items()}
        network.to(memory_format=torch.channels_last)
        first, then = getattr(self.recipe.pretrain, name), getattr(self.recipe.classifier, name)
        if first.loss != "none":
            train = self._dataset(self.train, first.augment, views=2, stage=1)
            check = self._dataset(self.validation, first.augment, views=2, stage=2)
            with _seeded(self.recipe.seed, 1):
                stage: Stage = PretrainStage(network, columns, first)
            self._fit(f"pretrain.{name}", stage, train, check, first.fit)
        train = self._dataset(self.train, then.augment, stage=3)
        check = self._dataset(self.validation, None)
        stage = ClassifierStage(network, columns, then, self.recipe.network.pooling)
        self._fit(f"classifier.{name}", stage, train, check, then.fit)
        blend_weights(network, before, then.blend)

    def _polarity(self, device: torch.device) -> Polarity:
        file = self.work / "polarity.json"

        def settle() -> None:
            self._tell("polarity")
            settled = settle_polarity(
                self.net.to(device),
                self.slices,
                self.train,
                how=self.recipe.network.polarity,
                seed=self.recipe.seed,
            )
            write_json(file, asdict(settled))

        only_once(file, settle)
        return Polarity(**json.loads(file.read_text(encoding="utf-8")))

    def _aggregators(self, device: torch.device) -> None:
        recipe, maps = self.recipe.aggregate, self.work / "maps"
        train, check = self._aggregated(self.train, 0), self._aggregated(self.validation, 1)
        wanted = any(
            stage.features.projection == "deep" for stage in (recipe.tumour, recipe.classes)
        )
        if recipe.tumour.fit.epochs + recipe.classes.fit.epochs == 0:
            return
        rows = np.concatenate([train, check])
        net = self.net.to(device)

        def write_maps() -> None:
            self._tell("maps")
            freeze(net, self.slices, rows, maps, features=wanted)

        only_once(maps / "scale.npy", write_maps)
        places = np.arange(len(rows))
        places_train, places_check = places[: len(train)], places[len(train) :]

        def fit(name: str, stage: Stage, settings: Fit) -> None:
            data = FrozenMaps(maps, places_train), FrozenMaps(maps, places_check)
            self._fit(f"aggregate.{name}", stage, *data, settings)
            self.net.eval().to(device)

        with _seeded(self.recipe.seed, 2):
            tumour = TumourStage(net.tumour_attention, net.design, recipe.tumour)
            classes = ClassStage(net.class_attention, net.design, recipe.classes)
        fit("tumour", tumour, recipe.tumour.fit)
        only_once(maps / "tumour.npy", lambda: add_tumour(self.net, maps))
        fit("classes", classes, recipe.classes.fit)

    def _fit(self, name: str, stage: Stage, train: Any, check: Any, fit: Fit) -> None:
        if fit.epochs == 0:
            return
        if len(train) == 0:
            raise TrainingError(f"No slice is left for {name}; add cases that show a tumour.")
        folder = stage_folder(self.work, name)
        for attempt in range(2):
            stage.fit = halved(folder, fit)
            data = StageData(
                train, check, stage.fit, seed=self.recipe.seed, workers=self.machine.workers
            )
            stage.train()
            try:
                fit_stage(name, stage, data, folder, self.machine, self.report)
                return
            except torch.OutOfMemoryError as error:
                if attempt or stage.fit.batch == 1 or not halve(folder, stage.fit):
                    raise TrainingError(
                        f"The device has too little memory for {name} even with batches of "
                        f"{stage.fit.batch}; lower the batch, or train on another device."
                    ) from error
                torch.cuda.empty_cache()
                self._tell(
                    name,
                    f"The device ran out of memory; {name} begins again with batches of "
                    f"{halved(folder, fit).batch}, two a step.",
                )
            except LossError as error:
                if not keep_what_there_is(stage, folder):
                    raise
                self._tell(name, str(error))
                return

    def _tell(self, stage: str, note: str = "") -> None:
        """Report what has no steps; it is not stopped, the next stage is."""
        if self.report is not None:
            self.report(TrainingReport(stage, 0, 1, 0, 1, note=note))

    # ---- slices

    def _dataset(
        self, rows: NDArray[np.int64], how: Any, *, views: int = 1, stage: int = 0
    ) -> SliceDataset:
        seed = self.recipe.seed * 10 + stage
        return SliceDataset(self.slices, rows, how, views=views, seed=seed)

    def _aggregated(self, rows: NDArray[np.int64], draw: int) -> NDArray[np.int64]:
        """The rows that the aggregators learn from."""
        recipe = self.recipe.aggregate
        if recipe.slices == "tumour":
            rows = rows[self.slices.labels[rows, 0] > 0]
        if recipe.max_slices and len(rows) > recipe.max_slices:
            rng = np.random.default_rng([self.recipe.seed, draw])
            rows = np.sort(rng.permutation(rows)[: recipe.max_slices])
        return rows

    # ---- the bundle

    def _describe(self, about: BundleInfo, polarity: Polarity, seconds: float) -> BundleInfo:
        drops = all(
            c.augment.drop_modality > 0
            for c in (self.recipe.classifier.tumour, self.recipe.classifier.classes)
        )
        without = (Modality.T1CE, Modality.T2) if drops else ()
        return replace(
            about,
            **asdict(self.net.design),
            polarity=polarity.signs,
            optional_modalities=about.optional_modalities or without,
            training={
                **about.training,
                "recipe": recipe_values(self.recipe),
                "slices": len(self.train),
                "cases": len(np.unique(self.slices.case[self.train])),
                "validation_cases": len(np.unique(self.slices.case[self.validation])),
                "polarity_votes": {"skewness": polarity.skewness, "occlusion": polarity.occlusion},
                "hours": round(seconds / 3600, 2),
                "machine": f"{platform.machine()}, {self.machine.words}",
            },
        )


@contextmanager
def _seeded(*seed: int) -> Iterator[None]:
    """First weights by seed, and torch's own generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(np.random.default_rng(list(seed)).integers(2**62)))
        yield


@contextmanager
def _timed(file: Path) -> Iterator[None]:
    """Add up the seconds of all runs, but for those that were killed."""
    before = json.loads(file.read_text(encoding="utf-8")) if file.exists() else 0.0
    started = time.perf_counter()
    try:
        yield
    finally:
        if first_process():
            write_json(file, before + time.perf_counter() - started)


def _rows(
    file: Path, recipe: Recipe, slices: SliceSet
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows to train and to validate with; looking for blank slices reads them all, once."""

    def write() -> None:
        parts = split_cases(slices, recipe.data.validation, recipe.seed)
        if recipe.data.blank == "drop":
            parts = drop_blank(slices, parts[0]), drop_blank(slices, parts[1])
        temporary = file.with_name(f".tmp_{file.name}")
        np.savez(temporary, train=parts[0], validation=parts[1])
        temporary.replace(file)

    only_once(file, write)
    with np.load(file) as stored:
        return stored["train"], stored["validation"]


def _claim(work: Path, recipe: Recipe, slices: SliceSet, start: GliocamNet | None) -> None:
    """Refuse a folder in which something else was trained."""
    file = work / "training.json"
    now = {
        "recipe": recipe_values(recipe),
        "slices": slices.fingerprint(),
        "start": None if start is None else weights_digest(start),
    }
    if not file.exists():
        write_json(file, now)
        return
    before = json.loads(file.read_text(encoding="utf-8"))
    keys = differences(before, now)
    if keys:
        raise TrainingError(
            f'The folder "{work}" holds a training with other settings ({", ".join(keys[:3])}); '
            "choose another folder, or delete it to begin anew."
        )
