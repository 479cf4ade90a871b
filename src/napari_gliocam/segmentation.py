"""Segment a case: from its modalities to maps and labels, in one generator for all callers."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Case
from napari_gliocam.errors import CaseError, GliocamError
from napari_gliocam.maps.across_slices import smooth_across_slices
from napari_gliocam.maps.class_maps import ClassMaps, NetworkTrace
from napari_gliocam.nets.design import Design
from napari_gliocam.nets.segmenters.blend import blend
from napari_gliocam.progress import Progress, finished
from napari_gliocam.refine.ingredients import Ingredients
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.slices import SliceStack, cutting_slices
from napari_gliocam.targets import TARGETS, Target
from napari_gliocam.threshold import Segmentation, apply_thresholds

if TYPE_CHECKING:
    import torch

    from napari_gliocam.nets.bundle import Bundle
    from napari_gliocam.nets.bundle_info import BundleInfo
    from napari_gliocam.nets.gliocam import Maps
    from napari_gliocam.nets.segmenters.run import Segmented

#: Slices a batch; small enough on the CPU that Cancel answers within half a second.
BATCH = {"cpu": 8, "mps": 32, "cuda": 64}


class RefinementError(GliocamError):
    """The networks ran and the refinement failed.

    Parameters
    ----------
    sentence : str
        The reason and the remedy.
    unrefined : Segmentation
        The result before the refinement.
    """

    def __init__(self, sentence: str, unrefined: Segmentation) -> None:
        super().__init__(sentence)
        self.unrefined = unrefined


def segmenting(
    case: Case,
    *,
    bundle: Bundle | None = None,
    device: str = "auto",
    thresholds: Thresholds | None = None,
    refinement: Refinement | None = None,
    ingredients: Ingredients | None = None,
) -> Generator[Progress, None, Segmentation]:
    """Segment a case.

    The panel, every command, the table of a training and `segment` all run this generator, so
    that what is scored is what is saved.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    bundle : Bundle, optional
        The one that ships with the package by default.
    device : {"auto", "cpu", "cuda", "mps"}
        Where torch runs; the fastest there is by default.
    thresholds : Thresholds, optional
        The bundle's own by default.
    refinement : Refinement, optional
        ``Refinement()`` by default; ``Refinement.nothing()`` leaves the labels as they were cut.
    ingredients : Ingredients, optional
        Intensities and clusters that are kept for the next refinement of the same case.

    Yields
    ------
    Progress
        Nothing stays open across a yield, so the generator can be closed at any time.

    Returns
    -------
    Segmentation
        With all maps, which `apply_thresholds` cuts again with other thresholds, and the
        unrefined labels where it was refined.

    Raises
    ------
    CaseError
        If the case lacks a modality that the bundle needs, or shows no brain.
    DeviceError
        If the device is not there or its memory does not suffice.
    RefinementError
        If only the refinement failed; the error holds the unrefined segmentation.
    """
    from napari_gliocam.nets.bundle import load_bundle

    if bundle is None:
        yield Progress(0, 1, "loading the bundle")
        bundle = load_bundle()
    maps = yield from compute_maps(case, bundle=bundle, device=device)
    segmentation = yield from labelling(
        maps,
        case,
        thresholds or bundle_thresholds(bundle.info),
        Refinement() if refinement is None else refinement,
        ingredients=ingredients,
        device=device,
    )
    return segmentation


segment = finished(segmenting, "segment")


def labelling(
    maps: ClassMaps,
    case: Case,
    thresholds: Thresholds,
    refinement: Refinement,
    *,
    ingredients: Ingredients | None = None,
    device: str = "auto",
) -> Generator[Progress, None, Segmentation]:
    """Cut maps into labels and refine them; no network runs.

    Parameters
    ----------
    maps : ClassMaps
        Maps of tumour, core and edema.
    case : Case
        The case that the maps belong to.
    thresholds : Thresholds
        Thresholds of the maps, exclusivity and gate.
    refinement : Refinement
        Treatment of the labels after the thresholds.
    ingredients, device
        As in `segmenting`.

    Raises
    ------
    RefinementError
        If the refinement failed; the error holds the unrefined segmentation.
    """
    cut = apply_thresholds(maps, thresholds)
    if not refinement.changes_something:
        return cut
    try:
        refined = yield from (ingredients or Ingredients()).refining(
            cut, case, refinement, device=device
        )
    except GliocamError as error:
        raise RefinementError(str(error), cut) from error
    return refined


def bundle_thresholds(info: BundleInfo) -> Thresholds:
    """Return the thresholds that a bundle was made for; the only place that reads them."""
    return Thresholds(
        info.tumour_threshold, info.class_threshold, gate_probability=info.gate_probability
    )


def compute_maps(
    case: Case, *, bundle: Bundle | None = None, device: str = "auto"
) -> Generator[Progress, None, ClassMaps]:
    """Run the networks over a case, a batch of slices at a time.

    Parameters
    ----------
    case : Case
        The case at hand: its volumes, grid and brain.
    bundle : Bundle, optional
        The one that ships with the package by default.
    device : {"auto", "cpu", "cuda", "mps"}
        Where torch runs; the fastest there is by default.

    Yields
    ------
    Progress
        Slices done; nothing stays open across a yield, so the generator can be closed any time.

    Raises
    ------
    CaseError
        If the case lacks a modality that the bundle needs, or shows no brain.
    DeviceError
        If the device is not there or its memory does not suffice.
    """
    from napari_gliocam.nets.bundle import load_bundle

    clock = _Clock()
    yield Progress(0, 1, "loading the bundle")
    run = _NetworkRun.begin(case, bundle or load_bundle(), device, clock)
    bundle = run.bundle
    stack = yield from cutting_slices(
        case,
        bundle.info.modalities,
        pixel_mm=bundle.info.pixel_mm,
        normalisation=bundle.info.normalisation,
    )
    run.clock.lap("slices")
    design = bundle.info.segmenter
    if design is not None and not design.alone and stack.missing:
        # the maps learned to do without a modality; a mixture was measured with all of them
        run.bundle, design = bundle.using("maps"), None
    if design is None:
        return run.finished(stack, (yield from run.mapping(stack)))
    segmented = yield from run.segmenting(stack)
    if design.alone:
        return run.segmented(stack, segmented)
    return run.finished(stack, (yield from run.mapping(stack)), segmented)


def check_modalities(case: Case, info: BundleInfo) -> None:
    """Raise `CaseError` if the case lacks what the bundle needs."""
    missing = [
        m for m in info.modalities if m not in case.volumes and m not in info.optional_modalities
    ]
    if missing:
        names = " and ".join(m.title for m in missing)
        raise CaseError(
            f'Case "{case.name}" has no {names}, which the bundle "{info.name}" needs; add the '
            "file, name the modality in the panel, or take a bundle that was trained without it."
        )


@dataclass(eq=False)
class _NetworkRun:
    """The networks of a bundle on one case.

    Parameters
    ----------
    case : Case
        The case.
    bundle : Bundle
        The networks.
    name : str
        The device as it was asked for.
    device : torch.device
        Where they run.
    clock : _Clock
        Seconds of each stage.
    """

    case: Case
    bundle: Bundle
    name: str
    device: torch.device
    clock: _Clock

    @classmethod
    def begin(cls, case: Case, bundle: Bundle, name: str, clock: _Clock) -> _NetworkRun:
        """Bring the networks to the device; raise `CaseError` if the case lacks a modality."""
        from napari_gliocam.device import choose_device

        device = choose_device(name)
        check_modalities(case, bundle.info)
        bundle.net.on(device)
        clock.lap("bundle")
        return cls(case, bundle, name, device, clock)

    def mapping(self, stack: SliceStack) -> Generator[Progress, None, _Collected]:
        """Run the networks of the maps over all slices, in the precision that is fastest."""
        import torch

        from napari_gliocam.device import enough_memory

        total, batch = len(stack.frame), BATCH[self.device.type]
        half = torch.autocast(self.device.type, torch.float16, enabled=self.device.type == "cuda")
        yield Progress(0, total, "running the networks")
        collected = _Collected.empty(stack, self.bundle.info)
        for start in range(0, total, batch):
            where = slice(start, min(start + batch, total))
            with enough_memory(self.device), torch.inference_mode():
                images, brain = stack.on(self.device, where)
                with half:
                    maps = self.bundle.net(images, brain)
                collected.put(where, maps)
            yield Progress(where.stop, total, "running the networks")
        self.clock.lap("networks")
        yield Progress(total, total, "putting the maps back")
        return collected

    def segmenting(self, stack: SliceStack) -> Generator[Progress, None, Segmented]:
        """Run the segmentation network over all slices."""
        from napari_gliocam.device import enough_memory
        from napari_gliocam.nets.segmenters.run import running_segmenter

        network, info = self.bundle.segmenter, self.bundle.info
        assert network is not None
        assert info.segmenter is not None
        with enough_memory(self.device):
            segmented = yield from running_segmenter(
                network,
                info.segmenter,
                stack,
                self.case.grid.spacing[0],
                self.device,
                BATCH[self.device.type],
                info.tumour_threshold,
            )
        self.clock.lap("segmentation network")
        return segmented

    def finished(
        self, stack: SliceStack, collected: _Collected, segmented: Segmented | None = None
    ) -> ClassMaps:
        """Return the maps on the case's grid, blended with those of the segmentation network."""
        info = self.bundle.info
        sigma = info.across_slices_mm / self.case.grid.spacing[0]
        aggregates = smooth_across_slices(collected.aggregates, stack.brain, sigma)
        if segmented is not None:
            assert info.segmenter is not None
            shares = info.segmenter.tumour_share, info.segmenter.class_share
            aggregates = blend(aggregates, segmented.maps, *shares)
        trace = NetworkTrace(
            frame=stack.frame,
            exits=collected.exits,
            guided=dict(zip(info.targets[1:], collected.guided, strict=True)),
            attention=dict(zip(info.targets, collected.attention, strict=True)),
        )
        return self._maps(stack, aggregates, collected.probabilities, trace)

    def segmented(self, stack: SliceStack, segmented: Segmented) -> ClassMaps:
        """Return the maps of the segmentation network alone on the case's grid."""
        return self._maps(stack, segmented.maps, segmented.scores, None)

    def _maps(
        self,
        stack: SliceStack,
        maps: NDArray[np.float32],
        scores: NDArray[np.float32],
        trace: NetworkTrace | None,
    ) -> ClassMaps:
        from napari_gliocam.device import describe

        info, grid = self.bundle.info, self.case.grid
        volumes = {t: stack.frame.put_back(m) for t, m in zip(info.targets, maps, strict=True)}
        self.clock.lap("maps")
        probabilities = np.zeros((grid.shape[0], len(TARGETS)), dtype=np.float32)
        probabilities[list(stack.frame.indices), : len(info.targets)] = scores
        provenance = {
            "bundle": {"name": info.name, "origin": info.origin, "licence": info.licence},
            "device": describe(self.name),
            "precision": "float16" if self.device.type == "cuda" else "float32",
            "modalities": [m.value for m in info.modalities],
            "targets": list(info.targets),
            "missing_modalities": [m.value for m in stack.missing],
            "slices": len(stack.frame),
            "across_slices_mm": info.across_slices_mm,
            "network_slice": list(stack.frame.network_shape),
            "guidance": info.guidance,
            "final_map": info.final_map,
            "thresholds": asdict(bundle_thresholds(info)),
            "seconds": self.clock.laps,
        }
        if info.measured is not None:
            provenance["measured"] = asdict(info.measured)
        name = ClassMaps.name
        if info.segmenter is not None:
            provenance["segmenter"] = asdict(info.segmenter)
            if info.segmenter.alone:
                name = "Segmentation network"
        return ClassMaps.of_targets(
            grid,
            volumes,
            probabilities=probabilities,
            provenance=provenance,
            trace=trace,
            name=name,
        )


