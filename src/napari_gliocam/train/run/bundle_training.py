"""A whole training: slices with image-level labels in, a bundle out."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_gliocam.case import Modality
from napari_gliocam.errors import TrainingError
from napari_gliocam.io.atomic import replacing, write_json
from napari_gliocam.nets.backbones import load_torchvision
from napari_gliocam.nets.bundle import save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.data.slice_set import SliceSet, check_labels, drop_blank
from napari_gliocam.train.data.split import split_cases
from napari_gliocam.train.recipe.maps import Recipe
from napari_gliocam.train.recipe.toml_file import differences, recipe_values
from napari_gliocam.train.run.backbones import Backbones
from napari_gliocam.train.run.events import Reporter
from napari_gliocam.train.run.fit import (
    Machine,
    StoppedError,
    first_process,
    launched,
    note,
    seeded,
)
from napari_gliocam.train.run.named_stages import run_named_stage
from napari_gliocam.train.run.work_files import check_same_training, facts, made_once, timed
from napari_gliocam.train.stages.exit_map_cache import ExitMaps, add_tumour, cache_exit_maps
from napari_gliocam.train.stages.polarity import Polarity, settle_polarity


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

    A finished stage is not run again, and one that was broken off, for whatever reason, goes on
    from its last checkpoint: calling this again with the same arguments gives the bundle that an
    unbroken run would have given (the same one to the bit on the CPU).

    Parameters
    ----------
    recipe : Recipe
        The settings of all stages.
    slices : SliceSet
        The slices to learn from and to validate with.
    out_dir : Path
        The bundle's folder.
    work_dir : Path
        Folder of checkpoints, csv logs (``<stage>/logs/version_k/metrics.csv``) and finished
        stages.
    about : BundleInfo
        Name, origin, licence, modalities and pixel; the rest is filled in.
    start : GliocamNet, optional
        Networks to go on from (of the recipe's design), instead of random ones.
    machine : Machine, optional
        The devices; any one device by default.
    report : Reporter, optional
        Called after each step with a `TrainingReport`; a result of True stops the training.

    Returns
    -------
    Path or None
        ``out_dir``; None if ``report`` stopped the training.

    Raises
    ------
    TrainingError
        If the slices do not suffice, or ``work_dir`` holds another training.
    """
    run = _Run.prepare(recipe, slices, work_dir, about, start, machine or Machine(), report)
    try:
        return run.through(out_dir)
    except StoppedError:
        return None


