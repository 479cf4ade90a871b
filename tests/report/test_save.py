import csv
import io
import json

import pytest

from napari_gliocam.errors import SaveError
from napari_gliocam.io.tables import csv_of
from napari_gliocam.measure import FIGURES
from napari_gliocam.report import read_segmentation, report_files, save_reading, save_table
from napari_gliocam.report.tables import rows_of


@pytest.fixture
def reading(make_case, make_segmentation):
    case = make_case()
    return read_segmentation(case, make_segmentation(case))


def test_page_csv_and_json_lie_beside_each_other(reading, tmp_path):
    files = save_reading(reading, tmp_path / "new")
    assert [path.name for path in files] == [
        "anna_report.html",
        "anna_report.csv",
        "anna_report.json",
    ]
    assert tuple(files) == report_files(tmp_path / "new", "anna")
    assert sorted((tmp_path / "new").iterdir()) == sorted(files)
    for path in files:
        assert "secret" not in path.read_text(encoding="utf-8")
    with pytest.raises(SaveError, match="exists"):
        save_reading(reading, tmp_path / "new")
    save_reading(reading, tmp_path / "new", overwrite=True)


def test_the_json_holds_everything(reading, tmp_path):
    _, _, path = save_reading(reading, tmp_path)
    content = json.loads(path.read_text(encoding="utf-8"))
    case = content["measures"]["case"]
    assert case["core_ml"] == pytest.approx(reading.measures.case.core.ml)
    line = case["diameters"]["core_long"]
    assert line["mm"] == reading.measures.case.core.diameters.long_mm
    assert len(content["slices"]["core_mm2"]) == 8
    assert len(content["slices"]["probabilities"][0]) == 3
    assert content["sources"]["flair"] == "anna_flair.nii.gz"
    assert content["compared_with"] == "anna_seg.nii.gz"
    assert 0 < content["comparison"]["core"]["volume"]["dice"] <= 1
    assert content["settings"]["tumour_threshold"] == 0.4
    assert content["provenance"]["bundle"]["name"] == "tiny"
    assert content["overlap"]["overlap"]["ml"] == reading.overlap.overlap.ml


def test_the_csv_has_a_row_for_the_case_and_for_each_lesion(reading):
    rows = list(csv.DictReader(io.StringIO(csv_of(rows_of(reading)))))
    assert [row["lesion"] for row in rows] == ["case", "1"]
    for figure in FIGURES:
        assert float(rows[0][figure.key]) == pytest.approx(figure.of(reading.measures.case))
    assert rows[0]["lesions"] == "1"
    assert 0 < float(rows[0]["volume_core_dice"]) <= 1
    assert rows[1]["lesions"] == ""


def test_cases_go_into_one_table_whatever_columns_they_have(reading, make_case, tmp_path):
    other = make_case("berta", expert=False)
    alone = read_segmentation(other, reading.labels)
    path = save_table([*rows_of(alone), *rows_of(reading)], tmp_path)
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    assert [row["case"] for row in rows] == ["berta", "berta", "anna", "anna"]
    assert rows[0]["volume_core_dice"] == ""
    assert float(rows[2]["volume_core_dice"]) > 0
