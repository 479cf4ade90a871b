"""An open case: what Segment hands over, and what has to be chosen before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_gliocam.case import Modality
from napari_gliocam.io.find import CaseFiles
from napari_gliocam.nets.bundle_info import BundleInfo
from napari_gliocam.refine.parameters import Refinement
from napari_gliocam.settings import Thresholds
from napari_gliocam.threshold import apply_thresholds
from napari_gliocam.ui.model.assign import Source
from napari_gliocam.ui.model.result import Result
from napari_gliocam.ui.model.state import OpenCase, State

from ...small_case import make_case, make_maps


@pytest.mark.parametrize("moved", [False, True])
def test_a_result_cut_beforehand_counts_only_at_the_thresholds_of_now(moved: bool) -> None:
    case = make_case()
    maps, opened = make_maps(case), OpenCase(case, refinement=Refinement.nothing())
    cut = Result.of(case, maps, opened.settings, opened.refinement)
    cut.count(None if case.expert is None else case.expert.labels)
    if moved:
        opened.settings = replace(opened.settings, tumour_threshold=0.7)
    opened.take(case, maps, None, cut)
    assert opened.result is not None
    assert (opened.result is cut) is not moved
    wanted = apply_thresholds(maps, opened.settings)
    np.testing.assert_array_equal(opened.result.segmentation.labels, wanted.labels)
    assert opened.result.volumes_ml == pytest.approx(wanted.volumes_ml)
    assert opened.result.dice is not None


def test_no_array_is_formatted_where_a_callback_holds_a_case() -> None:
    case = make_case()
    maps, opened = make_maps(case), OpenCase(case)
    opened.take(case, maps)
    assert [repr(one) for one in (case, opened, maps)] == [
        "Case('small')",
        "OpenCase('small')",
        "ClassMaps('Networks')",
    ]


def test_strokes_stay_over_a_result_cut_beforehand() -> None:
    case = make_case()
    maps, opened = make_maps(case), OpenCase(case, refinement=Refinement.nothing())
    opened.take(case, maps)
    assert opened.result is not None
    opened.result.painted.labels[0, 0, 0] = 1
    opened.result.painted.take_strokes(opened.result.unpainted_labels)
    again = make_maps(case, seed=1)
    opened.take(case, again, None, Result.of(case, again, opened.settings, opened.refinement))
    assert opened.result.maps is again
    assert opened.result.segmentation.labels[0, 0, 0] == 1
    assert opened.settings == Thresholds()


def test_half_of_a_case_is_not_segmented_before_it_is_settled() -> None:
    case = make_case()
    t2 = Modality.T2
    half = replace(case, volumes={m: v for m, v in case.volumes.items() if m is not t2})
    known = {m: Path(f"x_{m}.nii.gz") for m in half.volumes}
    strange = Path("x_gamma.nii.gz")
    files = CaseFiles("x", known, unknown=(strange,), problem="x has no T2, …", choice=True)
    opened = OpenCase(half, files=files)
    opened.pool = (*opened.pool, Source(strange.name, None, strange))
    assert opened.open_choice == "Choose under Files which file is T2, or that there is none."
    opened.answered |= {t2}
    assert not opened.open_choice, "there is none"
    opened.answered = frozenset()
    opened.case = case
    assert not opened.open_choice, "it was chosen"
    assert not OpenCase(half, files=replace(files, choice=False)).open_choice
    assert not OpenCase(half).open_choice


@pytest.mark.parametrize("by_hand", [False, True])
@pytest.mark.parametrize("method", [False, True])
def test_thresholds_are_those_of_the_bundle_unless_set_by_hand(by_hand: bool, method: bool) -> None:
    case = make_case()
    opened, other = OpenCase(case, refinement=Refinement.nothing()), Thresholds(0.25, 0.35)
    if by_hand:
        opened.settings = replace(opened.settings, class_threshold=0.6, gate=False)
    before = opened.settings
    if method:
        opened.use(make_maps(case), Thresholds(0.9, 0.9))
    opened.follow(other)
    assert opened.networks.settings == (before if by_hand else replace(before, **_cuts(other)))
    assert opened.settings == (Thresholds(0.9, 0.9) if method else opened.networks.settings)
    opened.follow(Thresholds())
    assert opened.networks.settings == before


def _cuts(of: Thresholds) -> dict[str, float]:
    return {"tumour_threshold": of.tumour_threshold, "class_threshold": of.class_threshold}


@pytest.mark.parametrize("done", [False, True])
def test_request_has_the_thresholds_of_the_bundle_in_use(done: bool) -> None:
    state = State(bundle=BundleInfo("x", "", "CC0-1.0", tumour_threshold=0.25))
    opened = OpenCase(make_case(), refinement=Refinement.nothing())
    if done:
        opened.take(opened.case, make_maps(opened.case))
    assert state.request_for(opened).thresholds == Thresholds(tumour_threshold=0.25)
    assert opened.settings == Thresholds()  # until Segment has run, the labels stay as they are
