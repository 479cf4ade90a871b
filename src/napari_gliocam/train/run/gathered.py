"""A training whose slices are gathered, whatever it trains: all that the run loop asks of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import nn

from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.data.slice_set import SliceSet
from napari_gliocam.train.labels.tags import Tag
from napari_gliocam.train.recipe.common import AnyRecipe
from napari_gliocam.train.run.events import Plan, Reporter
from napari_gliocam.train.run.fit import Machine
from napari_gliocam.train.run.request import TrainingRequest
from napari_gliocam.train.stages.stage import Stage


@dataclass(frozen=True, eq=False, kw_only=True)
class Gathered(ABC):
    """The input of a training.

    Parameters
    ----------
    request : TrainingRequest
        The request.
    recipe : AnyRecipe
        The recipe, fitted to the number of cases.
    start : Bundle or None
        The bundle to go on from, or whose maps made the masks.
    slices : SliceSet
        Slices of the real cases and of synthetic ones.
    sources : mapping of str to Path
        A file of each real case, by its name.
    tags : mapping of str to mapping of int to Tag
        Slice labels by case and number of the slice in the file.
    plan : Plan
        A summary.
    warnings : tuple of str
        Sentences about labels and slices that take no part.
    """

    request: TrainingRequest
    recipe: AnyRecipe
    start: Bundle | None
    slices: SliceSet
    sources: Mapping[str, Path]
    tags: Mapping[str, Mapping[int, Tag]]
    plan: Plan
    warnings: tuple[str, ...] = ()

    #: What made the new bundle of the one to go on from.
    made_by: ClassVar[str]

    @abstractmethod
    def train(self, machine: Machine, report: Reporter) -> bool:
        """Run every stage, from any point where it was broken off, and write the bundle.

        Parameters
        ----------
        machine : Machine
            The devices.
        report : Reporter
            Called after each step; a result of True stops the training.

        Returns
        -------
        bool
            False if it was stopped.
        """

    @abstractmethod
    def best_so_far(self) -> tuple[GliocamNet, nn.Module | None] | None:
        """Return the networks with the best weights so far; None if there are none yet."""

    @abstractmethod
    def trial(self, name: str, device: torch.device) -> tuple[Stage, Callable[[], object]]:
        """Return a stage that learns nothing that stays, and a function that makes a batch for it.

        Parameters
        ----------
        name : str
            A stage of the plan.
        device : torch.device
            Where it runs.
        """

    @property
    def about(self) -> BundleInfo:
        """The description of the new bundle, as far as it is known before it is trained."""
        request = self.request
        name = request.name or request.out_dir.name
        name = name.encode(errors="replace").decode()  # a folder's name may be no text
        if self.start is None:
            return BundleInfo(
                name=name,
                origin="Trained from scratch on own cases with slice labels alone",
                licence="unknown",
                training={"request": _settings(request)},
            )
        before = self.start.info
        began = {"name": before.name, "origin": before.origin, "licence": before.licence}
        return replace(
            before,
            name=name,
            origin=f"{before.name}, {self.made_by}",
            path=None,
            training={"began_with": began, "request": _settings(request)},
        )


def _settings(request: TrainingRequest) -> dict[str, Any]:
    """Return the settings that may be shared with a bundle: no path, no name of a folder."""
    given = "a table of slice labels" if request.labels else ""
    labels = given or ("those of the masks" if request.masks else "derived from expert labels")
    names = ("device", "devices", "nodes", "workers", "threads", "compare")
    return {"labels": labels, **{name: getattr(request, name) for name in names}}
