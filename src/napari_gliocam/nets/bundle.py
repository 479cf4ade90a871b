"""A bundle: weights (safetensors) with their description (json, see `bundle_info`).

Nothing is ever unpickled from a file a user picks, and nothing is downloaded.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from napari_gliocam.errors import BundleError
from napari_gliocam.nets.bundle_info import INFO_FILE, BundleInfo, read_bundle_info
from napari_gliocam.settings import Networks

if TYPE_CHECKING:
    from torch import Tensor, nn

    from napari_gliocam.nets.gliocam import GliocamNet

WEIGHTS_FILE = "bundle.safetensors"
#: Weights of the segmentation network, in a bundle that has one.
SEGMENTER_FILE = "segmenter.safetensors"
N = TypeVar("N", bound="nn.Module")

#: More than any bundle that we write needs; a larger one is refused before memory is taken.
_LARGEST_NETS = 1 << 31
_FLOATS = ("F16", "BF16", "F32", "F64")


@dataclass(frozen=True, eq=False)
class Bundle:
    """Networks in evaluation mode, and their description.

    Parameters
    ----------
    info : BundleInfo
        The description.
    net : GliocamNet
        The networks of the maps: float32, on the device that they ran on last.
    segmenter : Module or None
        The segmentation network, where there is one; it segments, ``net`` explains.
    """

    info: BundleInfo
    net: GliocamNet
    segmenter: nn.Module | None = None

    def using(self, networks: Networks) -> Bundle:
        """Return the bundle so that chosen networks segment.

        Parameters
        ----------
        networks : {"bundle", "maps", "segmenter"}
            As the bundle was made; the networks of the maps; the segmentation network alone.

        Raises
        ------
        BundleError
            If it has no segmentation network, and that was chosen.
        """
        if networks == "bundle" or (networks == "maps" and self.segmenter is None):
            return self
        if networks == "maps":
            return Bundle(replace(self.info, segmenter=None), self.net)
        if self.segmenter is None or self.info.segmenter is None:
            raise BundleError(
                f'The bundle "{self.info.name}" has no segmentation network; choose the maps, or '
                "another bundle."
            )
        alone = replace(self.info.segmenter, tumour_share=1.0, class_share=1.0)
        return replace(self, info=replace(self.info, segmenter=alone))


def load_bundle(path: str | Path | None = None) -> Bundle:
    """Load a bundle with its networks (imports torch).

    Parameters
    ----------
    path
        As in `read_bundle_info`.

    Raises
    ------
    BundleError
        If it is missing, damaged, or its weights do not fit its description.
    """
    from napari_gliocam.nets.gliocam import GliocamNet

    info = read_bundle_info(path)
    assert info.path is not None
    channels, design = len(info.modalities), info.segmenter
    file = info.path / WEIGHTS_FILE
    with _explained(file):
        net = _read_network(file, lambda: GliocamNet.of(channels, info.design, info.polarity))
        _try_out(partial(_answers, net), channels)
    if design is None:
        return Bundle(info, net)
    from napari_gliocam.nets.segmenters.build import build_segmenter

    file = info.path / SEGMENTER_FILE
    with _explained(file):
        segmenter = _read_network(file, lambda: build_segmenter(design, channels))
        _try_out(lambda images: (segmenter(images),), design.channels(channels))
    return Bundle(info, net, segmenter)


@contextmanager
def _explained(file: Path) -> Iterator[None]:
    """Turn what goes wrong with a file of weights into a sentence."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BundleError(
            f'The weights "{file}" are missing, damaged or do not fit the bundle\'s description '
            f"({reason}); copy the bundle again or choose another."
        ) from error


def _read_network(file: Path, build: Callable[[], N]) -> N:
    """Return a network in evaluation mode with the weights of a file."""
    import torch
    from safetensors import safe_open

    if not file.is_file():
        raise OSError("there is no such file")
    with torch.device("meta"):  # shapes alone: nothing is allocated before they are checked
        wanted = build().state_dict()
    with safe_open(file, framework="pt") as stream:
        _check_shapes(wanted, {k: stream.get_slice(k) for k in stream.keys()})  # noqa: SIM118
        state = {name: stream.get_tensor(name) for name in wanted}
    for name, value in state.items():
        _check_values(name, value)
    net = build()
    net.load_state_dict({k: v.to(wanted[k].dtype) for k, v in state.items()})
    return net.eval()


