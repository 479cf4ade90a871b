import pytest
import torch

from napari_gliocam.errors import BundleError
from napari_gliocam.nets.bundle import save_bundle
from napari_gliocam.nets.bundle_info import BundleInfo, read_bundle_info
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.nets.library import (
    TABLE_FILE,
    bundles_folder,
    list_bundles,
    remove_bundle,
    rename_bundle,
    shipped_paths,
)


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    for name in ("b", "a"):
        info = BundleInfo(name, "nowhere", "CC0-1.0", width=4)
        save_bundle(GliocamNet(width=4), info, tmp_path / f"folder of {name}")
    (tmp_path / "torn").mkdir()
    (tmp_path / "torn" / "bundle.json").write_text("{")
    (tmp_path / "folder of a" / TABLE_FILE).write_text(
        "case,measure,class,before,after\nall,AUC,core,0.5,0.75\nall,Dice,core,,\nx,AUC,core,1,1\n"
    )
    return tmp_path


def test_bundles_are_listed_with_what_they_reached(folder):
    ships, synthetic, a, b = list_bundles(folder)
    assert ships.ships
    assert synthetic.ships
    assert (a.info.name, b.info.name) == ("a", "b")
    assert a.figures == {("AUC", "core"): 0.75}
    assert b.figures == {}


def test_where_there_is_no_folder_there_is_the_one_that_ships(tmp_path):
    assert [listed.path for listed in list_bundles(tmp_path / "none")] == list(shipped_paths())
    assert bundles_folder().name == "bundles"


def test_a_bundle_is_renamed_and_removed(folder):
    path = folder / "folder of a"
    rename_bundle(path, " mine ")
    assert read_bundle_info(path).name == "mine"
    with pytest.raises(BundleError, match="needs a name"):
        rename_bundle(path, "  ")
    remove_bundle(path)
    assert not path.exists()


def test_what_ships_and_what_is_no_bundle_stays(tmp_path):
    for act in (remove_bundle, lambda path: rename_bundle(path, "x")):
        with pytest.raises(BundleError, match="comes with"):
            act(shipped_paths()[1])
        with pytest.raises(BundleError, match="no bundle"):
            act(tmp_path)
    assert tmp_path.exists()
