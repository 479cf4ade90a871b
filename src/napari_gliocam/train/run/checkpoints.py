"""Checkpoints that survive kills and full disks, and the weights in them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from napari_gliocam.io.atomic import replacing
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.train.recipe.maps import Recipe

#: Written when a stage is done.
WEIGHTS = "weights.safetensors"
#: Written after each epoch: the state to go on from, and the best one.
LAST, BEST = "last.ckpt", "best.ckpt"
_PREFIX = "network."


class DurableCheckpointIO(TorchCheckpointIO):
    """Lightning's checkpoints, written beside their place and with the one before kept.

    Lightning itself writes to the system's temporary folder; from there to another file system the
    last step is a copy, which a kill or a full disk cuts.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Write a checkpoint, whole or not at all."""
        file = Path(path)
        with replacing(file) as part:
            torch.save(checkpoint, part)
            if file.exists():
                file.replace(_before(file))

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read a checkpoint, perhaps moved; tensors and plain values only, no code."""
        state: dict[str, Any] = torch.load(path, map_location=map_location, weights_only=True)
        folder = os.path.realpath(Path(path).parent)
        for callback in state.get("callbacks", {}).values():
            if "dirpath" in callback:  # or Lightning forgets which epoch was the best
                callback["dirpath"] = folder
                for key in ("best_model_path", "kth_best_model_path", "last_model_path"):
                    callback[key] = callback[key] and str(Path(folder, Path(callback[key]).name))
                kept = callback["best_k_models"].items()
                callback["best_k_models"] = {str(Path(folder, Path(k).name)): v for k, v in kept}
        return state


def stage_folder(work: Path, name: str) -> Path:
    """Return the folder of a stage's files."""
    return work / name.replace(".", "_")


def readable(file: Path) -> Path | None:
    """Return a checkpoint if it can be read, else the one before it, else None."""
    for candidate in (file, _before(file)):
        with suppress(Exception):  # whatever a damaged file makes of torch
            torch.load(candidate, map_location="cpu", weights_only=True)["state_dict"]
            return candidate
    return None


def save_weights(network: nn.Module, file: Path) -> None:
    """Write a network's weights as safetensors, whole or not at all."""
    with replacing(file) as part:
        save_file({k: v.contiguous() for k, v in network.state_dict().items()}, part)


def load_weights(network: nn.Module, file: Path) -> bool:
    """Load the weights of a finished stage; return False where they are missing or damaged."""
    try:
        read_weights(network, file)
    except (OSError, SafetensorError, RuntimeError, ValueError):
        return False
    return True


def read_weights(network: nn.Module, file: Path) -> None:
    """Load weights that `save_weights` wrote; raise where the file is missing or damaged."""
    network.load_state_dict(load_file(file))


def mean_weights(networks: Sequence[nn.Module]) -> dict[str, Tensor]:
    """Return the mean of the weights of networks of one kind; counters are those of the first."""
    states = [network.state_dict() for network in networks]
    return {
        key: torch.stack([s[key] for s in states]).mean(dim=0) if v.is_floating_point() else v
        for key, v in states[0].items()
    }


def blend_weights(network: nn.Module, before: Mapping[str, Tensor], part: float) -> None:
    """Mix the weights of a network with earlier ones.

    Parameters
    ----------
    network : Module
        The network with the new weights; changed in place.
    before : mapping of str to Tensor
        The earlier weights.
    part : float
        Share of the new weights, in [0, 1].
    """
    if part == 1:
        return
    mixed = {
        key: torch.lerp(before[key].to(value), value, part) if value.is_floating_point() else value
        for key, value in network.state_dict().items()
    }
    network.load_state_dict(mixed)


def weights_digest(network: nn.Module) -> str:
    """Return a text that differs for networks of other weights."""
    digest = sha256()
    for value in network.state_dict().values():
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def load_best_so_far(net: GliocamNet, work: Path, recipe: Recipe) -> bool:
    """Load into networks the best weights of all stages so far.

    Parameters
    ----------
    net : GliocamNet
        The networks before the training; those that no stage has reached stay so.
    work : Path
        The work folder of the training.
    recipe : Recipe
        The recipe, for the blending of weights.

    Returns
    -------
    bool
        False if there are no weights yet.
    """
    found = False
    parts = {
        "classifier.tumour": (net.tumour, recipe.classifier.tumour.blend),
        "classifier.classes": (net.classes, recipe.classifier.classes.blend),
        "aggregate.tumour": (net.tumour_attention, 1.0),
        "aggregate.classes": (net.class_attention, 1.0),
    }
    for name, (network, blend) in parts.items():
        if network is None:
            continue
        before = {k: v.clone() for k, v in network.state_dict().items()}
        if load_stage(network, stage_folder(work, name)):
            blend_weights(network, before, blend)
            found = True
    return found


def load_stage(network: nn.Module, folder: Path) -> bool:
    """Load the weights that a stage ended with, else those of its best or last checkpoint.

    Parameters
    ----------
    network : Module
        The network that leaves the stage.
    folder : Path
        Folder of the stage, see `stage_folder`.

    Returns
    -------
    bool
        False if there are none yet.
    """
    if load_weights(network, folder / WEIGHTS):
        return True
    file = readable(folder / BEST) or readable(folder / LAST)
    if file is None:
        return False
    state = torch.load(file, map_location="cpu", weights_only=True)["state_dict"]
    network.load_state_dict(
        {k.removeprefix(_PREFIX): v for k, v in state.items() if k.startswith(_PREFIX)}
    )
    return True


def _before(file: Path) -> Path:
    return file.with_name(f"{file.stem}-before{file.suffix}")
