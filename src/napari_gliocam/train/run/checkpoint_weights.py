"""The best networks that a training has so far, whole or broken off."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.recipe.fields import Recipe
from napari_gliocam.train.run.fit import BEST, LAST, WEIGHTS, stage_folder

_PREFIX = "network."


def blend_weights(network: nn.Module, before: Mapping[str, Tensor], part: float) -> None:
    """Mix weights with those of before; ``part`` of them are the new ones."""
    if part == 1:
        return
    mixed = {
        key: torch.lerp(before[key].to(value), value, part) if value.is_floating_point() else value
        for key, value in network.state_dict().items()
    }
    network.load_state_dict(mixed)


def weights_digest(network: nn.Module) -> str:
    """Tells networks of other weights apart."""
    digest = sha256()
    for value in network.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def stage_weights(folder: Path) -> dict[str, Tensor] | None:
    """The best weights in a stage's folder: those it ended with, else of a checkpoint."""
    if (folder / WEIGHTS).exists():
        return load_file(folder / WEIGHTS)
    for name in (BEST, LAST):
        if (folder / name).exists():
            state = torch.load(folder / name, map_location="cpu", weights_only=True)["state_dict"]
            return {k.removeprefix(_PREFIX): v for k, v in state.items() if k.startswith(_PREFIX)}
    return None


def newest_networks(net: GliocamNet, work: Path, recipe: Recipe) -> bool:
    """Load into networks what the stages in a folder have learned so far.

    Parameters
    ----------
    net : GliocamNet
        As it was before the training; what no stage has reached stays so.
    work : Path
    recipe : Recipe

    Returns
    -------
    bool
        Whether there was anything.
    """
    found = False
    parts = {
        "classifier.tumour": (net.tumour, recipe.classifier.tumour.blend),
        "classifier.classes": (net.classes, recipe.classifier.classes.blend),
        "aggregate.tumour": (net.tumour_attention, 1.0),
        "aggregate.classes": (net.class_attention, 1.0),
    }
    for name, (network, blend) in parts.items():
        weights = stage_weights(stage_folder(work, name))
        if weights is not None:
            before = {k: v.clone() for k, v in network.state_dict().items()}
            network.load_state_dict(weights)
            blend_weights(network, before, blend)
            found = True
    return found
