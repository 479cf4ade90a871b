import nibabel as nib
import numpy as np
import pytest
import torch

from napari_gliocam.errors import CaseError
from napari_gliocam.phantom.anatomy import (
    Tissue,
    enlarge_ventricles,
    procedural_anatomy,
    vary_folds,
)
from napari_gliocam.phantom.fields import Fields, SliceGrid
from napari_gliocam.phantom.sources import find_anatomies, load_anatomies, load_anatomy


@pytest.fixture(scope="module")
def anatomy():
    return procedural_anatomy(0, spacing=4.0)


def make_fields(seed=0):
    grid = SliceGrid(np.arange(-60.0, 61.0, 5.0), (40, 34), (5.0, 5.0))
    return Fields(grid, np.random.default_rng(seed))


def ventricle_volume(anatomy, places):
    return float(anatomy.sample(*places)[0][Tissue.VENTRICLE].sum())


def test_ventricles_mostly_grow_and_the_surface_hardly_moves(anatomy):
    places = [p.expand(make_fields().grid.size) for p in make_fields().grid.points]
    before, depth = ventricle_volume(anatomy, places), anatomy.sample(*places)[1]
    ratios = []
    for seed in range(12):
        moved = enlarge_ventricles(make_fields(seed), anatomy, *places)
        ratios.append(ventricle_volume(anatomy, moved) / before)
        inside, now = depth > 0, anatomy.sample(*moved)[1] > 0
        assert float((inside != now).float().sum() / inside.sum()) < 0.12
    assert max(ratios) > 1.5
    assert min(ratios) < 1.0
    assert sum(r > 1.1 for r in ratios) > 6


@pytest.mark.parametrize("seed", range(5))
def test_no_two_places_change_their_order_when_ventricles_grow(anatomy, seed):
    z, y, x = anatomy.ventricle_centre
    ray = torch.linspace(0, 120, 300)[None, None]
    _, _, moved = enlarge_ventricles(
        make_fields(seed), anatomy, torch.full_like(ray, z), torch.full_like(ray, y), x + ray
    )
    assert float(torch.diff(moved).min()) > 0


def test_the_centre_of_the_ventricles_is_in_the_middle(anatomy):
    z, y, x = anatomy.ventricle_centre
    assert abs(x) < 3
    assert -30 < z < 30
    assert -40 < y < 40


def test_folds_widen_and_tighten_and_tissues_still_fill_the_brain(anatomy):
    grid = make_fields().grid
    fractions, _, _ = anatomy.sample(*(p.expand(grid.size) for p in grid.points))
    fractions = fractions / fractions.sum(0).clamp_min(1e-3)
    before = float(fractions[Tissue.CSF].mean())
    after = []
    for seed in range(8):
        varied = vary_folds(make_fields(seed), fractions.clone())
        torch.testing.assert_close(varied.sum(0), torch.ones(grid.size), atol=1e-3, rtol=0)
        after.append(float(varied[Tissue.CSF].mean()))
    assert min(after) < before < max(after)


# ---- files


def write_labels(folder, values):
    """Nested boxes: skull (500 and above), cortex, white matter, ventricle."""
    labels = np.zeros((40, 44, 36), dtype=np.int16)
    for margin, value in zip((1, 5, 9, 16), values, strict=True):
        inner = tuple(slice(margin, n - margin) for n in labels.shape)
        labels[inner] = value
    folder.mkdir(parents=True, exist_ok=True)
    affine = np.diag([4.0, 4.0, 4.0, 1.0])
    nib.Nifti1Image(labels, affine).to_filename(folder / "brain.nii.gz")
    return folder / "brain.nii.gz"


def test_labels_of_500_and_more_lie_outside_the_brain(tmp_path):
    with_skull = load_anatomy(write_labels(tmp_path / "a", (515, 3, 2, 4)), 4.0)
    without = load_anatomy(write_labels(tmp_path / "b", (0, 3, 2, 4)), 4.0)
    assert torch.equal(with_skull.depth, without.depth)
    assert torch.equal(with_skull.tissues, without.tissues)
    share = with_skull.tissues.float().flatten(1).sum(1)
    assert {Tissue(int(i)) for i in torch.nonzero(share > 5)[:, 0]} == {
        Tissue.CORTEX,
        Tissue.WHITE,
        Tissue.VENTRICLE,
    }


def test_anatomies_are_found_by_kind_and_named_after_their_files(tmp_path):
    write_labels(tmp_path / "labels", (515, 3, 2, 4))
    assert list(find_anatomies(tmp_path)) == ["labels"]
    assert list(load_anatomies(tmp_path, 8.0)) == ["brain"]


def test_what_is_no_anatomy_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(CaseError, match="is no folder"):
        find_anatomies(tmp_path / "nowhere")
    with pytest.raises(CaseError, match="holds no anatomy"):
        find_anatomies(tmp_path)
    (tmp_path / "ms" / "someone").mkdir(parents=True)
    with pytest.raises(CaseError, match=r"t1\.nii\.gz"):
        load_anatomy(tmp_path / "ms" / "someone")
    broken = write_labels(tmp_path / "labels", (0, 3, 2, 4))
    broken.write_bytes(broken.read_bytes()[:300])
    with pytest.raises(CaseError, match=r"brain\.nii\.gz cannot be read"):
        load_anatomy(broken)
    with pytest.raises(CaseError, match="shows no brain"):
        load_anatomy(write_labels(tmp_path / "labels", (500, 500, 501, 502)))
