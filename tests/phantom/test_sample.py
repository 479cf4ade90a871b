import numpy as np
import pytest

from napari_gliocam.case import Modality
from napari_gliocam.errors import GliocamError
from napari_gliocam.phantom import PHANTOM_KINDS, make_phantom

SMALL = {"shape": (31, 48, 48), "spacing": (5.0, 5.0, 5.0)}


@pytest.mark.parametrize("kind", PHANTOM_KINDS)
def test_a_phantom_is_a_whole_case(kind):
    case = make_phantom(kind, 1, **SMALL)
    assert set(case.volumes) == set(Modality)
    assert case.grid.spacing == (5.0, 5.0, 5.0)
    for volume in case.volumes.values():
        assert volume.shape == case.grid.shape == (31, 48, 48)
        assert volume.dtype == np.int16
        assert ((volume > 0) == case.brain).all()
    volume_ml = case.brain.sum() * case.grid.voxel_ml
    assert 900 < volume_ml < 2600
    assert (case.expert.labels[~case.brain] == 0).all()
    shows = set(np.unique(case.expert.labels))
    assert shows == ({0} if kind == "healthy" else {0, 1, 2})


def test_the_same_seed_gives_the_same_voxels():
    a, b, other = (make_phantom("enhancing", seed, **SMALL) for seed in (3, 3, 4))
    for modality in Modality:
        assert (a.volumes[modality] == b.volumes[modality]).all()
    assert (a.expert.labels == b.expert.labels).all()
    assert (a.volumes[Modality.T2] != other.volumes[Modality.T2]).any()


def test_an_enhancing_core_is_brighter_after_contrast_and_edema_on_flair():
    case = make_phantom("enhancing", 0, **SMALL)
    core, edema = case.expert.labels == 1, case.expert.labels == 2
    normal = case.brain & (case.expert.labels == 0)
    t1, t1ce, flair = (
        case.volumes[m].astype(float) for m in (Modality.T1, Modality.T1CE, Modality.FLAIR)
    )
    assert np.percentile((t1ce - t1)[core], 80) > np.percentile((t1ce - t1)[normal], 95)
    assert np.median(flair[edema]) > 1.1 * np.median(flair[normal])


def test_an_unknown_kind_is_refused():
    with pytest.raises(GliocamError, match="metastasis"):
        make_phantom("metastasis")
