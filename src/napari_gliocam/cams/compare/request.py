"""A comparison as the window and the command ask for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from napari_gliocam.targets import Target

if TYPE_CHECKING:
    from napari_gliocam.cams.run.explain import Explaining, Scope
    from napari_gliocam.cams.run.prepare import Prepared
    from napari_gliocam.maps.class_maps import Normalise


@dataclass(frozen=True)
class CompareRequest:
    """Methods to compare, and the way their maps are made.

    Parameters
    ----------
    methods : tuple of str
        Names for `napari_gliocam.cams.methods.registry.make_method`.
    targets : tuple of Target
        Classes that get a map.
    layers : tuple of int
        Residual stages, or exits, 1 to 4; methods without a layer run once.
    score : int, "mean" or None
        The image-level logit that is explained, see `ExplainedLayer`.
    scope : "case", "lesion", int or sequence of int
        Slices that get a map, see `explain`.
    normalise : {"slice", "volume", "none"}, optional
        How maps come into [0, 1]; each slice by itself by default.
    gate : bool
        Whether slices on which the networks deny the class are 0.
    normalise_scales : bool
        At several scales, whether each scale's map is brought into [0, 1] before the mean, so
        that all scales count alike; the paper does not.
    """

    methods: tuple[str, ...]
    targets: tuple[Target, ...]
    layers: tuple[int, ...] = (4,)
    score: int | Literal["mean"] | None = None
    scope: Scope = "lesion"
    normalise: Normalise | None = None
    gate: bool = True
    normalise_scales: bool = False

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
        layers = [ExplainedLayer(layer, self.score) for layer in self.layers]
        return [
            Explaining(
                prepared,
                method,
                self.targets,
                explained=layer,
                scope=self.scope,
                normalise=self.normalise,
                gate=self.gate,
            )
            for method in methods
            for layer in (layers if method.layered else [ExplainedLayer()])
        ]
