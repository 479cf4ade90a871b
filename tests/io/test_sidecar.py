"""What lies beside a result is enough to make it again."""

from __future__ import annotations

import json

import pytest

from napari_gliocam.errors import GliocamError
from napari_gliocam.io.sidecar import SOFTWARE, read_choices
from napari_gliocam.refine.parameters import CrfParameters, FitParameters, Refinement
from napari_gliocam.settings import Thresholds


@pytest.mark.parametrize(
    "refinement",
    [
        Refinement.nothing(),
        Refinement(),
        Refinement("crf", crf=CrfParameters(volume=True), components=None),
        Refinement("boundary-fit+crf", fit=FitParameters(min_inside=0.7)),
    ],
)
def test_choices_come_back(tmp_path, refinement):
    path = tmp_path / "one.json"
    settings = {"tumour_threshold": 0.3, "exclusive": False}
    content = {"software": SOFTWARE, "settings": settings, "refinement": refinement.used}
    path.write_text(json.dumps(content))
    assert read_choices(path) == (Thresholds(tumour_threshold=0.3, exclusive=False), refinement)


@pytest.mark.parametrize(
    "content",
    [
        "[1",
        "[" * 100_000,
        '{"a":' * 100_000,
        "[]",
        '{"software": "other"}',
        json.dumps({"software": SOFTWARE}),
        json.dumps({"software": SOFTWARE, "settings": {"colour": 1}}),
        json.dumps({"software": SOFTWARE, "settings": {"exclusive": "no"}}),
        json.dumps({"software": SOFTWARE, "settings": {"tumour_threshold": [1]}}),
        json.dumps({"software": SOFTWARE, "settings": {}, "refinement": 3}),
        json.dumps({"software": SOFTWARE, "settings": {}, "refinement": 0.5}),
        json.dumps({"software": SOFTWARE, "settings": {}, "refinement": {"method": "magic"}}),
        json.dumps({"software": SOFTWARE, "settings": {}, "refinement": {"crf": {}}}),
        json.dumps(
            {"software": SOFTWARE, "settings": {}, "refinement": {"method": "crf", "crf": 1}}
        ),
    ],
)
def test_what_is_no_result_is_a_sentence(tmp_path, content):
    path = tmp_path / "one.json"
    path.write_text(content)
    with pytest.raises(GliocamError, match="choose"):
        read_choices(path)


def test_a_missing_file_is_a_sentence(tmp_path):
    with pytest.raises(GliocamError, match=r"gone\.json"):
        read_choices(tmp_path / "gone.json")
