"""Backbones of torchvision, cut into a stem and four stages (papers 2, 3 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from napari_gliocam.errors import BundleError

#: Layers that normalise.  The papers' code takes ``"instance"``: without affine parameters a
#: lesion lowers the mean of its own map, so exits are learned the wrong way round.  VGG-19 as
#: published has ``"none"``.
NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm2d,
    "instance-affine": partial(nn.InstanceNorm2d, affine=True),
    "instance": nn.InstanceNorm2d,
    "none": nn.Identity,
}

#: Block, and number of blocks of each stage (He et al. 2016, Table 1).
_RESNETS: dict[str, tuple[type[BasicBlock | Bottleneck], tuple[int, ...]]] = {
    "resnet18": (BasicBlock, (2, 2, 2, 2)),
    "resnet34": (BasicBlock, (3, 4, 6, 3)),
    "resnet50": (Bottleneck, (3, 4, 6, 3)),
    "resnet101": (Bottleneck, (3, 4, 23, 3)),
}
#: Of batch norm; older files lack it.
_COUNTER = "num_batches_tracked"
#: Convolutions of stem and stages, and their channels in multiples of the first (Simonyan and
#: Zisserman 2015, configuration E).
_VGG19 = ((2, 1), (2, 2), (4, 4), (4, 8), (4, 8))


def make_backbone(
    name: str,
    in_channels: int,
    width: int,
    strides: Sequence[int],
    make_norm: Callable[[int], nn.Module],
) -> tuple[nn.Sequential, nn.ModuleList, list[int]]:
    """Build a backbone with random weights.

    Parameters
    ----------
    name : str
        "resnet18", "resnet34", "resnet50", "resnet101" or "vgg19".
    in_channels : int
        Modalities.
    width : int
        Channels of the stem, 64 in the originals.
    strides : 4 int
        Pixels of the slice a pixel of each stage, see `napari_gliocam.nets.design.Design`.
    make_norm : callable
        Makes a layer that normalises so many channels.

    Returns
    -------
    stem : Sequential
    stages : ModuleList of 4 Sequential
    widths : list of int
        Channels of each stage.
    """
    if name == "vgg19":
        return _vgg19(in_channels, width, make_norm)
    block, depths = _RESNETS[name]
    stem = nn.Sequential(
        nn.Conv2d(in_channels, width, 7, stride=min(strides[0], 2), padding=3, bias=False),
        make_norm(width),
        nn.ReLU(inplace=True),
    )
    if strides[0] == 4:
        stem.append(nn.MaxPool2d(3, stride=2, padding=1))
    steps = [1, *(b // a for a, b in pairwise(strides))]
    inner = [width, 2 * width, 4 * width, 8 * width]
    widths = [channels * block.expansion for channels in inner]
    stages = nn.ModuleList(
        _stage(block, inputs, channels, depth, step, make_norm)
        for inputs, channels, depth, step in zip(
            [width, *widths[:-1]], inner, depths, steps, strict=True
        )
    )
    return stem, stages, widths


def _stage(
    block: type[BasicBlock | Bottleneck],
    inputs: int,
    channels: int,
    depth: int,
    stride: int,
    norm: Callable[[int], nn.Module],
) -> nn.Sequential:
    outputs = channels * block.expansion
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False), norm(outputs)
        )
    first = _block(block, inputs, channels, norm, stride, shortcut)
    return nn.Sequential(first, *(_block(block, outputs, channels, norm) for _ in range(depth - 1)))


def _block(
    block: type[BasicBlock | Bottleneck],
    inputs: int,
    channels: int,
    norm: Callable[[int], nn.Module],
    stride: int = 1,
    shortcut: nn.Module | None = None,
) -> nn.Module:
    # Bottleneck reads its inner channels as those of a network of width 64.
    made: nn.Module = block(inputs, channels, stride, shortcut, norm_layer=norm)
    return made


def _vgg19(
    in_channels: int, width: int, norm: Callable[[int], nn.Module]
) -> tuple[nn.Sequential, nn.ModuleList, list[int]]:
    parts: list[nn.Sequential] = []
    inputs = in_channels
    for number, (depth, factor) in enumerate(_VGG19):
        layers: list[nn.Module] = [nn.MaxPool2d(2)] if number else []
        for _ in range(depth):
            channels = width * factor
            layers += [nn.Conv2d(inputs, channels, 3, padding=1), norm(channels), nn.ReLU()]
            inputs = channels
        parts.append(nn.Sequential(*layers))
    return parts[0], nn.ModuleList(parts[1:]), [width * factor for _, factor in _VGG19[1:]]


def load_torchvision(stem: nn.Module, stages: nn.Module, file: Path) -> None:
    """Load weights of torchvision's network into a backbone; its classifier is left out.

    Parameters
    ----------
    stem, stages : Module
        Of the backbone, in the original's width, with batch norm (VGG-19: with or without).
    file : Path
        A state dict as torchvision publishes it (``resnet34-b627a593.pth``), opened by torch with
        ``weights_only``, which runs no code from it; or the same as safetensors.

    Raises
    ------
    BundleError
        The file cannot be read, or holds the weights of another network.
    """
    found = _read(file)
    kept = [
        value
        for name, value in found.items()
        if not name.startswith(("fc.", "classifier.")) and not name.endswith(_COUNTER)
    ]
    wanted = {f"stem.{k}": v for k, v in stem.state_dict().items()}
    wanted |= {f"stages.{k}": v for k, v in stages.state_dict().items()}
    wanted = {name: value for name, value in wanted.items() if not name.endswith(_COUNTER)}
    shapes = [tuple(value.shape) for value in wanted.values()]
    if [tuple(value.shape) for value in kept] != shapes:
        raise BundleError(
            f'"{file}" holds the weights of another network than the recipe builds; choose the '
            "file of that network, or set width 64, three modalities and the norm of the file."
        )
    with torch.no_grad():
        for value, new in zip(wanted.values(), kept, strict=True):
            value.copy_(new)


def _read(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a foreign file makes torch raise
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise BundleError(
            f'The weights "{file}" cannot be read ({reason}); choose a file of torchvision\'s '
            "weights."
        ) from error
    if not isinstance(found, dict) or not all(isinstance(v, Tensor) for v in found.values()):
        raise BundleError(f'"{file}" holds no weights; choose a file of torchvision\'s weights.')
    return found
