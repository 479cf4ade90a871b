"""How far a result can be trusted, in words."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest

from napari_gliocam.nets.bundle_info import read_bundle_info
from napari_gliocam.progress import finish
from napari_gliocam.segmentation import compute_maps
from napari_gliocam.settings import Thresholds
from napari_gliocam.targets import TARGETS
from napari_gliocam.threshold import apply_thresholds
from napari_gliocam.trust.doubt import LesionDoubt, VolumeRange, doubt_of_maps
from napari_gliocam.trust.statement import TrustStatement, little_evidence, state_trust


@pytest.fixture(scope="module")
def maps(case, bundle):
    return finish(compute_maps(case, bundle=bundle, device="cpu"))


def test_the_figures_are_those_of_the_doubt(maps):
    cut = apply_thresholds(maps, Thresholds(0.3, 0.3, gate=False))
    found = state_trust(cut)
    doubt = doubt_of_maps(maps)
    assert found.ranges == doubt.ranges(cut.settings, cut.volumes_ml)
    assert found.slices[0] == int(doubt.by_slice().argmax())
    assert all(abs(a - b) >= 10 for a in found.slices for b in found.slices if a != b)
    assert found.ranges["tumour"].words in found.sentences[1]
    assert f"slice {found.slices[0]} (" in found.sentences[2]
    assert "was not measured" in found.sentences[-1]
    assert json.loads(json.dumps(found.to_json()))["doubtful_slices"][0]["slice"] in found.slices


def test_a_bundle_that_was_measured_is_said_to(maps):
    measured = read_bundle_info().measured
    assert measured is not None
    known = replace(maps, provenance={"measured": asdict(measured)})
    words = state_trust(apply_thresholds(known)).sentences[-1]
    assert f"On {measured.patients} patients" in words
    assert f"whole tumour in {measured.volume_in_range['tumour']} of them" in words


def test_classes_that_the_networks_deny(maps):
    denied = replace(maps, probabilities=maps.probabilities * 0)
    found = state_trust(apply_thresholds(denied))
    assert found.denied == TARGETS
    assert sum("on no slice" in sentence for sentence in found.sentences) == 3
    assert {r.words for r in found.ranges.values()} == {"0.0 ml"}


def test_a_network_with_one_exit_has_no_range(maps):
    exits = {t: (e[-1],) * 4 for t, e in maps.trace.exits.items()}
    alone = replace(maps, trace=replace(maps.trace, exits=exits))
    found = state_trust(apply_thresholds(alone, Thresholds(0.3, 0.3, gate=False)))
    assert (found.ranges, found.slices) == ({}, ())
    assert sum("no range" in sentence for sentence in found.sentences) == 1
    assert not any("exits agree" in s or "covers" in s for s in found.sentences)
    assert found.to_json()["ranges_ml"] == {}


def test_maps_of_another_method_are_not_spoken_of(maps):
    assert state_trust(apply_thresholds(replace(maps, trace=None))) is None
    used = replace(maps, name="GradCAM 4")  # as a result in the window, beside the networks' trace
    assert state_trust(apply_thresholds(used)) is None


def test_steps_follow_the_order_of_doubt():
    ranges = {t: VolumeRange(1, 2, 3) for t in TARGETS}
    found = TrustStatement(ranges, np.arange(60.0), (50, 20, 35))
    assert found.next_slice(None, 1) == 50
    assert found.next_slice(7, 1) == 50
    assert found.next_slice(50, 1) == 20
    assert found.next_slice(35, 1) is None
    assert found.next_slice(35, -1) == 20
    assert found.next_slice(50, -1) is None
    two = LesionDoubt(2, 0.5, 44), LesionDoubt(1, 0.1, 30)
    found = TrustStatement(ranges, np.arange(60.0), (50,), two)
    assert [found.next_lesion(at).number for at in (None, 3, 44, 30)] == [2, 2, 1, 2]
    assert "2 (0.50, most on slice 44), 1 (0.10, most on slice 30)" in found.sentences[2]
    assert found.to_json()["doubtful_lesions"][0] == {"number": 2, "doubt": 0.5, "slice": 44}
    nothing = TrustStatement(ranges, np.zeros(60), ())
    assert nothing.next_lesion(3) is None
    assert nothing.next_slice(3, 1) is None
    assert "agree on every slice" in nothing.sentences[1]


@pytest.mark.parametrize(
    ("p", "seen", "said"),
    [(0.5, 10, True), (0.99, 10, False), (0.99, 1, True), (0.0, 0, False)],
)
def test_tissue_that_is_marked_without_a_sure_slice_is_said(maps, p, seen, said):
    probabilities = np.full_like(maps.probabilities, min(p, 0.1))
    probabilities[:seen] = p
    count = max(1, round(10.0 / maps.grid.spacing[0]))
    marked = apply_thresholds(
        replace(maps, probabilities=probabilities), Thresholds(0.0, 0.0, gate=False)
    )
    assert marked.labels.any()
    assert bool(little_evidence(marked)) is (said and not (p > 0.9 and seen >= count))
    nothing = replace(marked, labels=np.zeros_like(marked.labels))
    assert little_evidence(nothing) == ""
    # how sure the bundle that ships is of patients says nothing of another one
    assert "in patients" not in little_evidence(marked)
    shipped = replace(maps, probabilities=probabilities, provenance={"measured": {}})
    warned = little_evidence(replace(marked, maps=shipped))
    assert ("in patients" in warned) is bool(warned)


def test_the_statement_begins_with_little_evidence(maps):
    probabilities = np.full_like(maps.probabilities, 0.6)
    marked = apply_thresholds(
        replace(maps, probabilities=probabilities), Thresholds(0.0, 0.0, gate=False)
    )
    assert state_trust(marked).sentences[0].startswith("No slice is sure to show a tumour")
