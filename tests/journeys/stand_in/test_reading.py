"""Reader, writer and samples, as napari calls them."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest

from napari_gliocam.errors import CaseError, SaveError
from napari_gliocam.ui.model.state import state_of
from napari_gliocam.ui.plugin import samples
from napari_gliocam.ui.plugin.reader import get_reader, read
from napari_gliocam.ui.plugin.writer import write_labels
from napari_gliocam.ui.viewer.layer_data import KEY, LayerTag

from ...small_case import make_case, on_disk, write_case


def names(layers: Any) -> list[str]:
    return [arguments["name"] for _, arguments, _ in layers]


def test_getter_is_cheap_and_never_raises(case_folder: Path, tmp_path: Path) -> None:
    assert get_reader(str(case_folder)) is read
    assert get_reader([str(case_folder / "BraTS2021_00000_t2.nii.gz")]) is read
    assert get_reader(str(case_folder / "BraTS2021_00000_seg.nii.gz")) is read
    (tmp_path / "abdomen.nii").write_bytes(b"")
    (tmp_path / "nothing").mkdir()
    for name in ("abdomen.nii", "nothing", "notes.txt", "gone_flair.nii", ""):
        assert get_reader(str(tmp_path / name) if name else "") is None, name
    assert get_reader([]) is None


def test_one_file_opens_the_case(case_folder: Path) -> None:
    path = str(case_folder / "BraTS2021_00000_t1ce.nii.gz")
    reader = get_reader(path)
    assert reader is not None
    layers = reader(path)
    assert names(layers) == ["T1", "T2", "T1ce", "FLAIR", "expert labels"]
    for data, arguments, kind in layers:
        tag = arguments["metadata"][KEY]
        assert isinstance(tag, LayerTag)
        assert arguments["units"] == ("mm",) * 3
        assert arguments["axis_labels"] == ("S", "P", "L")
        assert arguments["scale"] == pytest.approx(tag.opened.case.grid.spacing)
        assert arguments["translate"] == pytest.approx(tag.opened.case.grid.origin)
        assert arguments["visible"] == (arguments["name"] == "FLAIR")
        assert kind == ("labels" if arguments["name"] == "expert labels" else "image")
        assert data.shape == tag.opened.case.grid.shape


def test_a_choice_is_offered_and_said_where_a_name_tells_nothing(case_folder: Path) -> None:
    (case_folder / "BraTS2021_00000_t2.nii.gz").rename(case_folder / "BraTS2021_00000_new.nii.gz")
    layers = read(str(case_folder))
    assert names(layers) == ["T1", "T1ce", "FLAIR", "expert labels"]
    opened = layers[0][1]["metadata"][KEY].opened
    assert "BraTS2021_00000_new.nii.gz" in opened.case.warnings[0]
    assert "choose it in the panel" in opened.case.warnings[0]
    assert [source.title for source in opened.pool][-1] == "BraTS2021_00000_new.nii.gz"


def test_a_result_beside_its_case_opens_alone(case_folder: Path) -> None:
    seg = case_folder / "BraTS2021_00000_seg.nii.gz"
    seg.rename(case_folder / "BraTS2021_00000_gliocam_seg.nii.gz")
    ((_, _, kind),) = read(str(case_folder / "BraTS2021_00000_gliocam_seg.nii.gz"))
    assert kind == "labels"
    assert names(read(str(case_folder))) == ["T1", "T2", "T1ce", "FLAIR"]


def test_four_files_at_once_open_one_case(case_folder: Path) -> None:
    paths = sorted(str(p) for p in case_folder.glob("*.nii.gz"))
    assert len(read(paths)) == 5


def test_four_files_dropped_one_by_one(gliocam: Any, case_folder: Path) -> None:
    viewer = gliocam.viewer
    paths = sorted(str(p) for p in case_folder.glob("*.nii.gz"))
    viewer.open(paths, plugin="napari-gliocam")
    assert len(viewer.layers) == 5
    assert viewer.layers.selection.active is not None
    viewer.layers.remove("T2")
    viewer.open(paths[:], plugin="napari-gliocam")
    assert len(viewer.layers) == 5
    assert "T2" in [layer.name for layer in viewer.layers]
    viewer.open(case_folder, plugin="napari-gliocam")
    assert len(viewer.layers) == 5


def test_two_cases_in_one_viewer(gliocam: Any, case_folder: Path, tmp_path: Path) -> None:
    viewer = gliocam.viewer
    other = write_case(make_case("BraTS2021_00001", seed=1), tmp_path / "BraTS2021_00001")
    viewer.open(case_folder, plugin="napari-gliocam")
    viewer.open(other, plugin="napari-gliocam")
    assert [r.case.name for r in gliocam.state.open_cases] == ["BraTS2021_00000", "BraTS2021_00001"]
    assert gliocam.state.current.case.name == "BraTS2021_00001"
    shown = [layer.name for layer in viewer.layers if layer.visible]
    assert shown == ["FLAIR · BraTS2021_00001"]


def test_error_is_shown_in_the_panel_not_as_a_page_about_plugins(
    gliocam: Any, case_folder: Path
) -> None:
    bad = case_folder / "BraTS2021_00000_t2.nii.gz"
    bad.write_bytes(bad.read_bytes()[:200])
    assert gliocam.viewer.open(case_folder, plugin="napari-gliocam") == []
    assert "BraTS2021_00000_t2.nii.gz is cut off or damaged" in gliocam.state.message.text


def test_error_without_a_window_is_raised(
    case_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari.current_viewer", lambda: None)
    (case_folder / "BraTS2021_00000_t2.nii.gz").write_bytes(b"no")
    with pytest.raises(CaseError, match=r"BraTS2021_00000_t2\.nii\.gz is not a NIfTI"):
        read(str(case_folder))


def test_result_is_saved_by_napari_and_opens_alone(
    segmented: Any, tmp_path: Path, qtbot: Any
) -> None:
    viewer = segmented.viewer
    segmented.panel.session.settle()
    labels = viewer.layers["segmentation"]
    path = tmp_path / on_disk("späte Bilder") / "small_seg.nii.gz"
    path.parent.mkdir()
    written = viewer.layers.selection
    written.active = labels
    assert viewer.layers.save(str(path), selected=True, plugin="napari-gliocam")
    assert path.with_name("small.json").exists()
    image = nib.load(path)
    assert image.get_data_dtype() == np.uint8
    np.testing.assert_allclose(image.affine, segmented.opened.case.grid.affine)
    ((data, arguments, kind),) = read(str(path))
    assert kind == "labels"
    np.testing.assert_array_equal(data, labels.data)
    assert arguments["scale"] == pytest.approx(tuple(labels.scale))
    assert arguments["translate"] == pytest.approx(tuple(labels.translate))


def test_writer_falls_back_on_the_layer(tmp_path: Path, case: Any) -> None:
    labels = np.zeros((4, 6, 5), dtype=np.int64)
    labels[1, 2, 3] = 7
    path = str(tmp_path / "plain.nii")
    meta = {"scale": (5.0, 2.0, 1.0), "translate": (10.0, 20.0, 30.0), "metadata": {}}
    assert write_labels(path, labels, meta) == [path]
    ((data, arguments, _),) = _read_any(path, labels)
    np.testing.assert_array_equal(data, labels)
    assert arguments["scale"] == pytest.approx(meta["scale"])
    assert arguments["translate"] == pytest.approx(meta["translate"])


def _read_any(path: str, labels: Any) -> list[Any]:
    from napari_gliocam.case import Grid

    image = nib.load(path)
    grid = Grid(image.affine, image.shape)
    data = grid.from_file(np.asarray(image.dataobj))
    return [(data, {"scale": grid.spacing, "translate": grid.origin}, "labels")]


@pytest.mark.parametrize(
    ("path", "labels", "sentence"),
    [
        ("x.tif", np.zeros((2, 2, 2), int), "does not end in"),
        ("x.nii", np.zeros((2, 2), int), "2-D"),
        ("x.nii", np.full((2, 2, 2), 300), "beyond 255"),
        ("gone/x/y.nii", np.full((2, 2, 2), -1), "beyond 255"),
    ],
)
def test_writer_says_what_it_cannot(tmp_path: Path, path: str, labels: Any, sentence: str) -> None:
    with pytest.raises(SaveError, match=sentence):
        write_labels(str(tmp_path / path), labels, {})
    assert list(tmp_path.iterdir()) == []


def test_expert_labels_are_written_on_their_grid(case_folder: Path, tmp_path: Path) -> None:
    data, arguments, _ = read(str(case_folder))[-1]
    path = tmp_path / "again.nii.gz"
    write_labels(str(path), data, arguments)
    source = nib.load(case_folder / "BraTS2021_00000_seg.nii.gz")
    again = nib.load(path)
    np.testing.assert_allclose(again.affine, source.affine)
    raw = np.asarray(source.dataobj)
    np.testing.assert_array_equal(
        np.asarray(again.dataobj), np.select([raw == 4, raw == 2], [1, 2])
    )


def test_samples(stand_in: Any, qapp: Any) -> None:
    for make in (samples.enhancing, samples.low_grade, samples.healthy):
        assert names(make()) == ["T1", "T2", "T1ce", "FLAIR", "expert labels"]


def test_duplicated_layer_is_the_same_case(opened: Any) -> None:
    from copy import deepcopy

    layer = opened.viewer.layers["FLAIR"]
    assert deepcopy(layer.metadata)[KEY].opened is opened.opened


def test_warning_reaches_the_panel(gliocam: Any, case_folder: Path) -> None:
    (case_folder / "BraTS2021_00000_t2.nii.gz").unlink()
    gliocam.viewer.open(case_folder, plugin="napari-gliocam")
    assert gliocam.state.message.level == "warning"
    assert "no T2" in gliocam.state.message.text
    combo = gliocam.panel.case_view.modalities
    assert [c.currentText() for m, c in combo.items() if m == "t2"] == ["missing"]


def test_reader_needs_no_panel(make_napari_viewer_proxy: Any, case_folder: Path) -> None:
    viewer = make_napari_viewer_proxy()
    shutil.rmtree(case_folder.parent / "other", ignore_errors=True)
    viewer.open(case_folder, plugin="napari-gliocam")
    assert len(viewer.layers) == 5
    assert state_of(viewer).panels == 0
