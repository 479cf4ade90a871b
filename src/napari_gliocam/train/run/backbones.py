"""The first half of a training: both classifiers, in one go or in rounds with several seeds."""

from __future__ import annotations

from contextlib import nullcontext
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from lightning import Fabric
from numpy.typing import NDArray
from torch import nn
from torch.optim.swa_utils import update_bn

from napari_gliocam.errors import TrainingError
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.data.batches import BatchLoader, HeldImages, SliceDataset
from napari_gliocam.train.data.draws import make_draws
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.recipe.maps import Recipe
from napari_gliocam.train.run.checkpoints import (
    WEIGHTS,
    blend_weights,
    mean_weights,
    read_weights,
    save_weights,
    stage_folder,
)
from napari_gliocam.train.run.events import Reporter
from napari_gliocam.train.run.fit import Machine, note
from napari_gliocam.train.run.named_stages import run_named_stage
from napari_gliocam.train.run.side_by_side import Part, SideBySide
from napari_gliocam.train.run.work_files import made_once
from napari_gliocam.train.stages.soft_maps import SoftMaps, write_soft_maps

Network = Literal["tumour", "classes"]
NETWORKS: tuple[Network, ...] = ("tumour", "classes")
#: Batches from which the statistics of batch norm are taken for weights that were averaged.
STATISTICS_BATCHES = 24


