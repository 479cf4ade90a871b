import numpy as np
import pytest

from napari_gliocam.case import Modality
from napari_gliocam.errors import CaseError
from napari_gliocam.measure import baselines
from napari_gliocam.measure.evaluation.baselines import intensity_threshold


def test_the_three_baselines(make_case):
    case = make_case()
    found = baselines(case)
    assert list(found) == ["nothing", "all brain", "intensity"]
    assert not found["nothing"].any()
    assert np.array_equal(found["all brain"] == 3, case.brain)
    assert np.array_equal(found["intensity"], case.expert.labels)
    assert all(labels.dtype == np.uint8 for labels in found.values())


def test_without_t1ce_all_is_edema(make_case):
    case = make_case(modalities=[Modality.FLAIR])
    labels = baselines(case)["intensity"]
    assert np.array_equal(labels == 2, case.expert.labels > 0)
    assert not (labels == 1).any()


def test_without_flair_there_is_no_threshold(make_case):
    case = make_case(modalities=[Modality.T1CE])
    assert list(baselines(case)) == ["nothing", "all brain"]
    with pytest.raises(CaseError, match=r'"anna" has no FLAIR'):
        intensity_threshold(case)


def test_core_lies_in_the_tumour(make_case):
    case = make_case()
    labels = intensity_threshold(case, tumour=100, core=-100)
    assert not labels.any()
