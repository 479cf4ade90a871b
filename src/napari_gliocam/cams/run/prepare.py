"""A case made ready for the networks once, for any number of explanations."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case
from napari_gliocam.errors import GliocamError
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.progress import Progress, finished
from napari_gliocam.slices import SliceStack, cutting_slices
from napari_gliocam.targets import TARGETS, Target

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from napari_gliocam.cams.run.batch import Batch
    from napari_gliocam.nets.bundle import Bundle
    from napari_gliocam.nets.bundle_info import BundleInfo


@dataclass(frozen=True, eq=False)
class Prepared:
    """A case, cut into slices, beside the networks that look at it.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    bundle : Bundle
        Its network is on ``device``.
    stack : SliceStack
        Every slice with brain.
    device : torch.device
        Where the networks run.
    probabilities : ndarray of float32, (N, 3), or None
        Image-level probabilities of tumour, core, edema where the networks have been asked.
    last : dict or None
        The last batch by its slices, with its features, where methods take turns on it; None keeps
        none.
    """

    case: Case
    bundle: Bundle
    stack: SliceStack
    device: torch.device
    probabilities: NDArray[np.float32] | None = None
    last: dict[tuple[int, ...], Batch] | None = None

    @property
    def batch_size(self) -> int:
        """Slices the device takes at once."""
        from napari_gliocam.segmentation import BATCH

        return BATCH[self.device.type]

    def batch(self, where: list[int]) -> Batch:
        """Return some slices of the stack on the device."""
        from napari_gliocam.cams.run.batch import Batch
        from napari_gliocam.device import enough_memory

        if self.last is not None and tuple(where) in self.last:
            self.bundle.net.to(self.device)  # a segmentation elsewhere may have moved it since
            return self.last[tuple(where)]
        segment = None if self.bundle.segmenter is None else partial(self._segment, where)
        with enough_memory(self.device):
            net = self.bundle.net.to(self.device)
            batch = Batch(net, *self.stack.on(self.device, where), segment)
        if self.last is not None:
            self.last.clear()
            self.last[tuple(where)] = batch
        return batch

    def _segment(self, where: list[int]) -> Tensor:
        """Return the maps of the segmentation network of some slices, (B, 3, H, W)."""
        import torch

        from napari_gliocam.nets.segmenters.neighbours import with_neighbours
        from napari_gliocam.nets.segmenters.run import segment_slices

        network, info = self.bundle.segmenter, self.bundle.info
        assert network is not None
        assert info.segmenter is not None
        spacing = self.case.grid.spacing[0]
        made = segment_slices(
            network.to(self.device).to(memory_format=torch.channels_last),
            info.segmenter,
            with_neighbours(self.stack.images, spacing, info.segmenter, where),
            self.stack.brain[where],
            self.device,
            info.tumour_threshold,
        )
        return torch.from_numpy(made.maps).transpose(0, 1)


def preparing(
    case: Case,
    bundle: Bundle | None = None,
    device: str = "auto",
    *,
    maps: ClassMaps | None = None,
) -> Generator[Progress, None, Prepared]:
    """Cut a case into slices and bring the networks to the device.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    bundle : Bundle, optional
        The one that ships with the package by default.
    device : {"auto", "cpu", "cuda", "mps"}
        Where torch runs; the fastest there is by default.
    maps : ClassMaps, optional
        Of this case and bundle; the networks need not be asked again which slices show lesion.

    Raises
    ------
    CaseError
        If the case lacks a modality that the bundle needs, or shows no brain.
    DeviceError
        If the device is not there.
    """
    from napari_gliocam.device import choose_device
    from napari_gliocam.nets.bundle import load_bundle
    from napari_gliocam.segmentation import check_modalities

    bundle = bundle or load_bundle()
    torch_device = choose_device(device)
    check_modalities(case, bundle.info)
    info = bundle.info
    stack = yield from cutting_slices(
        case, info.modalities, pixel_mm=info.pixel_mm, normalisation=info.normalisation
    )
    bundle.net.on(torch_device)
    known = None if maps is None else maps.probabilities[list(stack.frame.indices)]
    return Prepared(case, bundle, stack, torch_device, known)


prepare = finished(preparing, "prepare")


def with_probabilities(prepared: Prepared, maps: ClassMaps) -> Prepared:
    """Return it with the image-level probabilities of maps that the same bundle made.

    Parameters
    ----------
    prepared : Prepared
        The case on the device, with the networks.
    maps : ClassMaps
        Of the same case; those of another bundle, or of a segmentation network alone, change
        nothing.
    """
    known = maps.provenance.get("bundle", {}).get("name") == prepared.bundle.info.name
    known &= maps.trace is not None
    if prepared.probabilities is not None or not known:
        return prepared
    indices = list(prepared.stack.frame.indices)
    return replace(prepared, probabilities=maps.probabilities[indices])


def check_targets(info: BundleInfo, targets: Sequence[Target]) -> None:
    """Raise `GliocamError` if a bundle does not know one of the targets."""
    unknown = [target for target in targets if target not in info.targets]
    if unknown:
        raise GliocamError(
            f'The bundle "{info.name}" knows the tumour alone, not {" and ".join(unknown)}; '
            "choose the tumour, or another bundle."
        )


def asking(
    prepared: Prepared, targets: Sequence[Target] = ()
) -> Generator[Progress, None, Prepared]:
    """Compute which slices show each target; at once where that is known.

    Parameters
    ----------
    prepared : Prepared
        The case on the device, with the networks.
    targets : sequence of Target
        Targets that are looked for; those of the bundle by default.

    Raises
    ------
    GliocamError
        The bundle does not know one of the targets.
    """
    if prepared.probabilities is not None:
        return prepared
    targets = targets or prepared.bundle.info.targets
    check_targets(prepared.bundle.info, targets)
    total = len(prepared.stack.frame)
    found = np.zeros((total, len(TARGETS)), dtype=np.float32)
    for start in range(0, total, prepared.batch_size):
        where = list(range(start, min(start + prepared.batch_size, total)))
        batch = prepared.batch(where)
        for target in targets:
            found[where, TARGETS.index(target)] = batch.probabilities(target).cpu().numpy()
        yield Progress(where[-1] + 1, total, "looking for slices with lesion")
    return replace(prepared, probabilities=found)