@dataclass(frozen=True, eq=False)
class _Run(Backbones):
    """The training of all networks of a bundle: classifiers, polarity, aggregators."""

    net: GliocamNet

    @classmethod
    def prepare(
        cls,
        recipe: Recipe,
        slices: SliceSet,
        work: Path,
        about: BundleInfo,
        start: GliocamNet | None,
        machine: Machine,
        report: Reporter | None,
    ) -> _Run:
        if recipe.start == "bundle" and start is None:
            raise TrainingError(
                f'The recipe "{recipe.name}" goes on from a bundle and none was given; name one, '
                'or set start to "random".'
            )
        work.mkdir(parents=True, exist_ok=True)
        fabric = launched(machine)
        check_same_training(work, recipe, slices, start)
        file = work / "rows.npz"
        train, validation = made_once(
            fabric, file, lambda: _write_rows(file, recipe, slices, report), _read_rows
        )
        channels = slices.images.shape[1]
        design = start.design if start and recipe.start == "bundle" else recipe.network.design
        check_labels(slices.labels, design.targets)
        with seeded(recipe.seed):
            net = GliocamNet.of(channels, design)
        if recipe.network.weights and start is None:
            for part in net.networks:
                load_torchvision(part.stem, part.stages, Path(recipe.network.weights))
        if start is not None:
            keys = differences(asdict(start.design), asdict(net.design), "network")
            if keys:
                raise TrainingError(
                    "The bundle to go on from is built in another way than the recipe says "
                    f"({', '.join(keys)}); change the recipe there or train from scratch."
                )
            net.load_state_dict(start.state_dict())
        return cls(recipe, slices, train, validation, work, about, machine, report, fabric, net)

    def through(self, out: Path) -> Path:
        with timed(self.work):
            polarity = self._train()
        if first_process():
            save_bundle(self.net.eval().cpu(), self._describe(polarity), out)
        return out

    def _train(self) -> Polarity:
        self.learn(self.net)
        self.net.eval()
        device = self.machine.device
        polarity = self._polarity(device)
        self.net.set_polarity(polarity.signs)
        self._aggregators(device)
        return polarity

    # ---- stages

    def _polarity(self, device: torch.device) -> Polarity:
        file = self.work / "polarity.json"

        def settle() -> None:
            note(self.report, "polarity")
            settled = settle_polarity(
                self.net.to(device),
                self.slices,
                self.train,
                how=self.recipe.network.polarity,
                seed=self.recipe.seed,
            )
            write_json(file, asdict(settled))

        return made_once(
            self.fabric, file, settle, lambda f: Polarity(**json.loads(f.read_text("utf-8")))
        )

    def _aggregators(self, device: torch.device) -> None:
        recipe, maps = self.recipe.aggregate, self.work / "maps"
        train, check = self._aggregated(self.train, 0), self._aggregated(self.validation, 1)
        fits = self.recipe.fits()
        if not any(fit.epochs for name, fit in fits.items() if name.startswith("aggregate.")):
            return
        wanted = any(s.features.projection == "deep" for s in (recipe.tumour, recipe.classes))
        rows = np.concatenate([train, check])
        places = np.arange(len(rows))
        net = self.net.to(device)

        def write_maps() -> None:
            note(self.report, "maps")
            shutil.rmtree(maps, ignore_errors=True)
            cache_exit_maps(net, self.slices, rows, maps, features=wanted)

        def fit(name: str) -> None:
            data = (ExitMaps(maps, places[: len(train)]), ExitMaps(maps, places[len(train) :]))
            run_named_stage(name, self.net, self.recipe, data, self.work, self.machine, self.report)
            self.net.eval().to(device)

        made_once(self.fabric, maps, write_maps, lambda folder: ExitMaps(folder, places))
        fit("aggregate.tumour")
        if self.net.classes is None:
            return
        made_once(
            self.fabric,
            maps / "tumour.npy",
            lambda: add_tumour(self.net, maps),
            lambda file: np.load(file, mmap_mode="r"),
        )
        fit("aggregate.classes")

    # ---- slices

    def _aggregated(self, rows: NDArray[np.int64], draw: int) -> NDArray[np.int64]:
        """Return the rows that the aggregators learn from."""
        recipe = self.recipe.aggregate
        if recipe.slices == "tumour":
            rows = rows[self.slices.labels[rows, 0] > 0]
        if recipe.max_slices and len(rows) > recipe.max_slices:
            rng = np.random.default_rng([self.recipe.seed, draw])
            rows = rng.permutation(rows)
            if self.recipe.data.sampling.real:  # as many real as synthetic ones, if there are
                real = self.slices.case[rows] >= 0
                rank = np.where(real, real.cumsum(), (~real).cumsum())
                rows = rows[rank.argsort(kind="stable")]
            rows = np.sort(rows[: recipe.max_slices])
        return rows

    # ---- the bundle

    def _describe(self, polarity: Polarity) -> BundleInfo:
        both = self.recipe.classifier
        learned = (both.tumour, both.classes)[: len(self.net.networks)]
        drops = all(classifier.augment.drop_modality > 0 for classifier in learned)
        without = (Modality.T1CE, Modality.T2) if drops else ()
        about, recipe = self.about, recipe_values(self.recipe)
        often = recipe["data"]["sampling"]["often"]  # a bundle holds no name of a case
        recipe["data"]["sampling"]["often"] = dict(enumerate(often.values(), start=1))
        return replace(
            about,
            **asdict(self.net.design),
            **(asdict(self.recipe.thresholds) if self.recipe.start == "random" else {}),
            polarity=polarity.signs,
            optional_modalities=about.optional_modalities or without,
            training={
                **about.training,
                "recipe": recipe,
                **facts(self.work, self.slices, self.train, self.validation, self.machine),
                "polarity_votes": {"skewness": polarity.skewness, "occlusion": polarity.occlusion},
            },
        )


def _write_rows(file: Path, recipe: Recipe, slices: SliceSet, report: Reporter | None) -> None:
    """Choose rows to train and to validate with; looking for blank slices reads them all."""
    train, validation = split_cases(slices, recipe.data.validation, recipe.seed)
    if recipe.data.blank == "drop":
        train, validation = drop_blank(slices, train), drop_blank(slices, validation)
        dropped = len(slices) - len(train) - len(validation)
        if dropped:
            note(report, "slices", f"{dropped} slices show nothing but air and are left out.")
    with replacing(file) as part:
        np.savez(part, train=train, validation=validation)


def _read_rows(file: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    with file.open("rb") as stream, np.load(stream) as stored:
        return stored["train"], stored["validation"]
