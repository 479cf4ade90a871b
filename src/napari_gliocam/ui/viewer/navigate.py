"""Where the viewer looks in a case, and how to look elsewhere."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_gliocam.case import Grid, Modality
from napari_gliocam.measure.classes.class_overlap import claims_of
from napari_gliocam.measure.lesion.slice_areas import slice_areas, step_slice
from napari_gliocam.targets import TUMOUR_ALONE
from napari_gliocam.ui.model.state import Message, OpenCase, state_of, unwrap
from napari_gliocam.ui.viewer.layer_data import tag_of
from napari_gliocam.ui.viewer.layers import CaseLayers

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_gliocam.trust.statement import TrustStatement

#: Shown until the doubt of the case in work is known.
MEASURING = Message("The doubt is being measured; press the key again in a moment.")


def part_in_view(viewer: ViewerModel, grid: Grid) -> tuple[slice, ...] | None:
    """Return the slice in view as an index in (S, P, L); None in 3-D or outside."""
    dims = unwrap(viewer).dims
    if dims.ndisplay != 2 or dims.ndim < 3:
        return None
    lead = dims.ndim - 3
    axes = [axis - lead for axis in dims.not_displayed if axis >= lead]
    if len(axes) != 1:
        return None
    axis = int(axes[0])
    index = _index(dims.point[axis + lead], grid, axis)
    if not 0 <= index < grid.shape[axis]:
        return None
    return (*[slice(None)] * axis, slice(index, index + 1))


def slice_in_view(viewer: ViewerModel, grid: Grid) -> int | None:
    """Return the axial slice that the viewer stands on; None outside the case."""
    dims = unwrap(viewer).dims
    if dims.ndim < 3:
        return None
    index = _index(dims.point[dims.ndim - 3], grid, 0)
    return index if 0 <= index < grid.shape[0] else None


def _index(point: float, grid: Grid, axis: int) -> int:
    return int(np.round((point - grid.origin[axis]) / grid.spacing[axis]))


def go_to_slice(viewer: ViewerModel, grid: Grid, index: int) -> None:
    """Stand on an axial slice."""
    dims = unwrap(viewer).dims
    dims.set_point(dims.ndim - 3, grid.origin[0] + index * grid.spacing[0])


def stand_inside(viewer: ViewerModel, grid: Grid) -> None:
    """Go to the middle of a case along each axis on which the point in view lies outside it."""
    dims = unwrap(viewer).dims
    lead = dims.ndim - 3
    for axis, length in enumerate(grid.shape if lead >= 0 else ()):
        if not 0 <= _index(dims.point[axis + lead], grid, axis) < length:
            dims.set_point(axis + lead, grid.origin[axis] + length // 2 * grid.spacing[axis])


def fit_case(viewer: ViewerModel, opened: OpenCase) -> None:
    """Centre the canvas on a case and fit it, whatever else is in the viewer."""
    viewer = unwrap(viewer)
    own = [layer for layer, _ in CaseLayers(viewer).tagged(opened)]
    with suppress(TypeError):  # napari 0.8 fits all layers and nothing less
        viewer.fit_to_view(layers=own)


def largest_lesion_slice(opened: OpenCase) -> int | None:
    """Return the slice with most tumour; None where there is none."""
    if opened.result is None:
        return None
    voxels = opened.result.lesion_voxels()
    return int(np.argmax(voxels)) if voxels.any() else None


def step_lesion(viewer: ViewerModel, step: int) -> None:
    """Go to the next or previous slice that shows tumour; before Segment, in the expert labels."""
    opened = case_in_work(viewer)
    if opened is None:
        return
    if opened.result is not None:
        voxels = opened.result.lesion_voxels()
    elif opened.case.expert is not None:
        voxels = np.count_nonzero(opened.case.expert.labels, axis=(1, 2))
    else:
        voxels = np.zeros(0, dtype=np.int64)
    _step(viewer, opened, np.flatnonzero(voxels), step, "shows tumour")


def step_conflict(viewer: ViewerModel, step: int) -> None:
    """Go to the next or previous slice on which core and edema claim the same voxel."""
    opened = case_in_work(viewer)
    if opened is None:
        return
    if opened.result is None:
        state_of(viewer).say("Click Segment first; it finds where core and edema overlap.")
        return
    if opened.result.maps.targets == TUMOUR_ALONE:
        state_of(viewer).say("This result does not divide the tumour into core and edema.")
        return
    claimed = claims_of(opened.result.maps, settings=opened.settings)
    slices = slice_areas(claimed, opened.case.grid).conflict_slices
    _step(viewer, opened, slices, step, "has overlap of core and edema")


def _step(
    viewer: ViewerModel, opened: OpenCase, slices: NDArray[np.integer], step: int, what: str
) -> None:
    """Go to the nearest of some slices above (1) or below (-1); say where there is none."""
    grid = opened.case.grid
    current = slice_in_view(viewer, grid)
    if current is None:
        current = -1 if step > 0 else grid.shape[0]
    index = step_slice(slices, current, step)
    if index is None:
        word = "above" if step > 0 else "below"
        state_of(viewer).say(f"No slice {word} this one {what}.", of_slice=True)
    else:
        go_to_slice(viewer, grid, index)


def step_doubt(viewer: ViewerModel, step: int) -> None:
    """Go to the slice with the most doubt, and from there to the next one in that order."""
    opened = case_in_work(viewer)
    trust = None if opened is None else _trust_of(viewer, opened)
    if opened is None or trust is None:
        return
    say = partial(state_of(viewer).say, of_slice=True)
    grid, slices = opened.case.grid, trust.slices
    index = trust.next_slice(slice_in_view(viewer, grid), step)
    if index is None:
        say("These are all slices with doubt." if slices else "The exits agree on every slice.")
        return
    go_to_slice(viewer, grid, index)
    place = f"{slices.index(index) + 1} of {len(slices)}"
    say(f"Slice {index}: {trust.areas[index]:.1f} cm² in doubt ({place}, most first).")


def step_doubtful_lesion(viewer: ViewerModel) -> None:
    """Go to the lesion with the most doubt, and from there to the next one in that order."""
    opened = case_in_work(viewer)
    trust = None if opened is None else _trust_of(viewer, opened)
    if opened is None or trust is None:
        return
    say, grid = partial(state_of(viewer).say, of_slice=True), opened.case.grid
    lesion = trust.next_lesion(slice_in_view(viewer, grid))
    if lesion is None:
        say("The labels show no lesion.")
        return
    go_to_slice(viewer, grid, lesion.slice)
    place = f"{trust.lesions.index(lesion) + 1} of {len(trust.lesions)}"
    say(f"Lesion {lesion.number}: mean doubt {lesion.doubt:.2f} ({place}, most first).")


def _trust_of(viewer: ViewerModel, opened: OpenCase) -> TrustStatement | None:
    """Return how far the result can be trusted; say why that is not known."""
    state = state_of(viewer)
    if opened.result is None:
        state.say("Click Segment first; its exits show where they disagree.")
    elif not opened.result.maps.from_exits:
        state.say("These maps have no exits that could disagree, so their doubt is not known.")
    elif opened.trust is None:
        state.message = MEASURING
    return opened.trust


def toggle_overlay(viewer: ViewerModel) -> None:
    """Show or hide the segmentation (the expert labels where there is none)."""
    opened = case_in_work(viewer)
    if opened is None:
        return
    layers = CaseLayers(viewer)
    cells = [(layer, tag_of(layer)) for layer in layers.cells()]
    maps = [layer for layer, tag in cells if tag is not None and tag.what[1] == "map"]
    for layer in maps:  # a comparison has its own overlays
        layer.visible = not layer.visible
    if maps:
        return
    layer = layers.result(opened) or layers.find(opened, "expert")
    if layer is not None:
        layer.visible = not layer.visible


def toggle_outline(viewer: ViewerModel) -> None:
    """Draw the segmentations of a viewer as outlines, or filled."""
    state = state_of(viewer)
    state.outline = not state.outline
    CaseLayers(viewer).draw_outlines()


def flip_refinement(viewer: ViewerModel) -> None:
    """Show the labels before refinement instead of those after, or the other way round."""
    opened = case_in_work(viewer)
    if opened is None:
        return
    result = opened.result
    if result is None or (result.current is None and result.previewed is None):
        state_of(viewer).say("Nothing is refined yet: before and after are the same.")
        return
    result.flipped = not result.flipped
    CaseLayers(viewer).show_labels(opened)


def cycle_modality(viewer: ViewerModel) -> None:
    """Show the next modality instead of the one in view."""
    opened = case_in_work(viewer)
    if opened is None:
        return
    layers = CaseLayers(viewer)
    if layers.cells():
        state = state_of(viewer)
        choices = (None, *(m for m in Modality if m in opened.case.volumes))
        known = state.under if state.under in choices else None
        state.under = choices[(choices.index(known) + 1) % len(choices)]
        return
    images = [layer for layer, _ in layers.tagged(opened, "modality")]
    if not images:
        return
    shown = [i for i, layer in enumerate(images) if layer.visible]
    chosen = (shown[-1] - 1) % len(images) if shown else len(images) - 1
    images[chosen].visible = True  # first on, then off: the canvas is never empty
    for index, layer in enumerate(images):
        layer.visible = index == chosen


def case_in_work(viewer: ViewerModel) -> OpenCase | None:
    """Return the case in work; found in the layers where no panel is open."""
    current = state_of(viewer).current
    open_cases = CaseLayers(viewer).open_cases()
    if current in open_cases:
        return current
    return open_cases[-1] if open_cases else None
