import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from napari_gliocam.measure import compare, figures_by_case, paired_test
from napari_gliocam.measure.evaluation.record import Key

DICE = Key("volume", "core", "dice")


def test_the_t_test_by_hand():
    first, second = [0.8, 0.7, 0.9, 0.6], [0.7, 0.7, 0.6, 0.5]
    d = np.array([0.1, 0.0, 0.3, 0.1])
    found = paired_test(first, second)
    t = d.mean() / (d.std(ddof=1) / 2)
    assert found.n == 4
    assert found.difference == pytest.approx(d.mean())
    assert found.sd == pytest.approx(d.std(ddof=1))
    assert found.t == pytest.approx(t)
    # Student's distribution by the incomplete beta function.
    assert found.p == pytest.approx(special.betainc(3 / 2, 1 / 2, 3 / (3 + t**2)))
    assert found.note is None


def test_wilcoxon_by_hand():
    """Of the 2^5 signs, two are as extreme as five differences of one sign."""
    found = paired_test([1, 2, 3, 4, 5], [0.9, 1.8, 2.7, 3.6, 4.4])
    assert found.wilcoxon_p == pytest.approx(2 / 32)


@settings(max_examples=25)  # with ties every sign is tried
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.2, 0.5, 1.0]), st.sampled_from([0.0, 0.2, 0.5, 1.0])),
        max_size=9,
    )
)
def test_ties_zeros_and_few_pairs_give_a_p_or_a_reason(pairs):
    found = paired_test([a for a, _ in pairs], [b for _, b in pairs])
    assert found.n == len(pairs)
    if found.note is None:
        assert 0 <= found.p <= 1
        assert 0 <= found.wilcoxon_p <= 1
    else:
        assert found.p is found.t is found.wilcoxon_p is None


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ([], [], "No patient"),
        ([0.5], [0.4], "One patient"),
        ([0.5, 0.7, 0.1], [0.4, 0.6, 0.0], "the same"),
        ([0.5, 0.7], [0.5, 0.7], "the same"),
    ],
)
def test_where_there_is_no_test_a_sentence_says_why(first, second, said):
    found = paired_test(first, second)
    assert said in found.note
    assert found.p is None


def test_pairs_must_be_pairs():
    with pytest.raises(ValueError, match="pairs"):
        paired_test([1.0], [1.0, 2.0])


def test_patients_are_paired_by_name(make_record):
    first = figures_by_case([make_record(c, n) for c, n in zip("abcy", (9, 8, 5, 7), strict=True)])
    second = figures_by_case([make_record(c, n) for c, n in zip("xcab", (1, 5, 6, 7), strict=True)])
    test = compare(first, second)[DICE]
    assert test.n == 3
    by_hand = [2 * n / (n + 10) for n in (9, 8, 5)], [2 * n / (n + 10) for n in (6, 7, 5)]
    assert test == paired_test(*by_hand)


def test_undefined_figures_leave_the_patient_out(make_record):
    runs = [make_record("a", 5), make_record("b", 0, columns=0)]
    tests = compare(figures_by_case(runs), figures_by_case(runs))
    assert tests[DICE].n == 2
    assert tests[Key("present-slices", "core", "dice")].n == 1
    assert tests[Key("present-slices", "edema", "dice")].n == 0
    assert not any(key.group == "pooled" for key in tests)


def test_only_the_method_that_is_asked_for(make_record):
    records = [make_record("a", 5), make_record("a", 9, "baseline")]
    assert figures_by_case(records)["a"][DICE] == pytest.approx(10 / 15)
    assert figures_by_case(records, "baseline")["a"][DICE] == pytest.approx(18 / 19)
