"""The cells of a comparison in napari's grid, and the viewer as it was when they are closed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Layer
from napari.utils import DirectLabelColormap
from numpy.typing import NDArray

from napari_gliocam.case import Modality, bounding_box
from napari_gliocam.colours import EXPERT_COLOUR
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.targets import Target, mask_of
from napari_gliocam.ui.compare import layout as compare_layout
from napari_gliocam.ui.compare.bars import CellBars
from napari_gliocam.ui.compare.work import Key
from napari_gliocam.ui.model.state import OpenCase, state_of
from napari_gliocam.ui.viewer import layer_data
from napari_gliocam.ui.viewer.colormaps import map_colormap
from napari_gliocam.ui.viewer.layer_data import KEY, LayerData, LayerTag, placement, tag_of
from napari_gliocam.ui.viewer.layers import CaseLayers
from napari_gliocam.ui.viewer.navigate import part_in_view
from napari_gliocam.ui.viewer.planes import camera_of
from napari_gliocam.ui.widgets.share_bar import Portions

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.components.grid import GridCanvas
    from napari.utils.events import Event

#: Layers of a cell: the image, the map, the expert's outline where the case has expert labels, the
#: outline of what exceeds the threshold.
_PARTS = ("image", "map", "expert", "outline")
#: Letters of a figure on a picture.
_FIGURE = len(", slice Dice 0.00")


class CompareGrid:
    """Shows cells side by side; everything else is hidden meanwhile.

    Parameters
    ----------
    layers : CaseLayers
        The layers of the viewer's cases.
    waits : callable
        Called with a layer that somebody shows while the comparison is in its place.
    """

    def __init__(self, layers: CaseLayers, waits: Callable[[Layer], None]) -> None:
        self._layers = layers
        self._viewer = layers.viewer
        self._waits = waits
        self._bars = CellBars(layers.viewer)
        self._visible: WeakKeyDictionary[Layer, bool] = WeakKeyDictionary()
        self._before: dict[str, dict[str, object]] | None = None
        self._opened: OpenCase | None = None
        self._cells: dict[Key, ClassMaps] = {}
        self._masks: dict[Key, NDArray[np.uint8]] = {}
        self._experts: dict[Target, NDArray[np.uint8]] = {}
        self._stale: set[Key] = set()
        self._font_size = 9
        self._hiding = False

    @property
    def opened(self) -> OpenCase | None:
        """The case whose cells are shown, None while there are none."""
        return self._opened

    def open(self, opened: OpenCase, keys: Sequence[Key]) -> None:
        """Make room for cells: hide every layer, remember how the viewer was.

        Where the same cells are shown already, they wait for new maps: napari takes its time
        to add and remove layers.
        """
        if self._opened is opened:
            if list(self._cells) == list(keys):
                self._stale = set(keys)
            else:
                self._remove_cells()
        else:
            self.close()
            self._opened = opened
            grid, camera = _grid(self._viewer), camera_of(self._viewer)
            self._before = {
                "grid": {name: getattr(grid, name) for name in _GRID},
                "camera": {name: getattr(camera, name) for name in _CAMERA},
            }
            for layer in self._viewer.layers:
                self._set_aside(layer)
            self._viewer.layers.events.inserted.connect(self._on_inserted)
            self._viewer.dims.events.ndisplay.connect(self._on_ndisplay)
            grid.stride, grid.spacing = len(self._parts), 4
        self.lay_out(keys)

    def close(self) -> None:
        """Remove the cells; layers, grid and camera are as they were."""
        opened, before = self._opened, self._before
        if opened is None or before is None:
            return
        self._opened = self._before = None  # first: removing a layer may call this again
        self._viewer.layers.events.inserted.disconnect(self._on_inserted)
        self._viewer.dims.events.ndisplay.disconnect(self._on_ndisplay)
        grid, camera = _grid(self._viewer), camera_of(self._viewer)
        grid.enabled = False  # else it is laid out anew for every layer that goes
        self._remove_cells()
        for name, value in before["grid"].items():
            setattr(grid, name, value)
        gone = opened not in self._layers.open_cases()
        for layer, visible in list(self._visible.items()):
            layer.events.visible.disconnect(self._on_visible)
            if layer in self._viewer.layers:  # what another case shows since this went, stays
                layer.visible = visible or (gone and layer.visible)
        for name, value in before["camera"].items():
            setattr(camera, name, value)
        self._visible.clear()

    def _remove_cells(self) -> None:
        self._cells.clear()
        self._masks.clear()
        self._experts.clear()
        self._stale.clear()
        self._bars.show({})
        self._layers.remove_cells()

    def lay_out(self, keys: Sequence[Key]) -> None:
        """Arrange these cells in rows and columns; zoom on the brain where these change."""
        if self._opened is None or not keys:
            return
        methods, classes = len({method for method, _ in keys}), len({t for _, t in keys})
        grid, viewer = _grid(self._viewer), self._viewer
        room, brain = compare_layout.canvas_size(viewer), self._brain_size()
        shape = compare_layout.shape_for(methods, classes, room, brain)
        self._bars.lay_out(keys, shape)
        longest = max(max(len(method), len(target) + _FIGURE) for method, target in keys)
        self._font_size = compare_layout.font_size(shape, room, longest)
        for key in self._cells:
            self._write_name(self._layer(key, "map"))
        if tuple(grid.shape) != shape:
            grid.shape = shape
            camera = camera_of(viewer)
            name = (3 * self._font_size, longest * self._font_size)  # two lines
            centre = compare_layout.centre_for(shape, room, self._brain_box(), name)
            camera.center = (*camera.center[:-2], *centre)
            camera.zoom = compare_layout.zoom_for(shape, room, brain)

    def add(self, methods: Sequence[ClassMaps], threshold: Callable[[str], float]) -> None:
        """Show the maps of methods, in the place of older ones of the same names or after them.

        Parameters
        ----------
        methods : sequence of ClassMaps
            Maps to show, one method each.
        threshold : callable
            Takes the name of a method, returns its threshold.
        """
        for maps in methods:
            for target in maps.targets:
                self._add((maps.name, target), maps, threshold(maps.name))

    def _add(self, key: Key, maps: ClassMaps, threshold: float) -> None:
        volume, mask = maps.of(key[1]), self._masks.get(key)
        if mask is None or mask.shape != volume.shape:
            mask = np.zeros(volume.shape, dtype=np.uint8)
        self._cells[key], self._masks[key] = maps, mask
        np.greater(volume, threshold, out=mask, casting="unsafe")
        if key not in self._stale:
            self._insert(key)
            return
        self._stale.discard(key)
        layer = self._layer(key, "map")
        if layer is not None:
            layer.data = volume
        self._refresh(key, "outline")

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Lay the cells out once, at the end, for all changes within.

        With its grid on, napari goes through all layers for each one that comes or goes.
        """
        grid = _grid(self._viewer)
        grid.enabled = False
        with self._layers.batched():
            yield
        grid.enabled = self._opened is not None

    def _insert(self, key: Key) -> None:
        opened = self._opened
        assert opened is not None
        made = self._layers.add_cell(
            [
                self._image(opened, key, self._under(opened, key[1])),
                self._map(opened, key),
                *([self._expert(opened, key)] if opened.case.expert is not None else []),
                self._outline(opened, key),
            ]
        )
        for layer in made[2:]:
            layer.contour = 1
            layer.editable = False
            layer.visible = self._viewer.dims.ndisplay == 2
        self._write_name(made[1])

    def _write_name(self, layer: Layer) -> None:
        with suppress(AttributeError):  # napari 0.8 shows no names on pictures
            layer.name_overlay.font_size = self._font_size
            layer.name_overlay.visible = True

    def drop_stale(self) -> None:
        """Remove the maps of the run before that this one did not replace."""
        for key in list(self._stale):
            self.remove(key)
        self._stale.clear()

    def remove(self, key: Key) -> None:
        """Remove one cell."""
        self._cells.pop(key, None)
        self._masks.pop(key, None)
        self._layers.remove_cells(key)

    def is_whole(self, key: Key) -> bool:
        """Return True if every layer of a cell is there; the user may have deleted one."""
        return all(self._layer(key, part) is not None for part in self._parts)

    @property
    def _parts(self) -> tuple[str, ...]:
        expert = self._opened is not None and self._opened.case.expert is not None
        return tuple(part for part in _PARTS if part != "expert" or expert)

    def set_caption(self, key: Key, caption: str, verdict: str = "") -> None:
        """Write name and figure on a picture, and what tests found."""
        layer, (method, target) = self._layer(key, "map"), key
        words = (target, caption, "" if self._cells[key].complete else "stopped early")
        name = "\n".join(filter(None, (method, ", ".join(filter(None, words)), verdict)))
        if layer is not None and layer.name != name:
            layer.name = name

    def show_shares(self, rows: Mapping[Key, Mapping[str, Portions]]) -> None:
        """Draw the shares of the sequences on pictures, a bar for each title; others get none."""
        self._bars.show({key: one for key, one in rows.items() if key in self._cells})

    def show_under(self) -> None:
        """Lay the maps over the modality that is chosen."""
        opened = self._opened
        for key in self._cells if opened is not None else ():
            layer = self._layer(key, "image")
            if layer is not None:
                assert opened is not None
                volume, arguments, _ = self._image(opened, key, self._under(opened, key[1]))
                layer.data = volume
                layer.contrast_limits = arguments["contrast_limits"]
                layer.name = arguments["name"]

    def cut(self, method: str, threshold: float, *, in_view: bool = False) -> None:
        """Draw the outlines of a method at another threshold: of the slice in view, or of all."""
        if self._opened is None:
            return
        part = part_in_view(self._viewer, self._opened.case.grid) if in_view else ()
        if part is None:
            return
        for key, maps in self._cells.items():
            if maps.name == method:
                mask = self._masks[key]
                np.greater(maps.of(key[1])[part], threshold, out=mask[part], casting="unsafe")
                for name in ("outline", "map") if maps.is_mask else ("outline",):
                    self._refresh(key, name)

    def _refresh(self, key: Key, part: str) -> None:
        layer = self._layer(key, part)
        if layer is not None:
            layer.refresh(thumbnail=False, highlight=False, extent=False)

    # ---- layers that wait behind the comparison

    def _set_aside(self, layer: Layer) -> None:
        self._visible[layer] = layer.visible
        layer.visible = False
        layer.events.visible.connect(self._on_visible)

    def _on_visible(self, event: Event) -> None:
        """Remember whether a waiting layer is to be shown when the comparison is closed."""
        layer = event.source
        if self._hiding or self._opened is None:
            return
        self._visible[layer] = layer.visible
        if layer.visible:
            self._hiding = True
            layer.visible = False
            self._hiding = False
            self._waits(layer)

    def _on_inserted(self, event: Event) -> None:
        """Keep a layer that comes meanwhile, such as a result, behind the comparison."""
        tag = tag_of(event.value)
        if self._opened is not None and (tag is None or tag.role != "cell"):
            self._set_aside(event.value)

    def _on_ndisplay(self, event: object = None) -> None:
        """Show outlines in two dimensions only."""
        for layer, tag in self._layers.tagged(None, "cell"):
            if tag.what[1] in ("expert", "outline"):
                layer.visible = self._viewer.dims.ndisplay == 2

    # ---- helpers

    def _layer(self, key: Key, part: str) -> Layer | None:
        """Return a layer of a cell; None where the user deleted it."""
        assert self._opened is not None
        return self._layers.find(self._opened, "cell", (key, part))

    def _brain_box(self) -> NDArray[np.float64]:
        """Return the lowest and highest corner of the brain on the axes in view, in mm, (2, 2)."""
        assert self._opened is not None
        grid, brain = self._opened.case.grid, self._opened.case.brain
        box = bounding_box(brain) or tuple(slice(0, n) for n in brain.shape)
        ends = np.array([[s.start for s in box], [s.stop - 1 for s in box]])
        corners = ends * grid.spacing + grid.origin
        shown = [axis - (self._viewer.dims.ndim - 3) for axis in self._viewer.dims.displayed]
        return corners[:, shown[-2:]]

    def _brain_size(self) -> tuple[float, float]:
        low, high = self._brain_box()
        return float(high[0] - low[0]), float(high[1] - low[1])

    def _under(self, opened: OpenCase, target: Target) -> Modality:
        """Return the modality that is chosen, else the one that shows the target best."""
        chosen = state_of(self._viewer).under
        if chosen is not None and chosen in opened.case.volumes:
            return chosen
        return opened.case.best_modality(target)

    def _image(self, opened: OpenCase, key: Key, modality: Modality) -> LayerData:
        volume, arguments, kind = layer_data.image_data(opened, modality, visible=True)
        shown = self._layers.find(opened, "modality", modality)
        if shown is not None:  # the window that the user chose
            arguments["contrast_limits"] = tuple(shown.contrast_limits)
        arguments["name"] = f"{modality.title}, {key[0]} {key[1]}"
        arguments["metadata"] = {KEY: LayerTag(opened, "cell", (key, "image"))}
        return volume, arguments, kind

    def _map(self, opened: OpenCase, key: Key) -> LayerData:
        maps = self._cells[key]
        arguments = {
            "name": f"{key[0]}, {key[1]}",
            "colormap": map_colormap(key[1]),
            "contrast_limits": (0.0, 1.0),
            "opacity": 0.4 if maps.is_mask else 0.8,
            "blending": "translucent",
            "metadata": {KEY: LayerTag(opened, "cell", (key, "map"))},
            **placement(opened.case.grid),
        }
        return maps.of(key[1]), arguments, "image"

    def _outline(self, opened: OpenCase, key: Key) -> LayerData:
        return self._line(opened, key, "outline", self._masks[key], "white")

    def _expert(self, opened: OpenCase, key: Key) -> LayerData:
        """Return the expert's outline of the class, below the outline of the map."""
        assert opened.case.expert is not None
        if key[1] not in self._experts:
            mask = mask_of(opened.case.expert.labels, key[1])
            self._experts[key[1]] = mask.view(np.uint8)
        return self._line(opened, key, "expert", self._experts[key[1]], EXPERT_COLOUR)

    def _line(
        self, opened: OpenCase, key: Key, part: str, mask: NDArray[np.uint8], colour: str
    ) -> LayerData:
        colours = {0: "transparent", 1: colour, None: "transparent"}
        arguments = {
            "name": f"{part}, {key[0]} {key[1]}",
            "colormap": DirectLabelColormap(color_dict=colours, name=f"gliocam {part}"),
            "opacity": 0.9,
            "metadata": {KEY: LayerTag(opened, "cell", (key, part))},
            **placement(opened.case.grid),
        }
        return mask, arguments, "labels"


_GRID = ("enabled", "stride", "shape", "spacing")
_CAMERA = ("center", "zoom", "angles")


def _grid(viewer: ViewerModel) -> GridCanvas:
    """Return the grid's model, where napari 0.9 and where 0.8 keeps it."""
    return getattr(getattr(viewer, "canvas", None), "grid", None) or viewer.grid
