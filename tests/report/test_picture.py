import io
from dataclasses import replace

import numpy as np
from PIL import Image

from napari_gliocam.colours import CLASS_COLOURS, rgb
from napari_gliocam.report import picture, read_segmentation
from napari_gliocam.report.chart import draw_chart
from napari_gliocam.report.key_slices import agreement_slices, key_slices


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_key_slices_show_what_they_say(make_case, make_segmentation):
    case = make_case()
    reading = read_segmentation(case, make_segmentation(case))
    keys = key_slices(reading)
    titles = ", ".join(key.title for key in keys).lower()
    for title in ("largest diameters of the tumour", "largest diameters of the core"):
        assert title in titles
    for title, area in (("most core", reading.areas.core), ("most edema", reading.areas.edema)):
        assert next(k for k in keys if title in k.title.lower()).index == int(area.argmax())
    overlap = keys[-1]
    assert overlap.title == "Most overlap"
    assert overlap.index == 3
    assert (overlap.labels == 3).any()
    core = next(key for key in keys if "diameters of the core" in key.title.lower())
    long, across = core.lines
    assert long.start[0] == core.index
    assert long.mm >= across.mm
    wrong = agreement_slices(reading)
    assert [key.title.split(",")[0] for key in wrong] == ["Tumour", "Core"]
    assert set(np.unique(wrong[0].labels)) <= {0, 1, 2, 3}


def test_a_tumour_that_is_not_divided_has_no_picture_of_its_core(make_case):
    case = make_case()
    reading = read_segmentation(case, np.roll(4 * (case.expert.labels > 0), 1, axis=1))
    assert [key.title for key in agreement_slices(reading)] == ["Tumour, largest difference"]
    assert not any("core" in key.title.lower() for key in key_slices(reading))


def test_labels_are_drawn_where_they_are_in_their_colours(make_case, make_segmentation):
    case = make_case()
    reading = read_segmentation(case, make_segmentation(case))
    key = next(k for k in key_slices(reading) if "most edema" in k.title.lower())
    key = replace(key, lines=())
    scan, shown = (pixels(picture.draw_slice(case, key, overlay=on)) for on in (False, True))
    changed = np.argwhere((scan != shown).any(axis=2))
    # The lesion's rows 9 to 24 and columns 8 to 21 in a picture of the brain with 4 of air.
    scale = picture.HEIGHT / 40, shown.shape[1] / 36
    np.testing.assert_allclose(changed.min(axis=0), (9 * scale[0], 8 * scale[1]), atol=3)
    np.testing.assert_allclose(changed.max(axis=0), (25 * scale[0], 22 * scale[1]), atol=3)
    rim = shown[round(9 * scale[0]) + 1, round(15 * scale[1])]
    assert np.abs(rim - rgb(CLASS_COLOURS[2])).max() < 60


def test_a_chart_of_nothing_and_of_one_slice(make_case):
    case = make_case(expert=False)
    for labels in (
        np.zeros(case.grid.shape, dtype=np.uint8),
        np.full(case.grid.shape, 3, np.uint8),
    ):
        areas = read_segmentation(case, labels).areas
        for slices in (None, (3, 3)):
            svg = draw_chart(areas, slices=slices, marks=[3])
            assert svg.startswith("<svg")
            assert "nan" not in svg
            assert "inf" not in svg
