import numpy as np
import pytest
import torch

from napari_gliocam.case import Case, Grid, Modality
from napari_gliocam.errors import CaseError, DeviceError
from napari_gliocam.maps.class_maps import ATTENTION_ROWS, CLASS_ROWS, ROWS
from napari_gliocam.nets.bundle import Bundle
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.nets.gliocam import GliocamNet
from napari_gliocam.progress import finish
from napari_gliocam.segmentation import compute_maps, segment
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import TARGETS


@pytest.fixture(scope="module")
def bundle():
    torch.manual_seed(0)
    info = BundleInfo(
        "tiny", "random numbers", "CC0-1.0", width=8, optional_modalities=(Modality.T2,)
    )
    return Bundle(info, GliocamNet(width=8).eval())


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    shape = (20, 60, 50)
    brain = np.zeros(shape, dtype=bool)
    brain[3:, 10:-10, 8:-8] = True
    volumes = {
        m: (rng.normal(300, 50, shape) * brain).astype(np.float32)
        for m in (Modality.T1CE, Modality.T2, Modality.FLAIR)
    }
    return Case("made", volumes, Grid(np.diag([-1.0, -1.0, 1.0, 1.0]), shape[::-1]))


def test_every_map_is_in_0_1_on_the_cases_grid(case, bundle):
    maps = finish(compute_maps(case, bundle=bundle, device="cpu"))
    for row in ROWS:
        for target in TARGETS:
            if maps.has(row, target):
                volume = maps.volume(row, target)
                assert volume.shape == case.grid.shape
                assert volume.dtype == np.float32
                assert volume.min() >= 0
                assert volume.max() <= 1
                # Air is no lesion; half a network pixel around the brain is still brain.
                assert not volume[:, :7].any()
                assert not volume[:, :, :5].any()
    assert not maps.has("guided", "tumour")
    assert maps.probabilities.shape == (20, 3)
    assert not maps.probabilities[:3].any()
    assert maps.probabilities[3:].all()


def test_the_attention_of_the_exits_sums_to_one_in_the_brain(case, bundle):
    maps = finish(compute_maps(case, bundle=bundle, device="cpu"))
    inside = maps.tumour > 0
    for target in TARGETS:
        total = sum(maps.volume(row, target) for row in ATTENTION_ROWS)
        np.testing.assert_allclose(total[inside], 1, atol=0.02)
        assert maps.volume("attention 1", target)[inside].std() >= 0
    assert {*CLASS_ROWS, *ATTENTION_ROWS, "doubt"} == {*ROWS}


def test_maps_do_not_depend_on_the_batch(case, bundle, monkeypatch):
    one = finish(compute_maps(case, bundle=bundle, device="cpu"))
    monkeypatch.setattr("napari_gliocam.segmentation.BATCH", {"cpu": 3})
    other = finish(compute_maps(case, bundle=bundle, device="cpu"))
    assert np.abs(one.core - other.core).max() < 1e-5


def test_progress_counts_slices_and_ends_at_the_total(case, bundle):
    reports = list(compute_maps(case, bundle=bundle, device="cpu"))
    counts = [r.done for r in reports if r.what == "running the networks"]
    assert counts == sorted(counts)
    assert counts[0] == 0
    assert counts[-1] == 17
    assert all(0 <= r.done <= r.total for r in reports)


def test_closing_the_generator_leaves_nothing_behind(case, bundle):
    work = compute_maps(case, bundle=bundle, device="cpu")
    for report in work:
        if report.done > 0:
            break
    work.close()
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()
    assert not any(m._forward_hooks for m in bundle.net.modules())


def test_same_case_same_voxels(case, bundle):
    a = segment(case, bundle=bundle, device="cpu", thresholds=Thresholds(0.2, 0.2, gate=False))
    b = segment(case, bundle=bundle, device="cpu", thresholds=Thresholds(0.2, 0.2, gate=False))
    assert a.labels.any()
    assert (a.labels == b.labels).all()


def test_a_needed_modality_is_asked_for_by_name(case, bundle):
    less = Case("less", {Modality.T2: case.volumes[Modality.T2]}, case.grid)
    with pytest.raises(CaseError, match='"less" has no T1ce and FLAIR'):
        segment(less, bundle=bundle)


def test_an_optional_modality_may_be_missing_and_is_noted(case, bundle):
    volumes = {m: v for m, v in case.volumes.items() if m is not Modality.T2}
    result = segment(Case("less", volumes, case.grid), bundle=bundle, device="cpu")
    assert result.maps.provenance["missing_modalities"] == ["t2"]


def test_a_device_that_is_not_there(case, bundle):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(DeviceError, match='"cuda"'):
        segment(case, bundle=bundle, device="cuda")
    with pytest.raises(DeviceError, match='no device "tpu"'):
        segment(case, bundle=bundle, device="tpu")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_half_precision_on_the_gpu_changes_few_labels(case, bundle):
    settings = Thresholds(0.3, 0.3, gate=False)
    cpu = segment(case, bundle=bundle, device="cpu", thresholds=settings)
    gpu = segment(case, bundle=bundle, device="cuda", thresholds=settings)
    assert (cpu.labels != gpu.labels).mean() < 1e-3


def test_exits_of_a_finer_bundle_keep_their_resolution(case):
    torch.manual_seed(0)
    strides = (1, 2, 4, 4)
    info = BundleInfo("finer", "random numbers", "CC0-1.0", width=4, strides=strides)
    finer = Bundle(info, GliocamNet.of(3, info.design).eval())
    maps = finish(compute_maps(case, bundle=finer, device="cpu"))
    height, width = maps.trace.frame.network_shape
    for exit_, stride in zip(maps.trace.exits["core"], strides, strict=True):
        assert exit_.shape[1:] == (height // stride, width // stride)
    assert maps.volume("exit 1", "core").shape == case.grid.shape
