"""Layer data of cases, results and maps: what each layer shows, where it lies, whose it is.

Every layer has the case's spacing, origin, units and axes: one layer without units would
silently take the millimetres from the whole viewer.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from napari.layers import Layer
from napari.utils.transforms import Affine
from numpy.typing import NDArray

from napari_gliocam.case import CANONICAL_AXES, Grid, Modality
from napari_gliocam.maps.class_maps import Row
from napari_gliocam.targets import Target
from napari_gliocam.ui.model.assign import Source
from napari_gliocam.ui.model.state import OpenCase
from napari_gliocam.ui.viewer.colormaps import (
    border_colormap,
    confusion_colormap,
    contour_colormap,
    labels_colormap,
    map_colormap,
)

if TYPE_CHECKING:
    from napari.types import FullLayerData

    from napari_gliocam.measure.lesion.diameters import Line
    from napari_gliocam.measure.lesion.measures import Measures
    from napari_gliocam.ui.jobs.open_path import LabelsAlone

LayerData: TypeAlias = "FullLayerData"
KEY = "napari-gliocam"
#: Of labels over an image.
OPACITY = 0.55
GRID_KEY = "napari-gliocam grid"
#: The window over the brain's grey values that an image had at first.
WINDOW_KEY = "napari-gliocam window"

#: From bottom to top in the layer list; the last one present is shown.
STACKING = (Modality.T1, Modality.T2, Modality.T1CE, Modality.FLAIR)

Role = Literal[
    "modality",
    "volume",
    "expert",
    "result",
    "map",
    "contour",
    "cell",
    "overlay",
    "drawing",
    "check",
]

Overlay = Literal["superpixels", "edge map"]
Drawing = Literal["claims", "agreement", "diameters"]
#: Drawings of every voxel, which lie in each other's way.
PLANES: tuple[Drawing, ...] = ("claims", "agreement")
#: Of the checkerboard: wide enough to follow a ventricle across the border of two squares.
_SQUARE_MM = 25.0
OVERLAYS: tuple[Overlay, ...] = ("superpixels", "edge map")


@dataclass(frozen=True, eq=False)
class LayerTag:
    """Whose layer it is and what it shows; lies in the layer's metadata.

    Parameters
    ----------
    opened : OpenCase
        The case of the layer.
    role : str
        What the layer shows.
    what : Modality, Source, (row, target), Overlay or None
        Which modality, volume, map or overlay; for a cell of a comparison, its name and what
        lies in it.
    """

    opened: OpenCase
    role: Role
    what: Any = None  # by the role

    def __deepcopy__(self, memo: dict[int, object]) -> LayerTag:
        return self  # a duplicated layer shows the same case


def tag_of(layer: Layer) -> LayerTag | None:
    """Whose layer it is, None for a layer of someone else."""
    tag = layer.metadata.get(KEY)
    return tag if isinstance(tag, LayerTag) else None


def placement(grid: Grid) -> dict[str, object]:
    """Return the scale and translation of a layer of this grid."""
    return {
        "scale": grid.spacing,
        "translate": grid.origin,
        "units": ("mm",) * 3,
        "axis_labels": CANONICAL_AXES,
    }


def contrast_limits(volume: NDArray[Any], brain: NDArray[np.bool_]) -> tuple[float, float]:
    """Return a window over the brain's grey values, from a sample of its voxels."""
    values = volume[::3][brain[::3]]
    values = values[:: max(1, values.size // 50_000)]
    if not values.size:
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(values, (1.0, 99.7)))
    return (low, high) if high > low else (low, low + 1.0)


def image_data(opened: OpenCase, modality: Modality, *, visible: bool) -> LayerData:
    """Make the image layer of one modality."""
    case = opened.case
    volume = case.volumes[modality]
    source = case.sources.get(modality)
    window = contrast_limits(volume, case.brain)
    arguments = {
        "name": modality.title,
        "colormap": "gray",
        "contrast_limits": window,
        "visible": visible,
        "metadata": {
            KEY: LayerTag(opened, "modality", modality),
            WINDOW_KEY: window,
            "source": str(source or ""),
        },
        **placement(case.grid),
    }
    return volume, arguments, "image"


def volume_data(opened: OpenCase, source: Source, *, visible: bool) -> LayerData:
    """Make the image layer of a volume whose modality is not known."""
    assert source.volume is not None
    arguments = {
        "name": source.title,
        "colormap": "gray",
        "contrast_limits": contrast_limits(source.volume, source.volume != 0),
        "visible": visible,
        "metadata": {KEY: LayerTag(opened, "volume", source), "source": str(source.path or "")},
        **placement(opened.case.grid),
    }
    return source.volume, arguments, "image"


def unassigned(opened: OpenCase) -> list[Source]:
    """Return the volumes that were read and are no modality."""
    used = [id(volume) for volume in opened.case.volumes.values()]
    return [s for s in opened.pool if s.volume is not None and id(s.volume) not in used]


def expert_data(opened: OpenCase) -> LayerData:
    """Make the hidden labels layer of the expert's outline."""
    assert opened.case.expert is not None
    labels = opened.case.expert.labels
    return labels, _labels_arguments(opened, "expert", "expert labels", visible=False), "labels"


def result_data(opened: OpenCase) -> LayerData:
    """Make the labels layer of the result, which can be painted in."""
    assert opened.result is not None
    arguments = _labels_arguments(opened, "result", "segmentation", visible=True)
    return opened.result.painted.labels, arguments, "labels"


def _labels_arguments(
    opened: OpenCase, role: Role, name: str, *, visible: bool
) -> dict[str, object]:
    return {
        "name": name,
        "colormap": labels_colormap(),
        "opacity": OPACITY,
        "visible": visible,
        "metadata": {KEY: LayerTag(opened, role)},
        **placement(opened.case.grid),
    }


def map_name(row: Row, target: Target) -> str:
    """Return the name of a map's layer."""
    return f"{target} map" if row == "aggregate" else f"{target} {row}"


def map_data(opened: OpenCase, row: Row, target: Target, *, visible: bool) -> LayerData:
    """Make the overlay of one activation map, in [0, 1] and in its class's colour."""
    assert opened.result is not None
    arguments = {
        "name": map_name(row, target),
        "colormap": map_colormap(target),
        "contrast_limits": (0.0, 1.0),
        "opacity": 0.8,
        "blending": "translucent",
        "visible": visible,
        "metadata": {KEY: LayerTag(opened, "map", (row, target))},
        **placement(opened.case.grid),
    }
    return opened.result.maps.volume(row, target), arguments, "image"


def checkerboard_data(opened: OpenCase, one: Modality, other: Modality) -> LayerData:
    """Make squares of two modalities in turn: edges run through where they are aligned.

    Parameters
    ----------
    opened : OpenCase
        A case with both modalities.
    one, other : Modality
        Which two.
    """
    case = opened.case

    def grey(modality: Modality) -> NDArray[np.float32]:
        low, high = contrast_limits(case.volumes[modality], case.brain)
        shown: NDArray[np.float32] = np.clip(
            (case.volumes[modality] - low) / (high - low), 0, 1, dtype=np.float32
        )
        return shown

    squares = [
        (np.arange(count) * mm // _SQUARE_MM).astype(int)
        for count, mm in zip(case.grid.shape, case.grid.spacing, strict=True)
    ]
    odd = (squares[0][:, None, None] + squares[1][:, None] + squares[2]) % 2 == 1
    arguments = {
        "name": f"{one.title} and {other.title}",
        "colormap": "gray",
        "contrast_limits": (0.0, 1.0),
        "metadata": {KEY: LayerTag(opened, "check", "checkerboard")},
        **placement(case.grid),
    }
    return np.where(odd, grey(other), grey(one)), arguments, "image"


def head_data(opened: OpenCase) -> list[LayerData]:
    """Make the reference with its skull, and over it the border of the brain that was kept."""
    case = opened.case
    assert case.preparation is not None
    assert case.preparation.head is not None
    head, place = case.preparation.head, placement(case.grid)
    tag = {KEY: LayerTag(opened, "check", "head")}
    low, high = contrast_limits(head, case.brain)
    window = {"contrast_limits": (min(low, float(head.min())), high)}
    border = {"name": "border of the brain", "colormap": contour_colormap(), "metadata": tag}
    return [
        (head, {"name": "head", "colormap": "gray", "metadata": tag, **window, **place}, "image"),
        (case.brain.astype(np.uint8), {**border, **place}, "labels"),
    ]


def contour_data(opened: OpenCase) -> LayerData:
    """Return the layer of the thresholds' contours on maps, empty."""
    arguments = {
        "name": "threshold",
        "colormap": contour_colormap(),
        "metadata": {KEY: LayerTag(opened, "contour")},
        **placement(opened.case.grid),
    }
    return np.zeros(opened.case.grid.shape, dtype=np.uint8), arguments, "labels"


def overlay_data(opened: OpenCase, overlay: Overlay) -> LayerData:
    """Return an empty layer for the borders of BoundaryFit's pieces: 1 where two of them meet."""
    arguments = {
        "name": overlay,
        "colormap": border_colormap(overlay),
        "opacity": 0.7,
        "metadata": {KEY: LayerTag(opened, "overlay", overlay)},
        **placement(opened.case.grid),
    }
    return np.zeros(opened.case.grid.shape, dtype=np.uint8), arguments, "labels"


def drawing_data(opened: OpenCase, drawing: Drawing) -> LayerData:
    """Make an empty layer for the Reading dock to draw in."""
    claims = drawing == "claims"
    arguments = {
        "name": "core, edema, overlap" if claims else "TP, FP, FN",
        "colormap": labels_colormap() if claims else confusion_colormap(),
        "opacity": OPACITY,
        "metadata": {KEY: LayerTag(opened, "drawing", drawing)},
        **placement(opened.case.grid),
    }
    return np.zeros(opened.case.grid.shape, dtype=np.uint8), arguments, "labels"


def diameters_data(opened: OpenCase, measures: Measures) -> LayerData:
    """Make the diameters of tumour (white) and core (black), each on its slice."""
    lines: list[Line] = []
    colours: list[str] = []
    sizes: list[str] = []  # one text for each lesion and slice, above its first line
    for lesion in measures.lesions or (measures.case,):
        texts: dict[float, int] = {}
        for name, region, colour in (
            ("tumour", lesion.tumour, "white"),
            ("core", lesion.core, "black"),
        ):
            found = region.diameters
            if not found.lines:
                continue
            text = texts.setdefault(found.lines[0].start[0], len(lines))
            lines += found.lines
            colours += [colour] * len(found.lines)
            sizes += [""] * len(found.lines)
            words = f"{name} {found.long_mm:.1f} × {found.perpendicular_mm:.1f} mm"
            sizes[text] = f"{sizes[text]}\n{words}".strip()
    middle = (opened.case.grid.shape[2] - 1) / 2
    columns = [line.start[2] + line.end[2] for line in lines]
    leftwards = bool(columns) and float(np.mean(columns)) / 2 > middle  # so that it stays in view
    arguments = {
        "name": "diameters",
        "opacity": 1.0,  # of the text, too
        "ndim": 3,
        "shape_type": "line",
        "edge_color": colours or "white",
        "edge_width": 1.0 / max(1.0, min(opened.case.grid.spacing[1:])),
        "features": {"size": sizes},
        "text": {
            "string": "{size}",
            "color": "white",  # black is not read on a dark image
            "size": 12,
            "anchor": "upper_right" if leftwards else "upper_left",
        },
        "metadata": {KEY: LayerTag(opened, "drawing", "diameters")},
        **placement(opened.case.grid),
    }
    return [np.array([line.start, line.end]) for line in lines], arguments, "shapes"


def case_data(opened: OpenCase) -> list[LayerData]:
    """Return the layers of a case that was just read, bottom first, FLAIR on top of the images."""
    present = [m for m in STACKING if m in opened.case.volumes]
    layers = [volume_data(opened, s, visible=not present) for s in unassigned(opened)]
    layers += [image_data(opened, m, visible=m is present[-1]) for m in present]
    if opened.case.expert is not None:
        layers.append(expert_data(opened))
    return layers


def make_layers(data: Iterable[LayerData]) -> list[Layer]:
    """Make layers of their data; any thread may, as long as no viewer has them."""
    return [Layer.create(*one) for one in data]


def ready_for_threads() -> None:
    """Make napari fit to make layers in several threads; in the window's, before any other.

    Its registry of units builds itself when it is first asked, and a second thread that asks
    meanwhile finds it half built: pint then says that the pixel is not defined.  And while it makes
    colours for labels, napari ignores a warning of scikit-image, in the whole process: where two
    threads do so at once, the first to finish ends that for the other, too.
    """
    Affine(ndim=3)
    warnings.filterwarnings("ignore", "Conversion from CIE-LAB, via XYZ to sRGB", UserWarning)


def warm_up() -> None:
    """Make napari load, in a thread beside the window's, what its first layers need.

    That is SciPy's filters and rotations, and pandas.  `ready_for_threads` comes before it.
    """
    import scipy.spatial.transform  # noqa: F401  # of the camera

    grid = Grid(np.diag([-1.0, -1.0, 1.0, 1.0]), (2, 2, 2))
    volume = np.zeros(grid.shape, dtype=np.float32)
    make_layers(
        [
            (volume, {"contrast_limits": (0.0, 1.0), **placement(grid)}, "image"),
            (volume.astype(np.uint8), placement(grid), "labels"),
        ]
    )


def data_of(found: OpenCase | LabelsAlone) -> list[LayerData]:
    """Return the layers of what was read, bottom first."""
    return case_data(found) if isinstance(found, OpenCase) else [labels_alone_data(found)]


def labels_alone_data(labels: LabelsAlone) -> LayerData:
    """Return the layer of labels without their case, such as a result saved before."""
    grid = labels.file.grid
    arguments = {
        "name": f"{labels.name} segmentation",
        "colormap": labels_colormap(),
        "opacity": OPACITY,
        "metadata": {GRID_KEY: (grid, labels.header), "source": str(labels.file.expert.source)},
        **placement(grid),
    }
    return labels.file.expert.labels, arguments, "labels"
