import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_gliocam.case import Case, Grid, Modality
from napari_gliocam.maps.class_maps import ClassMaps, NetworkTrace
from napari_gliocam.measure import read_voxel
from napari_gliocam.settings import Thresholds
from napari_gliocam.slices import SliceFrame
from napari_gliocam.threshold import apply_thresholds

SHAPE = (5, 12, 10)
GRID = Grid(np.diag([-1.0, -1.0, 2.0, 1.0]), SHAPE[::-1])
FRAME = SliceFrame(SHAPE, (1, 2, 3), (-2, 14), (1, 9), (16, 8))


def make_case():
    rng = np.random.default_rng(5)
    volumes = {m: rng.integers(1, 900, SHAPE).astype(np.int16) for m in Modality}
    for volume in volumes.values():
        volume[0] = 0
    return Case("anna", volumes, GRID)


def make_maps(seed=0, provenance=None, attention=True):
    rng = np.random.default_rng(seed)
    # Few values, so that maps tie with each other and with thresholds.
    tumour, core, edema = (np.round(rng.random(SHAPE), 1).astype(np.float32) for _ in range(3))
    sizes = ((16, 8), (8, 4), (4, 2), (4, 2))
    targets = ("tumour", "core", "edema")
    weights = rng.random((3, 3, 4, 8, 4))
    weights = np.round(255 * weights / weights.sum(axis=2, keepdims=True)).astype(np.uint8)
    return ClassMaps(
        GRID,
        tumour,
        core,
        edema,
        np.round(rng.random((5, 3)), 1).astype(np.float32),
        provenance or {},
        NetworkTrace(
            FRAME,
            {t: tuple(rng.random((3, *s)).astype(np.float16) for s in sizes) for t in targets},
            {},
            dict(zip(targets, weights, strict=True)) if attention else {},
        ),
    )


def holds(words):
    """Whether every comparison in a sentence is true."""
    signs = {
        ">": lambda a, b: a > b,
        "≤": lambda a, b: a <= b,
        "≥": lambda a, b: a >= b,
        "<": lambda a, b: a < b,
    }
    found = re.findall(r"(\d\.\d+) ([>≤≥<]) (?:edema )?(\d\.\d+)", words)
    assert found
    return all(signs[sign](float(a), float(b)) for a, sign, b in found)


tenths = st.sampled_from([round(0.1 * i, 1) for i in range(11)])
thresholds = st.one_of(tenths, st.floats(0, 1))


@given(st.integers(0, 50), thresholds, thresholds, st.booleans(), st.booleans())
def test_the_reason_tells_the_label_that_the_rule_gives(seed, tumour, class_, exclusive, gate):
    maps, settings = make_maps(seed), Thresholds(tumour, class_, exclusive, gate)
    labels = apply_thresholds(maps, settings).labels
    case = make_case()
    voxel = tuple(np.random.default_rng(seed).integers(0, SHAPE))
    reading = read_voxel(case, voxel, maps=maps, settings=settings)
    reason = reading.reason
    assert reading.label == reading.rule_label == labels[voxel]
    assert holds(reason)
    # What the sentence says is enough to tell the label.
    first, *rest = reason.split("; ")
    told = 0
    if " > " in first:
        core, edema = (" > " in claim for claim in rest[0].split(", "))
        shut = set(re.findall(r"this slice shows (\w+)", reason))
        core = core and not shut & {"core", "tumour"}
        edema = edema and not shut & {"edema", "tumour"}
        told = core + 2 * edema
        if told == 3 and exclusive:
            told = 1 if "≥ edema" in reason else 2
    assert told == reading.label


def test_the_sentence_of_the_issue():
    maps = make_maps()
    maps.tumour[2, 3, 4], maps.core[2, 3, 4], maps.edema[2, 3, 4] = 0.62, 0.71, 0.33
    maps.probabilities[2] = 1
    case = make_case()
    assert read_voxel(case, (2, 3, 4), maps=maps).reason == (
        "tumour 0.62 > 0.40; core 0.71 > 0.50, edema 0.33 ≤ 0.50"
    )
    maps.edema[2, 3, 4] = 0.6
    reading = read_voxel(case, (2, 3, 4), maps=maps)
    assert reading.reason.endswith("core 0.71 > 0.50, edema 0.60 > 0.50; core 0.71 ≥ edema 0.60")
    assert reading.label_name == "core"
    both = read_voxel(case, (2, 3, 4), maps=maps, settings=Thresholds(exclusive=False))
    assert both.reason.endswith("; both claim it")
    assert both.label_name == "core and edema"
    maps.probabilities[2, 1] = 0.25
    assert read_voxel(case, (2, 3, 4), maps=maps).reason.endswith(
        "; the gate is closed, this slice shows core 0.25 < 0.50"
    )


