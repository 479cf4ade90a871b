"""A comparison as the window and the command ask for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from napari_gliocam.cams.methods.registry import METHODS, MULTISCALE, OF_SEGMENTER, SEGMENTER
from napari_gliocam.errors import GliocamError
from napari_gliocam.targets import Target, parts_of
from napari_gliocam.wording import no_such

if TYPE_CHECKING:
    from napari_gliocam.cams.run.explain import Explaining
    from napari_gliocam.cams.run.prepare import Prepared
    from napari_gliocam.nets.bundle_info import BundleInfo

#: Slices that get a map. ``case``: every slice with brain; ``lesion``: those on which the networks
#: see a target that was asked for; numbers: these slices of the case.
Scope = Literal["case", "lesion"] | int | Sequence[int]
#: Numbers of the residual stages, and of the exits.
STAGES = range(1, 5)
#: Every method that can be compared.
NAMES = (*METHODS, SEGMENTER)


@dataclass(frozen=True)
class CompareRequest:
    """Methods to compare, and the way their maps are made.

    Parameters
    ----------
    methods : tuple of str
        Methods to compare, ``multiscale:NAME`` for several scales; scorecam-top and
        scorecam-grouped are approximations with fewer passes.
    targets : tuple of Target
        Classes that get a map; core and edema by default, the tumour of a bundle that knows no
        classes.
    layers : tuple of int
        Residual stages that are explained, 1 to 4; the last that has an exit by default.
    score : int, "mean" or None
        Logit that is explained: of the layer's own exit, the mean of exits 2 to 4, or of one exit.
    scope : "case", "lesion", int or sequence of int
        Slices that get a map: those that show the class, all of the case, or one by its number.
    normalise : {"slice", "volume", "none"}, optional
        Bring maps into [0, 1] by these extremes; each slice's by default where a map needs it.
    gate : bool
        Give 0 on slices on which the networks deny the class.
    normalise_scales : bool
        At several scales, bring each scale's map into [0, 1] before the mean, so that all count
        alike; the paper does not.
    """

    methods: tuple[str, ...] = field(
        default=("gradcam", "layercam", "exit", "guided"), metadata={"choices": NAMES}
    )
    targets: tuple[Target, ...] = ()
    layers: tuple[int, ...] = ()
    score: int | Literal["mean"] | None = field(
        default=None, metadata={"words": {"exit": None, "mean": "mean"}}
    )
    scope: Scope = field(default="lesion", metadata={"words": {"lesion": "lesion", "case": "case"}})
    normalise: Literal["slice", "volume", "none"] | None = None
    gate: bool = True
    normalise_scales: bool = False

    def __post_init__(self) -> None:
        for name in self.methods:
            if name.removeprefix(MULTISCALE) not in NAMES:
                raise GliocamError(no_such(name, NAMES, "method"))
        for layer in self.layers:
            if layer not in STAGES:
                raise GliocamError(f"There is no layer {layer}; choose one from 1 to 4.")
        if isinstance(self.score, int) and self.score not in STAGES:
            raise GliocamError(f"There is no exit {self.score}; choose one from 1 to 4, or mean.")

    @property
    def map_count(self) -> int:
        """Number of maps of one bundle: of each method, and of each layer where it explains one."""
        entries = {**METHODS, SEGMENTER: OF_SEGMENTER}
        names = {name: name.removeprefix(MULTISCALE) for name in self.methods}
        layers = max(1, len(set(self.layers)))
        return sum(layers if entries[name].layered else 1 for name in names.values())

    def targets_of(self, info: BundleInfo) -> tuple[Target, ...]:
        """Return the classes that get a map with a bundle."""
        return self.targets or parts_of(info.targets)

    def explainings(self, prepared: Prepared) -> list[Explaining]:
        """Return the work of each method and layer, in order.

        Raises
        ------
        GliocamError
            For a wrong setting, before a network runs.
        """
        from napari_gliocam.cams.methods.explained_layer import ExplainedLayer
        from napari_gliocam.cams.methods.registry import make_method
        from napari_gliocam.cams.run.explain import Explaining

        methods = [
            make_method(name, normalise_scales=self.normalise_scales) for name in self.methods
        ]
        chosen = self.layers or (max(prepared.bundle.info.exits),)
        layers = [ExplainedLayer(layer, self.score) for layer in chosen]
        return [
            Explaining(
                prepared,
                method,
                self.targets_of(prepared.bundle.info),
                explained=layer,
                scope=self.scope,
                normalise=self.normalise,
                gate=self.gate,
            )
            for method in methods
            for layer in (layers if method.layered else [ExplainedLayer()])
        ]
