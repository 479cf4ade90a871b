"""The bundles that ship."""

from __future__ import annotations

import pytest
from safetensors.numpy import load_file

from napari_gliocam.errors import BundleError
from napari_gliocam.nets.bundle import WEIGHTS_FILE
from napari_gliocam.nets.bundle_info import bundled_path, read_bundle_info, shipped_paths


def test_the_default_and_the_synthetic_bundle_ship():
    infos = [read_bundle_info(path) for path in shipped_paths()]
    assert [info.name for info in infos] == ["gliocam-real-1", "gliocam-synthetic-2"]
    assert all(info.licence == "BSD-3-Clause" for info in infos)


def test_a_bundle_that_ships_is_found_by_its_name(tmp_path, monkeypatch):
    assert read_bundle_info("gliocam-synthetic-2").path == shipped_paths()[1]
    with pytest.raises(BundleError, match="no bundle"):
        read_bundle_info("gliocam-synthetic-0")
    # A folder of that name comes first.
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gliocam-synthetic-2").mkdir()
    with pytest.raises(BundleError, match="no bundle"):
        read_bundle_info("gliocam-synthetic-2")


def test_all_that_ships_is_below_60_mb():
    files = [file for file in bundled_path().parent.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 60e6


@pytest.mark.parametrize("folder", shipped_paths(), ids=lambda folder: folder.name)
def test_weights_in_fp16_hold_numbers_and_positive_variances(folder):
    weights = load_file(folder / WEIGHTS_FILE)
    for name, values in weights.items():
        assert (abs(values.astype("float32")) < 6e4).all(), name  # neither inf nor nan
        if name.endswith("running_var"):
            assert (values > 0).all(), name


@pytest.mark.parametrize("folder", shipped_paths(), ids=lambda folder: folder.name)
def test_each_has_a_model_card(folder):
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card.startswith(f"# Model card: {read_bundle_info(folder).name}\n")
    assert "Research use only" in card