def test_numbers_that_look_the_same_get_more_decimals():
    maps = make_maps()
    maps.tumour[2, 3, 4] = 0.4004
    assert "tumour 0.4004 > 0.4000" in read_voxel(make_case(), (2, 3, 4), maps=maps).reason


def test_refinement_and_paint_are_told():
    case, maps = make_case(), make_maps()
    rule = apply_thresholds(maps, Thresholds(gate=False)).labels
    voxel = tuple(np.argwhere(rule == 1)[0])
    refined, painted = rule.copy(), rule.copy()
    refined[voxel] = painted[voxel] = 2
    settings = Thresholds(gate=False)

    def reason(**arrays):
        return read_voxel(case, voxel, maps=maps, settings=settings, **arrays).reason

    assert reason(labels=rule).startswith("tumour")
    assert reason(labels=refined, refined=refined).startswith(
        "changed by refinement from core to edema; the maps alone: tumour"
    )
    assert reason(labels=painted).startswith("painted by hand as edema; the maps: tumour")
    assert reason(labels=rule, refined=refined).startswith("painted by hand as core")
    painted[voxel] = 9
    assert reason(labels=painted).startswith("painted by hand as 9, no class")


def test_values_in_their_own_units():
    case, maps = make_case(), make_maps()
    reading = read_voxel(case, (2, 3, 4), maps=maps)
    assert reading.intensities == {m: v[2, 3, 4] for m, v in case.volumes.items()}
    assert reading.in_brain
    assert not read_voxel(case, (0, 3, 4), maps=maps).in_brain
    assert reading.maps["edema"] == maps.edema[2, 3, 4]
    assert reading.probabilities["core"] == maps.probabilities[2, 1]


def test_without_maps_the_label_has_no_reason():
    labels = np.full(SHAPE, 2, dtype=np.uint8)
    reading = read_voxel(make_case(), (1, 2, 3), labels=labels)
    assert (reading.label, reading.rule_label, reading.maps) == (2, None, {})
    assert reading.reason == "edema; there are no maps to tell why"


@pytest.mark.parametrize("voxel", [(-1, 0, 0), (5, 0, 0), (0, 12, 0), (0, 0, 10)])
def test_outside_there_is_nothing(voxel):
    assert read_voxel(make_case(), voxel, maps=make_maps()) is None


def test_exits_are_what_the_maps_show():
    maps, case = make_maps(), make_case()
    maps.tumour[2, 3, 4] = 0
    shown = [maps.volume(f"exit {i}", "core") for i in range(1, 5)]
    for voxel in [(1, 0, 1), (2, 3, 4), (3, 11, 8), (2, 6, 5)]:
        exits = read_voxel(case, voxel, maps=maps).exits["core"]
        assert [e.number for e in exits] == [1, 2, 3, 4]
        np.testing.assert_allclose([e.value for e in exits], [v[voxel] for v in shown], atol=1e-6)
    for voxel in [(0, 3, 4), (2, 3, 0), (2, 3, 9)]:  # a slice and columns that nothing ran on
        assert read_voxel(case, voxel, maps=maps).exits == {}


@pytest.mark.parametrize("guidance", ["geometric", "product"])
def test_shares_are_those_of_the_aggregate(guidance):
    """Paper 1, Eq. 3 and 4, by hand at one voxel."""
    maps = make_maps(provenance={"guidance": guidance, "final_map": "aggregate"})
    maps.tumour[2, 6, 5] = 0.3
    reading = read_voxel(make_case(), (2, 6, 5), maps=maps)
    for target, exits in reading.exits.items():
        assert sum(e.weight for e in exits) == pytest.approx(1)
        assert sum(e.share for e in exits) == pytest.approx(1)
        value, weight = (
            np.array([getattr(e, name) for e in exits]) for name in ("value", "weight")
        )
        guided = value * 0.77
        if guidance == "geometric":
            guided = np.sqrt(guided)
        parts = weight * (value if target == "tumour" else guided)
        np.testing.assert_allclose([e.share for e in exits], parts / parts.sum(), rtol=1e-6)


def test_without_weights_there_are_no_shares():
    exits = read_voxel(make_case(), (2, 6, 5), maps=make_maps(attention=False)).exits["tumour"]
    assert {(e.weight, e.share) for e in exits} == {(None, None)}
