"""All tests of several methods, and their table."""

from __future__ import annotations

import csv
import math
from dataclasses import replace

import numpy as np
import pytest

from napari_gliocam.cams.methods.registry import METHODS
from napari_gliocam.cams.run.explain import explain
from napari_gliocam.cams.run.prepare import prepare
from napari_gliocam.errors import GliocamError
from napari_gliocam.progress import Progress, finish
from napari_gliocam.targets import TARGETS
from napari_gliocam.trust.faithfulness import Faithfulness, FaithfulnessSettings
from napari_gliocam.trust.run import TESTS, Assessing, TrustRequest, assessing_map, to_csv

QUICK = FaithfulnessSettings(steps=4)


def test_every_test_of_some_methods(asked, case, other, maps_of, recipe_of, unchanged):
    second = prepare(case, other, "cpu")
    methods = {name: (maps_of(name), recipe_of(name)) for name in ("gradcam", "guided")}
    work = Assessing(asked, methods, TrustRequest(settings=QUICK, most=2), others=[second])
    steps = list(work.run())
    assert all(isinstance(step, Progress) and step.done <= step.total for step in steps)
    rows = list(csv.DictReader(to_csv(work.findings).splitlines()))
    assert list(rows[0]) == ["method", "class", "scope", "test", "value", "slices"]
    tested = [r for r in rows if r["scope"] == "lesion" and r["test"] != "auprc" and r["value"]]
    assert {r["slices"] for r in tested if "localisation" not in r["test"]} <= {"1", "2", ""}
    assert all(r["slices"] for r in tested if r["test"] in ("deletion", "randomisation"))
    for name in methods:
        for target in TARGETS:
            tests = {r["test"] for r in rows if (r["method"], r["class"]) == (name, target)}
            assert {"deletion", "insertion", "road-most", "road-least"} <= tests
            assert {"randomisation", "repeatability-rank", "auprc"} <= tests
            assert {"sequence-flair", "sequence-t2", "sequence-t1ce"} <= tests
    assert {r["scope"] for r in rows if r["method"] == "gradcam"} >= {"lesion"}
    networks = {(r["class"], r["test"]) for r in rows if r["method"] == "Networks"}
    assert {(t, "volume-low-ml") for t in TARGETS} <= networks
    assert all(r["value"] == "" or math.isfinite(float(r["value"])) for r in rows)
    assert work.doubt.sources == ("exits", "flips", "seeds")
    for finding in work.findings:
        assert (finding.value is None) == bool(finding.reason)


def test_another_bundle_of_the_tumour_alone_says_nothing_of_the_classes(
    asked, case, alone, maps_of, recipe_of
):
    request = TrustRequest(("repeatability", "doubt"), settings=QUICK, most=1)
    methods = {"gradcam": (maps_of("gradcam"), recipe_of("gradcam"))}
    found = finish(Assessing(asked, methods, request, others=[prepare(case, alone, "cpu")]).run())
    ranks = {f.target: f for f in found if f.test.startswith("repeatability")}
    assert ranks["tumour"].value is not None
    for target in ("core", "edema"):
        assert ranks[target].reason == "the other bundle knows the tumour alone"


def test_the_tests_of_a_bundle_of_the_tumour_alone(case, alone, recipe_of):
    ready = prepare(case, alone, "cpu")
    methods = {"exit": (explain(ready, "exit", "tumour"), recipe_of("exit"))}
    found = finish(Assessing(ready, methods, TrustRequest(("localisation",))).run())
    assert {f.target for f in found} == {"tumour"}


@pytest.mark.parametrize("name", METHODS)
def test_no_method_gives_a_value_that_is_no_number(asked, maps_of, recipe_of, name):
    tests = ("faithfulness", "localisation", "sequence")
    work = Assessing(
        asked, {name: (maps_of(name), recipe_of(name))}, TrustRequest(tests, 5, settings=QUICK)
    )
    found = finish(work.run())
    assert {f.scope for f in found if not f.scope.startswith("lesion ")} == {"slice 5"}
    assert all(f.value is None or math.isfinite(f.value) for f in found)


def test_the_main_figures_of_one_map(asked, maps_of, recipe_of):
    request = TrustRequest(("faithfulness", "randomisation", "localisation"), 5, settings=QUICK)
    found = finish(assessing_map(asked, maps_of("guided"), recipe_of("guided"), request))
    assert set(found) == set(TARGETS)
    for figures in found.values():
        assert {"deletion", "insertion", "road-most", "randomisation"} <= set(figures)
        assert {"auprc", "localisation"} & set(figures)  # the latter where there is no outline
        assert not any(name.startswith("randomisation-") for name in figures)
    empty = replace(maps_of("guided"), core=np.zeros_like(maps_of("guided").core))
    found = finish(assessing_map(asked, empty, None, TrustRequest(("randomisation",), 5)))
    assert found["core"] == {"randomisation": None}


def test_classes_that_the_networks_deny_and_maps_that_cannot_be_made_again(asked, maps_of):
    denied = replace(asked, probabilities=np.zeros((9, 3), np.float32))
    tests = tuple(t for t in TESTS if t not in ("repeatability", "doubt"))
    methods = {"ensemble": (maps_of("guided"), None)}
    found = finish(Assessing(denied, methods, TrustRequest(tests)).run())
    reasons = {f.test: f.reason for f in found if f.target == "core"}
    assert "see no core" in reasons["faithfulness"]
    assert "cannot be made again" in reasons["randomisation"]
    assert "cannot be made again" in reasons["sequence"]


def test_closing_keeps_what_is_there(asked, maps_of, recipe_of, unchanged):
    methods = {name: (maps_of(name), recipe_of(name)) for name in ("gradcam", "guided")}
    work = Assessing(asked, methods, TrustRequest(("faithfulness",), settings=QUICK))
    running = work.run()
    for _ in running:
        one = work.tested.get(("gradcam", "tumour"))
        done = one and one.result(Faithfulness)
        if done and done.slices:
            running.close()
    assert {f.test for f in work.findings} >= {"deletion", "insertion"}
    assert {f.method for f in work.findings} == {"gradcam"}


@pytest.mark.parametrize("test", ["faithfulness", "randomisation", "repeatability", "sequence"])
def test_a_test_that_was_stopped_at_once_gives_no_wrong_reason(
    asked, other, maps_of, recipe_of, unchanged, test
):
    methods = {"guided": (maps_of("guided"), recipe_of("guided"))}
    work = Assessing(asked, methods, TrustRequest((test,)), others=[replace(asked, bundle=other)])
    running = work.run()
    next(running)
    running.close()
    assert work.findings == []
    assert work.tested == {}


def test_wrong_requests_are_refused(asked):
    with pytest.raises(GliocamError, match="no test"):
        TrustRequest(("beauty",))
    with pytest.raises(GliocamError, match="too few"):
        TrustRequest(most=0)
    with pytest.raises(GliocamError, match="two bundles"):
        Assessing(asked, {}, TrustRequest(("repeatability",)))
