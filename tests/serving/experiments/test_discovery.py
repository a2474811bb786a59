"""False discoveries, segments that differ and each one's effect: by hand, against statsmodels, and how often wrong."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats.meta_analysis import combine_effects
from statsmodels.stats.multitest import multipletests

from serving.experiments.discovery import adjusted, heterogeneity, shrunk

SCHOOLS = np.array([28.0, 8, -3, 7, -1, 1, 18, 12]), np.array([15.0, 10, 16, 11, 9, 11, 10, 18])  # Rubin 1981


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_p_values_are_adjusted_as_statsmodels_does(p_values):
    assert adjusted(np.array(p_values)) == pytest.approx(multipletests(p_values, method="fdr_bh")[1])


def test_four_p_values_by_hand_and_one_that_was_not_tested():
    """.01 x 4, .02 x 4/2, .03 x 4/3 and .5: the largest rank's value bounds those before it."""
    found = adjusted(np.array([0.02, np.nan, 0.5, 0.01, 0.03]))
    assert found == pytest.approx([0.04, math.nan, 0.5, 0.04, 0.04], nan_ok=True)
    assert len(adjusted(np.array([]))) == 0


def test_a_twentieth_of_the_discoveries_is_false():
    rng = np.random.default_rng(0)
    false = []
    for _ in range(1000):
        p_values = np.append(rng.random(20), rng.random(5) * 1e-3)
        found = adjusted(p_values) < 0.05
        false.append(found[:20].sum() / max(found.sum(), 1))
    assert np.mean(false) == pytest.approx(0.05 * 20 / 25, abs=0.012)


def test_two_segments_by_hand():
    """Effects 1 and 4 with errors of 1: around 2.5 Q is 2 x 1.5 squared, and 1 with errors whose square is 4.5."""
    found = heterogeneity(np.array([1.0, 4.0]), np.ones(2))
    assert found.q == pytest.approx(4.5)
    assert found.p_value == pytest.approx(math.erfc(1.5))  # of a chi-square of one degree
    assert found.spread == pytest.approx(math.sqrt(3.5))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(-5, 5), st.floats(0.1, 3)), min_size=2, max_size=12))
def test_q_is_that_of_statsmodels_and_with_the_spread_added_its_degrees_of_freedom(rows):
    """Its own iteration of Paule and Mandel ends at 0 for some of these."""
    estimates, errors = np.array(rows).T
    assume(np.ptp(estimates) > 0.01)
    found, theirs = heterogeneity(estimates, errors), combine_effects(estimates, errors**2)
    assert found.q == pytest.approx(theirs.q, abs=1e-9)
    assert found.p_value == pytest.approx(theirs.test_homogeneity().pvalue, abs=1e-9)
    assert (found.spread > 0) == (theirs.q > len(rows) - 1)
    if found.spread > 0:
        assert combine_effects(estimates, errors**2 + found.spread**2).q == pytest.approx(len(rows) - 1, rel=1e-6)


def test_alike_segments_are_told_to_differ_one_time_in_twenty():
    rng = np.random.default_rng(1)
    errors = rng.uniform(0.5, 3, 8)
    found = [heterogeneity(rng.normal(0, errors), errors).p_value < 0.05 for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.05, abs=0.013)


def test_eight_schools_are_shrunk_as_published():
    """Gelman and others 2013, table 5.3: medians 10, 8, 7, 8, 5, 6, 10, 8; means are a little further from them."""
    found = [effect.estimate for effect in shrunk(*SCHOOLS)]
    assert found == pytest.approx([11, 8, 6, 8, 5, 6, 10.5, 8.5], abs=0.7)