@dataclass(frozen=True, eq=False)
class Backbones:
    """Trains both classifiers of a bundle in place.

    Parameters
    ----------
    recipe : Recipe
        The settings of all stages.
    slices : SliceSet
        All slices.
    train, validation : ndarray of int
        Rows of ``slices`` to learn from and to validate with.
    work : Path
        The work folder.
    about : BundleInfo
        Modalities, pixel and thresholds of the bundle.
    machine : Machine
        The devices.
    report : Reporter or None
        Takes the reports.
    fabric : Fabric or None
        Lets other processes wait; None where there is one alone.
    """

    recipe: Recipe
    slices: SliceSet
    train: NDArray[np.int64]
    validation: NDArray[np.int64]
    work: Path
    about: BundleInfo
    machine: Machine
    report: Reporter | None
    fabric: Fabric | None

    def learn(self, net: GliocamNet) -> None:
        """Train the tumour and the class network; what is finished is loaded."""
        recipe = self.recipe
        if not recipe.rounds:
            for name in NETWORKS[: len(net.networks)]:
                self._one(net, name, recipe, self.work)
            return
        nets = [deepcopy(net) for _ in range(recipe.seeds)]
        count = self.machine.together(len(nets) * len(net.networks), self.slices.images)
        with SideBySide(self, count) if count > 1 else nullcontext() as processes:
            for number, settings in enumerate(recipe.rounds, start=1):
                maps = None
                if settings.weight_maps:
                    made = self.work / f"round-{number}" / "soft-maps"
                    maps = self._soft_maps(nets, made, settings.prior_shift)
                folder = None if maps is None else maps.folder
                parts = [
                    Part(each, number, k, name, folder)
                    for k, each in enumerate(nets)
                    for name in NETWORKS[: len(net.networks)]
                ]
                if processes is not None:
                    processes.train(parts)
                for part in parts:
                    self.learn_part(part, maps)
        every = zip(*(each.networks for each in nets), strict=True)
        for name, network, seeds in zip(NETWORKS, net.networks, every, strict=False):
            network.load_state_dict(mean_weights(seeds))
            file = stage_folder(self.work, f"classifier.{name}") / WEIGHTS
            self._settle(network, file, getattr(recipe.classifier, name).fit.batch)

    def learn_part(self, part: Part, maps: SoftMaps | None = None) -> None:
        """Train one network of one seed in one round, in place; what is finished is loaded.

        Parameters
        ----------
        part : Part
            The network.
        maps : SoftMaps, optional
            Its soft maps, where they are open already.
        """
        number, recipe = part.number, self.recipe
        if maps is None and part.maps is not None:
            maps = self._opened(part.maps)
        seeded = replace(recipe.of_round(number), seed=recipe.seed + part.seed)
        words = f", round {number} of {len(recipe.rounds)}, seed {seeded.seed}"
        work = self.work / f"round-{number}" / f"seed-{seeded.seed}"
        self._one(part.net, part.network, seeded, work, words, maps)

    def _one(
        self,
        net: GliocamNet,
        name: Network,
        recipe: Recipe,
        work: Path,
        words: str = "",
        maps: SoftMaps | None = None,
    ) -> None:
        run = partial(
            run_named_stage,
            net=net,
            recipe=recipe,
            work=work,
            machine=self.machine,
            report=self.report,
            words=words,
        )
        network = net.networks[NETWORKS.index(name)]
        before = {k: v.clone() for k, v in network.state_dict().items()}
        network.to(memory_format=torch.channels_last)
        first, then = getattr(recipe.pretrain, name), getattr(recipe.classifier, name)
        seed = recipe.seed * 10
        if first.loss != "none":
            views = [
                SliceDataset(
                    self.slices, rows, first.augment, views=2, seed=seed + k, held=self.held
                )
                for k, rows in enumerate((self.train, self.validation), start=1)
            ]
            run(f"pretrain.{name}", data=(views[0], views[1]))
        draws = make_draws(self.slices, self.train, recipe.data.sampling)
        held = self.held
        train = SliceDataset(
            self.slices,
            self.train,
            then.augment,
            seed=seed + 3,
            draws=draws,
            maps=maps,
            held=held,
        )
        check = SliceDataset(self.slices, self.validation, maps=maps, held=held)
        run(f"classifier.{name}", data=(train, check))
        if then.fit.average and then.fit.epochs:
            folder = stage_folder(work, f"classifier.{name}")
            self._settle(network, folder / "settled.safetensors", then.fit.batch)
        blend_weights(network, before, then.blend)

    def _settle(self, network: nn.Module, file: Path, batch: int) -> None:
        """Take the statistics of batch norm anew for weights that are a mean, and keep both."""

        def make() -> None:
            device = self.machine.device
            draws = make_draws(self.slices, self.train, self.recipe.data.sampling)
            data = SliceDataset(
                self.slices,
                self.train,
                self.recipe.classifier.tumour.augment,
                seed=self.recipe.seed * 10 + 4,
                draws=draws and draws.real_alone(),
                held=self.held,
            )
            batches = islice(BatchLoader(data, batch, self.recipe.seed), STATISTICS_BATCHES)
            update_bn(((b.images.to(device),) for b in batches), network.to(device), device)
            save_weights(network.cpu(), file)

        made_once(self.fabric, file, make, lambda f: read_weights(network, f))

    def _soft_maps(self, nets: list[GliocamNet], folder: Path, prior_shift: float) -> SoftMaps:
        design = nets[0].design
        if design.map_range != "sigmoid":
            raise TrainingError(
                f'The networks have maps of the range "{design.map_range}", and soft maps teach '
                'those of "sigmoid" alone; set weight_maps of every round to 0.'
            )

        def make() -> None:
            note(self.report, "soft maps")
            device = self.machine.device
            even = []  # the exits count alike until the aggregators learn
            for net in nets:
                plain = GliocamNet.of(self.slices.images.shape[1], design)
                for new, learned in zip(plain.networks, net.networks, strict=True):
                    new.load_state_dict(learned.state_dict())
                even.append(plain.eval().to(device))
            write_soft_maps(even, self.slices, self.train, folder, self.about, prior_shift)

        return made_once(self.fabric, folder, make, self._opened)

    def _opened(self, folder: Path) -> SoftMaps:
        """Open soft maps, on the device where it holds the slices."""
        return SoftMaps(folder, None if self.held is None else self.held.device)

    @cached_property
    def held(self) -> HeldImages | None:
        """All slices on the device, where it holds them."""
        images = self.slices.images
        return HeldImages(images, self.machine.device) if self.machine.holds(images) else None
