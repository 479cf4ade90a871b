import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from napari_gliocam.case import Modality, Preparation
from napari_gliocam.io.sidecar import describe
from napari_gliocam.maps.class_maps import ClassMaps
from napari_gliocam.measure import FIGURES
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.report import make_page, read_segmentation
from napari_gliocam.report.facts import settings_facts
from napari_gliocam.report.key_slices import key_slices
from napari_gliocam.report.tables import rows_of, to_json
from napari_gliocam.threshold import apply_thresholds
from napari_gliocam.trust.sequences import Shares

from ..small_case import make_case as small_case
from ..small_case import make_maps

VOID = {"meta", "img", "link", "br"}


class Checked(HTMLParser):
    """Collects words and tags, and fails where one is closed that is not open."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture
def page(make_case, make_segmentation):
    case = make_case()
    return make_page(read_segmentation(case, make_segmentation(case)))


def test_the_steps_of_a_preparation_are_named(make_case, make_segmentation):
    case = make_case()
    assert "Prepared" not in make_page(read_segmentation(case, make_segmentation(case)))
    made = replace(case, preparation=Preparation(("T2 was moved.", "T2 was resampled."), {}))
    page = Checked(make_page(read_segmentation(made, make_segmentation(made))))
    assert "Prepared T2 was moved. T2 was resampled." in page.text


def test_it_is_one_file_without_scripts_or_network(page):
    parsed = Checked(page)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in parsed.tags}
    for tag, attributes in parsed.tags:
        for name in ("src", "href"):
            if name in attributes:
                assert attributes[name].startswith("data:image/png;base64,"), tag
    assert not re.search(r"url\(|@import|https?://(?!www\.w3\.org/2000/svg)", page)


def test_it_says_what_was_measured_with_units(page, make_case, make_segmentation):
    case = make_case()
    measures = read_segmentation(case, make_segmentation(case)).measures
    text = Checked(page).text
    for figure in FIGURES:
        assert figure.title in text
        assert figure.text(measures.case) in text
    for words in (
        "Research use only, not a medical device.",
        "random <numbers>",
        "CPU, 2 threads · float32",
        "anna_flair.nii.gz",
        "Compared with anna_seg.nii.gz",
        "present-slices",
        "volume",
        "all-slices",
        "pooled",
        "HD95",
        "Overlap",
        "oblique: <shown> straightened",
        "One class per voxel",
        "where slice p < 0.5",
    ):
        assert words in text, words


def test_no_folder_and_nothing_that_was_not_typed_is_on_it(page):
    assert "secret" not in page


def test_what_is_typed_is_on_it_as_words(make_case, make_segmentation):
    case = make_case("<b>bold</b>")
    heading = 'Ms. X & "Y" <script>alert(1)</script>'
    page = make_page(read_segmentation(case, make_segmentation(case), heading=heading))
    parsed = Checked(page)
    assert heading in parsed.text
    assert "<b>bold</b>" in parsed.text
    assert "script" not in {tag for tag, _ in parsed.tags}


def test_pictures_have_true_proportions(page, make_case, make_segmentation):
    case = make_case()
    reading = read_segmentation(case, make_segmentation(case))
    images = [a["src"] for tag, a in Checked(page).tags if tag == "img"]
    count = len(key_slices(reading)) + 2  # two of the comparison
    assert len(images) == 2 * count  # each with its scan
    shown = [Image.open(io.BytesIO(base64.b64decode(s.partition(",")[2]))) for s in images]
    for image in shown:
        # The brain's 32 rows of 2 mm and 28 columns of 1.5 mm, with 4 of air around.
        assert image.width / image.height == pytest.approx((36 * 1.5) / (40 * 2), rel=0.02)
    assert [image.mode for image in shown] == ["L", "RGB"] * count


def test_the_chart_is_a_picture_of_its_own(page):
    chart = re.search(r"<svg.*?</svg>", page, re.DOTALL).group()
    root = ElementTree.fromstring(chart)
    words = [element.text for element in root.iter() if element.text]
    assert {"area, mm²", "slice, feet to head", "core", "edema", "overlap"} <= set(words)
    assert {"P(tumour)", "P(core)", "P(edema)"} <= set(words)
    assert "nan" not in chart


def test_nothing_found_is_said_and_no_number_is_missing(make_case, make_segmentation):
    case = make_case(expert=False)
    page = make_page(read_segmentation(case, make_segmentation(case, found=False)))
    text = Checked(page).text
    assert "No lesion found." in text
    assert "Neither core nor edema was found." in text
    assert "0.00 ml" in text
    assert "nan" not in text.lower()
    assert "Compared with" not in text


@pytest.mark.parametrize("found", [True, False])
@pytest.mark.parametrize("saved", [True, False])
def test_a_result_of_the_tumour_alone_says_nothing_of_classes(make_case, found, saved):
    case = make_case()
    volume = np.float32(0.9 * found) * (case.expert.labels > 0)
    maps = ClassMaps.of_targets(
        case.grid,
        {"tumour": volume.astype(np.float32)},
        probabilities=np.ones((len(volume), 3), np.float32),
    )
    result = apply_thresholds(maps)
    used = json.loads(describe(result, case)) if saved else None
    reading = read_segmentation(case, result.labels if saved else result, used=used)
    assert set(reading.comparison) == {"tumour"}
    slices = json.loads(to_json(reading))["slices"]
    assert set(slices) == {"tumour_mm2", "probabilities"}
    assert any(slices["tumour_mm2"]) == found
    text = Checked(make_page(reading)).text
    assert "Tumour threshold" in text
    figures, notes, _ = text.partition("Volumes are numbers of voxels")
    assert notes
    assert not re.search(r"\b(core|edema|class threshold)\b", figures, re.IGNORECASE)


def test_labels_alone_have_no_bundle_and_no_probabilities(make_case):
    case = make_case()
    labels = case.expert.labels.copy()
    labels[3, 12, 10] = 3
    page = make_page(read_segmentation(case, labels, source="read from x_seg.nii.gz"))
    text = Checked(page).text
    assert "read from x_seg.nii.gz" in text
    assert "P(core)" not in text
    assert "Tumour threshold" not in text
    assert "Overlap" in text
    known = {"settings": {"tumour_threshold": 0.35, "class_threshold": 0.5, "gate": False}}
    text = Checked(make_page(read_segmentation(case, labels, used=known))).text
    assert "0.35" in text


def test_paint_and_refinement_are_told(make_case, make_segmentation):
    case = make_case()
    segmentation = replace(make_segmentation(case), refinement=Refinement("crf"))
    painted = segmentation.labels.copy()
    painted[4, 30, 30] = 1
    painted[4, 31, 30] = 9
    reading = read_segmentation(case, segmentation, painted=painted)
    text = Checked(make_page(reading)).text
    assert "2 voxels were painted by hand." in text
    assert "The value 9 is no class" in text
    assert "Refinement: crf (" in text
    assert reading.labels.max() <= 3


def test_one_modality_and_one_slice(make_case):
    case = make_case(modalities=(Modality.T2,), expert=False)
    flat = replace(
        case,
        volumes={m: v[3:4] for m, v in case.volumes.items()},
        grid=type(case.grid)(case.grid.affine, (36, 40, 1)),
    )
    labels = np.zeros((1, 40, 36), dtype=np.uint8)
    labels[0, 10:20, 10:20] = 1
    text = Checked(make_page(read_segmentation(flat, labels))).text
    assert "slice 0, T2" in text
    assert "missing" in text


def test_no_slice_is_shown_twice(make_case):
    case = make_case(expert=False)
    labels = np.zeros(case.grid.shape, dtype=np.uint8)
    labels[4, 10:20, 10:20] = 2
    labels[4, 13:16, 13:16] = 1
    keys = key_slices(read_segmentation(case, labels))
    assert len({(key.index, key.modality) for key in keys}) == len(keys) == 2
    assert keys[0].title == "Largest diameters of the tumour, most edema"
    assert len(keys[0].lines) == 2


def test_tumour_in_a_brain_that_has_none_is_said(make_case, make_segmentation):
    case = make_case()
    healthy = replace(case.expert, labels=np.zeros_like(case.expert.labels))
    case = replace(case, expert=healthy)
    text = Checked(make_page(read_segmentation(case, make_segmentation(case)))).text
    assert "The expert labels show no tumour" in text
    assert "are false positives" in text


def test_no_words_from_files_are_html(make_case, make_segmentation):
    hostile = '<img src=x onerror="alert(1)">'
    case = make_case(hostile)
    segmentation = make_segmentation(case)
    provenance = {"bundle": {"name": hostile, "origin": hostile}, "device": hostile}
    used = {"settings": {"tumour_threshold": hostile}, "provenance": provenance}
    reading = read_segmentation(
        case, segmentation, used=used, source=hostile, heading=hostile, warnings=(hostile,)
    )
    page = make_page(reading)
    assert hostile not in page
    assert Checked(page).text.count(hostile) >= 7


@pytest.mark.parametrize(
    ("provenance", "words"),
    [
        ({}, "the networks of the maps"),
        ({"segmenter": {"tumour_share": 1.0, "class_share": 1.0}}, "the segmentation network"),
        (
            {"segmenter": {"tumour_share": 0.0, "class_share": 0.25}},
            "the networks of the maps and the segmentation network, whose weight is 0 in the "
            "tumour and 0.25 in its division",
        ),
        ({"method": {"name": "gradcam"}}, None),
    ],
)
def test_the_networks_that_segmented_stand_on_the_page(
    make_case, make_segmentation, provenance, words
):
    case = make_case()
    used = {"provenance": {"bundle": {"name": "tiny"}, **provenance}}
    reading = read_segmentation(case, make_segmentation(case), used=used)
    assert dict(settings_facts(reading)).get("Segmented by") == words


def test_how_far_to_trust_it_stands_on_the_page_and_in_the_json(page):
    assert "How far to trust this" not in Checked(page).text  # maps without exits
    case = small_case()
    reading = read_segmentation(case, apply_thresholds(make_maps(case)))
    text = Checked(make_page(reading)).text
    assert "How far to trust this" in text
    found = json.loads(to_json(reading))["trust"]
    for sentence in reading.trust.sentences:
        assert sentence in text
    assert found["sentences"] == list(reading.trust.sentences)
    low, volume, high = found["ranges_ml"]["tumour"]
    assert low <= volume <= high
    assert volume == pytest.approx(reading.measures.case.tumour.ml)


def test_the_sequences_of_each_lesion_stand_on_the_page_in_csv_and_json(page):
    assert "Which sequence said so" not in Checked(page).text  # nobody asked
    case = small_case()
    reading = read_segmentation(case, apply_thresholds(make_maps(case)))
    one = Shares({Modality.T1CE: 3.0, Modality.FLAIR: -1.0})
    caution = "The networks never learned to do without FLAIR."
    reading = replace(reading, sequences=((1, "core", one),), sequence_caution=caution)
    text = Checked(make_page(reading)).text
    assert "Which sequence said so" in text
    assert "75 %" in text
    assert "−25 %" in text
    assert caution in text
    _, lesion, *_ = rows_of(reading)
    assert lesion["sequence_core_flair"] == -0.25
    (found,) = json.loads(to_json(reading))["sequences"]
    assert found == {"lesion": 1, "class": "core", "shares": {"t1ce": 0.75, "flair": -0.25}}
