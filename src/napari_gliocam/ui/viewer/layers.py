"""The only place that adds, updates or removes layers in a viewer.

Layers are found by the tag in their metadata, never remembered: a user may delete or rename
any of them at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING
from weakref import WeakSet

from napari.layers import Labels, Layer
from psygnal import EmitLoopError

from napari_gliocam.case import Modality
from napari_gliocam.maps.class_maps import Row
from napari_gliocam.measure.lesion.measures import Measures
from napari_gliocam.targets import BACKGROUND, Target, labels_of
from napari_gliocam.ui.model.assign import Source
from napari_gliocam.ui.model.painted_labels import EVERYWHERE
from napari_gliocam.ui.model.state import OpenCase, state_of, unwrap
from napari_gliocam.ui.viewer import layer_data
from napari_gliocam.ui.viewer.layer_data import (
    PLANES,
    STACKING,
    Drawing,
    LayerData,
    LayerTag,
    Overlay,
    Role,
    tag_of,
)
from napari_gliocam.ui.viewer.other_layers import OtherLayers

if TYPE_CHECKING:
    from napari.components import ViewerModel


class CaseLayers:
    """Adds, updates and finds the layers of cases in one viewer.

    Parameters
    ----------
    viewer : napari.viewer.Viewer or napari.components.ViewerModel
        The viewer whose layers these are.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self.viewer = unwrap(viewer)
        self._set_aside: WeakSet[Layer] = WeakSet()
        self.others = OtherLayers(self.viewer)

    # ---- finding

    def tagged(
        self, opened: OpenCase | None = None, *roles: Role
    ) -> Iterator[tuple[Layer, LayerTag]]:
        """Return the layers of ours, of one case or of all, with their tags, bottom first."""
        for layer in list(self.viewer.layers):
            tag = tag_of(layer)
            if tag and opened in (None, tag.opened) and (not roles or tag.role in roles):
                yield layer, tag

    def open_cases(self) -> tuple[OpenCase, ...]:
        """Return the cases that have an image in the viewer, in the order they came."""
        return tuple(dict.fromkeys(t.opened for _, t in self.tagged() if t.role != "cell"))

    def find(self, opened: OpenCase, role: Role, what: object = None) -> Layer | None:
        """Return the layer of a case that shows this, None where there is none (any more)."""
        found = (layer for layer, tag in self.tagged(opened, role) if what in (None, tag.what))
        return next(found, None)

    def result(self, opened: OpenCase) -> Labels | None:
        """Return the labels layer of the result."""
        layer = self.find(opened, "result")
        return layer if isinstance(layer, Labels) else None

    def remove(self, opened: OpenCase, *roles: Role) -> None:
        """Remove the layers of a case, all or those in some roles."""
        for layer, _ in self.tagged(opened, *roles):
            self.viewer.layers.remove(layer)

    # ---- layers of others

    def adopt(self, source: Source, modality: Modality) -> None:
        """Make a case of a layer of others."""
        layer, opened = self.others.case_of(source, modality)
        self.viewer.layers.remove(layer)
        self.add_case(opened)

    # ---- cases

    def open(self, found: OpenCase) -> OpenCase:
        """Add a case, unless it is open already; return the one that is in the viewer.

        Parameters
        ----------
        found : OpenCase
            The case; one from the same files in the viewer takes its place.
        """
        same = self.already_open(found)
        if same is None:
            self.add_case(found)
        return same or found

    def already_open(self, found: OpenCase) -> OpenCase | None:
        """Return the case in the viewer that was read from the same files, if there is one."""
        sources = found.case.sources
        return next((o for o in self.open_cases() if sources and o.case.sources == sources), None)

    def add_case(self, opened: OpenCase) -> None:
        """Add the layers of a case and look at it."""
        for _ in self.adding_case(opened, layer_data.make_layers(layer_data.case_data(opened))):
            pass

    def adding_case(self, opened: OpenCase, made: Sequence[Layer]) -> Iterator[None]:
        """Add the layers of a case, one in each step; it ends early where the case is closed.

        napari takes up to 0.1 s for a layer. The image that is seen comes first.

        Parameters
        ----------
        opened : OpenCase
            The case of the layers.
        made : sequence of Layer
            From bottom to top, see `layer_data.case_data`.
        """
        seen = next((layer for layer in made if layer.visible), made[-1])
        self.viewer.add_layer(seen)
        for layer in made:
            if layer is seen:
                continue
            yield
            if seen not in self.viewer.layers:
                return
            with self._selection_kept():
                if made.index(layer) < made.index(seen):
                    self.viewer.layers.insert(self.viewer.layers.index(seen), layer)
                else:
                    self.viewer.add_layer(layer)
        yield
        self.activate(opened)

    def activate(self, opened: OpenCase) -> None:
        """Select the topmost image of a case: its contrast is what is changed by hand."""
        modality = self._top_modality(opened)
        image = None if modality is None else self.find(opened, "modality", modality)
        if image is not None:
            self.viewer.layers.selection.active = image

    def add_labels(self, made: Sequence[Layer]) -> None:
        """Add labels without their case, see `layer_data.labels_alone_data`."""
        for layer in made:
            self.viewer.add_layer(layer)

    def update_case(self, opened: OpenCase) -> None:
        """Show a case whose modalities or expert labels were changed."""
        with self._selection_kept():
            for modality in STACKING:
                layer = self.find(opened, "modality", modality)
                volume = opened.case.volumes.get(modality)
                if volume is None:
                    self._discard(layer)
                elif layer is None:
                    shown = modality is self._top_modality(opened)
                    data = layer_data.image_data(opened, modality, visible=shown)
                    self._insert(Layer.create(*data), opened)
                elif layer.data is not volume:
                    layer.data = volume
                    window = layer_data.contrast_limits(volume, opened.case.brain)
                    layer.metadata[layer_data.WINDOW_KEY] = layer.contrast_limits = window
            self._update_volumes(opened)
            self._update_expert(opened)

    def _update_volumes(self, opened: OpenCase) -> None:
        """Give each volume without a modality a hidden layer, so that it can be looked at."""
        left = layer_data.unassigned(opened)
        for layer, tag in self.tagged(opened, "volume"):
            if tag.what not in left:
                self.viewer.layers.remove(layer)
        for source in left:
            if self.find(opened, "volume", source) is None:
                shown = not opened.case.volumes
                data = layer_data.volume_data(opened, source, visible=shown)
                self.viewer.layers.insert(0, Layer.create(*data))

    def _update_expert(self, opened: OpenCase) -> None:
        layer, expert = self.find(opened, "expert"), opened.case.expert
        if expert is None:
            self._discard(layer)
        elif layer is None:
            self.viewer.add_layer(Layer.create(*layer_data.expert_data(opened)))
        elif layer.data is not expert.labels:
            layer.data = expert.labels

    # ---- contrast

    def image_in_view(self, opened: OpenCase) -> Layer | None:
        """Return the topmost image of a case that is shown."""
        images = [layer for layer, _ in self.tagged(opened, "modality", "volume") if layer.visible]
        return images[-1] if images else None

    def set_contrast(self, layer: Layer, limits: tuple[float, float]) -> None:
        """Set the contrast of an image."""
        layer.contrast_limits = limits

    def share_contrast(self, layer: Layer) -> None:
        """Give the same modality of all other cases the contrast of this image.

        Grey values of scanners differ, so that the contrast is taken relative to the brain's.
        """
        own = tag_of(layer)
        assert own is not None
        low, high = layer.metadata[layer_data.WINDOW_KEY]
        share = [(limit - low) / (high - low) for limit in layer.contrast_limits]
        for other, tag in self.tagged():
            if other is not layer and (tag.role, tag.what) == (own.role, own.what):
                low, high = other.metadata[layer_data.WINDOW_KEY]
                start, stop = (low + part * (high - low) for part in share)
                self.set_contrast(other, (start, stop))

    @staticmethod
    def _top_modality(opened: OpenCase) -> Modality | None:
        present = [m for m in STACKING if m in opened.case.volumes]
        return present[-1] if present else None

    def name_apart(self) -> None:
        """Name the case in the names of its layers, where several cases are in the viewer."""
        open_cases = self.open_cases()
        if len(open_cases) < 2:
            return
        for layer, tag in self.tagged():
            if tag.role == "cell":  # of one case at a time, and its name is on the picture
                continue
            suffix = f" · {tag.opened.case.name}"
            if not layer.name.endswith(suffix):
                plain = layer.name.partition(" [")[0].partition(" · ")[0]
                layer.name = plain + suffix

    def focus(self, opened: OpenCase) -> None:
        """Show the layers of one case, set those of the others aside."""
        for layer, tag in self.tagged():
            if tag.opened is not opened and layer.visible:
                layer.visible = False
                self._set_aside.add(layer)
            elif tag.opened is opened and layer in self._set_aside:
                self._set_aside.discard(layer)
                layer.visible = True

    # ---- results

    def show_result(self, opened: OpenCase) -> None:
        """Show new labels, and new maps where they have a layer; what the user set there stays."""
        assert opened.result is not None
        self.show_labels(opened)
        maps = opened.result.maps
        labels, known = self.result(opened), labels_of(maps.targets, exclusive=False)
        if labels is not None and labels.selected_label not in (BACKGROUND, *known):
            labels.selected_label = known[0]  # what the brush paints
        for layer, tag in self.tagged(opened, "map"):
            if not maps.has(*tag.what):
                self.viewer.layers.remove(layer)
            elif layer.data is not (volume := maps.volume(*tag.what)):
                layer.data = volume

    def remove_result(self, opened: OpenCase) -> None:
        """Remove the labels and maps of a case."""
        with self._selection_kept():
            self.remove(opened, "map", "result", "contour")

    def show_labels(self, opened: OpenCase) -> None:
        """Show the labels, refined or not, in the layer that is there or in a new one."""
        assert opened.result is not None
        self._follow(opened)
        layer = self.result(opened)
        if layer is None:
            with self._selection_kept():
                self.viewer.add_layer(Layer.create(*layer_data.result_data(opened)))
            self.draw_outlines()
        elif layer.data is not opened.result.painted.labels:
            layer.data = opened.result.painted.labels
        else:
            layer.refresh(highlight=False, extent=False)

    def repaint_labels(self, opened: OpenCase, part: tuple[slice, ...] = EVERYWHERE) -> None:
        """Show a part of the labels that has changed, at the speed of a drag."""
        assert opened.result is not None
        self._follow(opened, part)
        layer = self.result(opened)
        if layer is not None and layer.data is not opened.result.painted.labels:
            layer.data = opened.result.painted.labels
        elif layer is not None:
            layer.refresh(thumbnail=False, highlight=False, extent=False)

    def draw_outlines(self) -> None:
        """Draw each segmentation as an outline where that is chosen, or where maps lie under it.

        Each map that is shown has its colour bar.
        """
        outline = state_of(self.viewer).outline
        for layer, tag in self.tagged():
            if tag.role == "map" and hasattr(layer, "colorbar"):  # since napari 0.9
                # A layer that left the grid and was not drawn yet has no resolution to space the
                # ticks by; napari spaces them with the next change.
                with suppress(EmitLoopError):
                    layer.colorbar.visible = layer.visible
            if tag.role == "result" and isinstance(layer, Labels):
                contour = int(outline or bool(self.shown_maps(tag.opened)))
                if layer.contour != contour:
                    layer.contour = contour

    def close_case(self, opened: OpenCase) -> None:
        """Remove every layer of a case."""
        with self.batched():
            self.remove(opened)

    def discard_strokes(self, opened: OpenCase) -> None:
        """Forget what was painted by hand."""
        if opened.result is not None:
            opened.result.painted.discard(opened.result.unpainted_labels)
            self.show_labels(opened)
            opened.count()

    def _follow(self, opened: OpenCase, part: tuple[slice, ...] = EVERYWHERE) -> None:
        assert opened.result is not None
        layer = self.result(opened)
        if layer is not None and opened.result.painted.strokes is not None:
            mode = layer.mode  # undo would bring labels of other thresholds back: forget it
            layer.editable = False
            layer.editable = True
            layer.mode = mode
        opened.result.painted.follow(opened.result.unpainted_labels, part)

    def show_map(self, opened: OpenCase, row: Row, target: Target, shown: bool) -> None:
        """Show or hide one map; its layer is made when it is first looked at."""
        layer = self.find(opened, "map", (row, target))
        if layer is not None:
            layer.visible = shown
        elif shown and opened.result is not None and opened.result.maps.has(row, target):
            with self._selection_kept():
                layer = Layer.create(*layer_data.map_data(opened, row, target, visible=False))
                self._insert(layer, opened)
            layer.visible = True  # announced, so that a comparison keeps it behind

    def map_layers(self, opened: OpenCase) -> dict[tuple[Row, Target], Layer]:
        """Return the layers of the maps of a case that are shown, bottom first."""
        return {tag.what: layer for layer, tag in self.tagged(opened, "map") if layer.visible}

    def shown_maps(self, opened: OpenCase) -> set[tuple[Row, Target]]:
        """Return the maps of a case that are shown."""
        return set(self.map_layers(opened))

    def contour(self, opened: OpenCase) -> Labels | None:
        """Return the layer of the thresholds' contours."""
        layer = self.find(opened, "contour")
        return layer if isinstance(layer, Labels) else None

    def add_contour(self, opened: OpenCase) -> Labels:
        """Add the layer of the thresholds' contours, on top and empty."""
        layer = self._add_on_top(layer_data.contour_data(opened))
        assert isinstance(layer, Labels)
        layer.contour = 1
        return layer

    # ---- checks of a preparation

    def show_check(self, opened: OpenCase, data: Sequence[LayerData]) -> None:
        """Show layers that check a preparation, on top and instead of those before.

        Parameters
        ----------
        opened : OpenCase
            A prepared case.
        data : sequence of LayerData
            See `layer_data.checkerboard_data` and `layer_data.head_data`; empty to remove them.
        """
        with self.batched(), self._selection_kept():
            self.remove(opened, "check")
        for one in data:
            layer = self._add_on_top(one)
            if isinstance(layer, Labels):
                layer.contour = 1

    # ---- overlays

    def overlays(self, opened: OpenCase) -> dict[Overlay, Labels]:
        """Return the overlay layers of a case that are there."""
        return {
            tag.what: layer
            for layer, tag in self.tagged(opened, "overlay")
            if isinstance(layer, Labels)
        }

    def add_overlay(self, opened: OpenCase, overlay: Overlay) -> None:
        """Add an overlay on top of everything."""
        if overlay not in self.overlays(opened):
            self._add_on_top(layer_data.overlay_data(opened, overlay))

    def remove_overlay(self, opened: OpenCase, overlay: Overlay) -> None:
        """Remove it."""
        self._discard(self.find(opened, "overlay", overlay))

    # ---- drawings of the reading

    def drawing(self, opened: OpenCase, drawing: Drawing) -> Layer | None:
        """Return a layer that the Reading dock draws into."""
        return self.find(opened, "drawing", drawing)

    def add_drawing(self, opened: OpenCase, drawing: Drawing) -> None:
        """Add a drawing of every voxel, on top and instead of the labels and of any other."""
        for other in PLANES:
            if other != drawing:
                self.remove_drawing(opened, other)
        if self.drawing(opened, drawing) is None:
            self._add_on_top(layer_data.drawing_data(opened, drawing))
            if (diameters := self.drawing(opened, "diameters")) is not None:
                layers = self.viewer.layers
                layers.move(layers.index(diameters), len(layers))
        if (result := self.result(opened)) is not None:
            result.visible = False

    def remove_drawing(self, opened: OpenCase, drawing: Drawing) -> None:
        """Remove it; the labels are seen again."""
        layer = self.drawing(opened, drawing)
        if layer is not None:
            self.viewer.layers.remove(layer)
            if drawing in PLANES and (result := self.result(opened)) is not None:
                result.visible = True

    def show_diameters(self, opened: OpenCase, measures: Measures) -> None:
        """Draw the diameters anew; a shapes layer does not change its lines for others."""
        visible = True if (old := self.drawing(opened, "diameters")) is None else old.visible
        self.remove_drawing(opened, "diameters")
        self._add_on_top(layer_data.diameters_data(opened, measures)).visible = visible

    def remove_drawings(self) -> None:
        """Remove everything that the Reading dock drew."""
        drawings = [tag for _, tag in self.tagged(None, "drawing")]
        if drawings:
            with self.batched():
                for tag in drawings:
                    self.remove_drawing(tag.opened, tag.what)

    def _add_on_top(self, data: LayerData) -> Layer:
        with self._selection_kept():
            layer = Layer.create(*data)
            layer.editable = False  # for looking at, not for painting
            self.viewer.add_layer(layer)
        return layer

    # ---- comparisons

    def cells(self) -> list[Layer]:
        """Return the layers of a comparison, bottom first."""
        return [layer for layer, _ in self.tagged(None, "cell")]

    def add_cell(self, data: Sequence[LayerData]) -> list[Layer]:
        """Add the layers of one cell: above the other cells, below everything else.

        napari's grid counts layers from the bottom, hidden ones too: there nothing comes between.
        """
        made = [Layer.create(*one) for one in data]
        with self._selection_kept():
            for index, layer in enumerate(made, start=len(self.cells())):
                self.viewer.layers.insert(index, layer)
        return made

    def remove_cells(self, key: object = None) -> None:
        """Remove the layers of a comparison, or of one of its cells."""
        gone = [la for la, tag in self.tagged(None, "cell") if key in (None, tag.what[0])]
        if not gone:
            return
        with self.batched(), self._selection_kept():
            for layer in gone:
                self.viewer.layers.remove(layer)

    # ---- helpers

    @contextmanager
    def batched(self) -> Iterator[None]:
        """Have napari tidy up and draw once for all layers that come and go within.

        It takes half a second each time; 0.8 knows no batches.
        """
        with getattr(self.viewer.layers, "batched_update", nullcontext)():
            yield

    def _insert(self, layer: Layer, opened: OpenCase) -> None:
        """Add below the labels of the same case, so that these stay on top."""
        layers = self.viewer.layers
        above = next((other for other, _ in self.tagged(opened, "expert", "result")), None)
        layers.insert(len(layers) if above is None else layers.index(above), layer)

    def _discard(self, layer: Layer | None) -> None:
        if layer is not None:
            self.viewer.layers.remove(layer)

    @contextmanager
    def _selection_kept(self) -> Iterator[None]:
        selection = self.viewer.layers.selection
        active, selected = selection.active, set(selection)
        yield
        kept = {layer for layer in selected if layer in self.viewer.layers}
        if kept:
            selection.clear()
            selection.update(kept)
            if active in kept:
                selection.active = active