@dataclass
class _Clock:
    """Seconds a stage."""

    laps: dict[str, float] = field(default_factory=dict)
    last: float = field(default_factory=time.perf_counter)

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name], self.last = round(now - self.last, 3), now


@dataclass(eq=False)
class _Collected:
    """Maps of all slices on the network grid, filled batch by batch."""

    aggregates: NDArray[np.float32]
    guided: NDArray[np.float16]
    exits: dict[Target, tuple[NDArray[np.float16], ...]]
    probabilities: NDArray[np.float32]
    attention: NDArray[np.uint8]

    @classmethod
    def empty(cls, stack: SliceStack, design: Design) -> _Collected:
        n, (height, width) = len(stack.frame), stack.frame.network_shape
        sizes = [(-(-height // s), -(-width // s)) for s in design.exit_strides]
        of_attention = [side // design.attention_stride for side in (height, width)]
        targets = design.targets
        count = len(targets)
        return cls(
            aggregates=np.zeros((count, n, height, width), dtype=np.float32),
            guided=np.zeros((count - 1, n, height, width), dtype=np.float16),
            exits={t: tuple(np.zeros((n, *s), dtype=np.float16) for s in sizes) for t in targets},
            probabilities=np.zeros((n, count), dtype=np.float32),
            attention=np.zeros((count, n, len(sizes), *of_attention), dtype=np.uint8),
        )

    def put(self, where: slice, maps: Maps) -> None:
        self.aggregates[:, where] = maps.aggregates.transpose(0, 1).float().cpu().numpy()
        self.guided[:, where] = maps.guided.transpose(0, 1).float().cpu().numpy()
        for column, exits in enumerate(self.exits.values()):
            for exit_, values in zip(exits, maps.exits, strict=True):
                exit_[where] = values[:, column].float().cpu().numpy()
        self.probabilities[where] = maps.logits.float().sigmoid().cpu().numpy()
        weights = (maps.attention.float() * 255).round().byte().cpu().numpy()
        self.attention[:, where] = weights.transpose(2, 0, 1, 3, 4)