def _check_shapes(wanted: Mapping[str, Tensor], found: Mapping[str, Any]) -> None:
    """Raise `ValueError` unless a file holds these tensors, of these shapes, within the budget."""
    if set(wanted) != set(found):
        name = min(set(wanted) ^ set(found))
        raise ValueError(f'"{name}" is {"missing" if name in wanted else "not expected"}')
    for name, value in wanted.items():
        if tuple(found[name].get_shape()) != tuple(value.shape):
            raise ValueError(f'"{name}" is {found[name].get_shape()}, not {list(value.shape)}')
        kind = found[name].get_dtype()
        if (kind in _FLOATS) != value.is_floating_point():
            raise ValueError(f'"{name}" is of the type {kind}')
    total = sum(value.nbytes for value in wanted.values())
    if total > _LARGEST_NETS:
        raise ValueError(f"{total >> 20} MiB of weights, more than {_LARGEST_NETS >> 20}")


def _check_values(name: str, value: Tensor) -> None:
    """Raise `ValueError` if a weight, or a statistic of batch norm, cannot be right."""
    if not value.isfinite().all():
        raise ValueError(f'"{name}" holds values that are no numbers')
    if name.endswith("running_var") and value.min() < 0:
        raise ValueError(f'"{name}" holds a negative variance')


def _try_out(answer: Callable[[Tensor], Iterable[Tensor]], channels: int) -> None:
    """Raise `ValueError` if networks answer a slice of a ramp by values that are no numbers."""
    import torch

    ramp = torch.linspace(-3, 3, channels * 32 * 32).reshape(1, channels, 32, 32)
    with torch.inference_mode():
        if not all(values.isfinite().all() for values in answer(ramp)):
            raise ValueError("the networks do not give numbers")


def _answers(net: GliocamNet, images: Tensor) -> tuple[Tensor, ...]:
    maps = net(images, images.new_ones(1, 1, *images.shape[-2:]))
    return maps.logits, maps.aggregates, *maps.exits


def save_bundle(
    net: GliocamNet, info: BundleInfo, folder: Path, *, segmenter: nn.Module | None = None
) -> None:
    """Write a bundle: weights and json, all or none.

    Weights are stored as float16 where they fit.  Statistics of batch norm stay float32, in which
    a large variance does not become infinite, nor a small one 0.

    Parameters
    ----------
    net : GliocamNet
        The networks of the maps.
    info : BundleInfo
        The bundle's name, origin, licence and design; that of a segmentation network is left out
        where none is saved.
    folder : Path
        Made if it is missing.
    segmenter : Module, optional
        The segmentation network of the design in ``info``.

    Raises
    ------
    SaveError
        If it cannot be written.
    """
    from napari_gliocam.io.atomic import write_files

    if segmenter is None:
        info = replace(info, segmenter=None)
    contents = {folder / WEIGHTS_FILE: _packed(net, info)}
    if segmenter is not None:
        contents[folder / SEGMENTER_FILE] = _packed(segmenter, info)
    text = json.dumps(info.to_json(), indent=2, ensure_ascii=False) + "\n"
    contents[folder / INFO_FILE] = text.encode()
    write_files(contents, overwrite=True)


def _packed(net: nn.Module, info: BundleInfo) -> bytes:
    """Return the weights of a network as the bytes of a file of safetensors."""
    import torch
    from safetensors.torch import save

    statistics = {name for name, _ in net.named_buffers()}
    state = {}
    for name, value in net.state_dict().items():
        small = value.to(torch.float16) if value.is_floating_point() else value
        fits = name not in statistics and bool(small.isfinite().all())
        state[name] = (small if fits else value).contiguous()
    return save(state, {"name": info.name, "licence": info.licence})