def test_effects_agree_with_a_sum_over_all_spreads_and_common_effects():
    """Three of the schools, every spread up to the widest and every common effect alike before."""
    estimates, errors = SCHOOLS[0][:3], SCHOOLS[1][:3]
    spread, common = np.meshgrid(np.linspace(0.02, 3 * 2 * estimates.std(), 900), np.linspace(-300, 300, 2001))
    spread, common = spread[..., None], common[..., None]
    total = errors**2 + spread**2
    likely = np.exp(-0.5 * (np.log(total) + (estimates - common) ** 2 / total).sum(axis=2))[..., None]
    center = (common * errors**2 + estimates * spread**2) / total
    mean = (likely * center).sum(axis=(0, 1)) / likely.sum()
    square = (likely * (center**2 + errors**2 * spread**2 / total)).sum(axis=(0, 1)) / likely.sum()
    found = shrunk(estimates, errors)
    assert [one.estimate for one in found] == pytest.approx(mean, abs=0.05)
    reach = [(one.upper - one.lower) / 2 for one in found]
    assert reach == pytest.approx(1.959964 * np.sqrt(square - mean**2), rel=0.01)


def test_segments_far_apart_stay_and_alike_ones_come_together():
    far = shrunk(np.array([0.0, 100, 200, 300]), np.ones(4))
    assert [effect.estimate for effect in far] == pytest.approx([0, 100, 200, 300], abs=0.1)
    assert far[0].upper == pytest.approx(1.96, abs=0.1)
    near = shrunk(np.array([0.9, 1.0, 1.1, 1.0]), np.full(4, 5.0))
    assert np.ptp([effect.estimate for effect in near]) < 0.1
    assert near[0].upper - near[0].lower < 2 * 1.96 * 5


def test_two_segments_stay_as_they_are():
    (one, other) = shrunk(np.array([1.0, 4.0]), np.ones(2))
    assert (one.estimate, other.estimate) == (1, 4)
    assert (one.lower, other.upper) == pytest.approx((1 - 1.959964, 4 + 1.959964))


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(8)), st.sampled_from([1e-6, 1.0, 1e6]))
def test_order_and_unit_do_not_matter(order, unit):
    places = list(order)
    spread = heterogeneity(SCHOOLS[0], SCHOOLS[1] / 3).spread
    assert heterogeneity(SCHOOLS[0][places] * unit, SCHOOLS[1][places] * unit / 3).spread == pytest.approx(
        spread * unit
    )
    found, base = shrunk(SCHOOLS[0][places] * unit, SCHOOLS[1][places] * unit), shrunk(*SCHOOLS)
    for place, effect in zip(places, found, strict=True):
        assert (effect.estimate, effect.upper) == pytest.approx((base[place].estimate * unit, base[place].upper * unit))


@pytest.mark.parametrize(("segments", "spread"), list(itertools.product([4, 10, 20], [0.0, 0.5, 1.0, 2.0])))
def test_intervals_hold_the_truth_and_shrinking_is_nearer_to_it(segments, spread):
    rng = np.random.default_rng([segments, int(2 * spread)])
    held, off = [], np.zeros(2)
    for _ in range(400):
        errors = np.exp(rng.uniform(-1, 1, segments))
        effects = rng.normal(3, spread, segments)
        estimates = rng.normal(effects, errors)
        found = shrunk(estimates, errors)
        held += [one.lower <= true <= one.upper for one, true in zip(found, effects, strict=True)]
        off += [((np.array([one.estimate for one in found]) - effects) ** 2).sum(), ((estimates - effects) ** 2).sum()]
    assert np.mean(held) > 0.925
    assert off[0] < 0.85 * off[1]


@pytest.mark.parametrize(
    ("estimates", "errors", "said"),
    [
        ([1.0], [1.0], "^1 estimates and 1 errors, must be as many of both and at least 2"),
        ([1.0, 2.0], [1.0], "^2 estimates and 1 errors"),
        ([1.0, 2.0], [1.0, 0.0], "error == 0.0 in segment 1, must be numbers and the error > 0"),
        ([1.0, math.nan], [1.0, 1.0], "estimate == nan, error == 1.0 in segment 1"),
    ],
)
def test_wrong_segments_are_refused_in_one_line(estimates, errors, said):
    with pytest.raises(ValueError, match=said):
        heterogeneity(np.array(estimates), np.array(errors))
