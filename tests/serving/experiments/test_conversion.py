"""Curves, restricted means and their test: by hand, against statsmodels, and how often the test is wrong."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom, gamma, norm
from statsmodels.duration.survfunc import SurvfuncRight

from benchmarks.experiments_conversion import DAYS, World, missed
from serving.experiments import conversion
from serving.experiments.conversion import (
    BOUND,
    STEPS,
    at_risk,
    curve,
    difference,
    drawn,
    horizon,
    median,
    restricted_mean,
    survival_bounds,
)


def fifty():
    """Of fifty customers ten convert on day 2, five are seen to day 3, seven convert on day 4, 28 are seen to day 8."""
    return curve(np.array([2.0, 3, 4, 8]), np.array([True, False, True, False]), np.array([10, 5, 7, 28]))


def test_five_customers_by_hand():
    """Converted on days 1 and 3, unseen after 2, 4 and 4: S falls to 4/5 and, of three at risk, to 8/15."""
    found = curve(np.array([1.0, 2, 3, 4, 4]), np.array([True, False, True, False, False]))
    assert found.at_risk.tolist() == [5, 4, 3, 2]
    assert found.survival == pytest.approx([4 / 5, 4 / 5, 8 / 15, 8 / 15])
    assert found.greenwood == pytest.approx([1 / 20, 1 / 20, 1 / 20 + 1 / 6, 1 / 20 + 1 / 6])
    assert at_risk(found, np.array([0.0, 1, 1.5, 3, 4, 5])).tolist() == [5, 5, 4, 3, 2, 0]


def test_a_restricted_mean_by_hand():
    """S is 1 to day 2, 4/5 to day 4, then 4/5 x 28/35 = 16/25: up to day 8 the area is 2 + 8/5 + 64/25."""
    found = restricted_mean(fifty(), 8.0)
    assert found.estimate == pytest.approx(2 + 8 / 5 + 64 / 25)
    after_2, after_4 = 8 / 5 + 64 / 25, 64 / 25
    assert found.variance == pytest.approx(after_2**2 * 10 / (50 * 40) + after_4**2 * 7 / (35 * 28))


def test_the_variance_is_of_the_estimate_and_not_of_the_times():
    """Of customers all seen to the end the restricted mean is the plain mean of min(T, tau), and so is its variance."""
    times = np.minimum(np.random.default_rng(0).exponential(60, 3000), DAYS)
    found = restricted_mean(curve(times, times < DAYS), DAYS)
    assert found.estimate == pytest.approx(times.mean())
    assert found.variance == pytest.approx(times.var() / 3000)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.booleans(), st.integers(1, 4)), min_size=30, max_size=60).filter(
        lambda rows: any(converted for _, converted, _ in rows)
    )
)
def test_the_curve_is_that_of_statsmodels(rows):
    times, converted, people = (np.array(column) for column in zip(*rows, strict=True))
    found = curve(times.astype(float), converted, people)
    theirs = SurvfuncRight(np.repeat(times, people), np.repeat(converted, people))  # its errors of weighted rows differ
    at = np.searchsorted(found.times, theirs.surv_times)
    assert found.survival[at] == pytest.approx(theirs.surv_prob)
    assert found.at_risk[at] == pytest.approx(theirs.n_risk)
    inside = theirs.surv_prob > 1e-9
    assert found.survival[at][inside] * np.sqrt(found.greenwood[at][inside]) == pytest.approx(
        theirs.surv_prob_se[inside]
    )


def test_median_and_bounds_are_those_of_statsmodels():
    """Its interval of the median is where its bounds on the same scale hold a half."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        times, converted = rng.integers(1, 15, 100).astype(float), rng.random(100) < 0.7
        found, theirs = median(curve(times, converted), norm.ppf(0.975)), SurvfuncRight(times, converted)
        assert (found.lower, found.upper) == theirs.quantile_ci(0.5)
        assert found.estimate == theirs.quantile(0.5)


def test_the_bounds_by_hand():
    """At S = 4/5 with Greenwood's 10/(50 x 40): log(-log S) is -1.49994, its error sqrt(1/200) / 0.22314 = 0.31688."""
    lower, upper = survival_bounds(fifty(), 1.96)
    assert lower[0] == pytest.approx(math.exp(-math.exp(-1.49994 + 1.96 * 0.31688)), abs=1e-4)
    assert upper[0] == pytest.approx(math.exp(-math.exp(-1.49994 - 1.96 * 0.31688)), abs=1e-4)


def test_customers_one_by_one_or_grouped_give_one_curve():
    rng = np.random.default_rng(2)
    times, converted = rng.integers(0, 9, 500).astype(float), rng.random(500) < 0.3
    rows, people = np.unique(np.stack([times, converted], axis=1), axis=0, return_counts=True)
    one, grouped = curve(times, converted), curve(rows[:, 0], rows[:, 1] > 0, people)
    for name in ("times", "at_risk", "conversions", "survival", "greenwood"):
        assert getattr(one, name) == pytest.approx(getattr(grouped, name))


def test_the_median_is_the_first_day_by_which_half_have_converted():
    found = median(curve(np.repeat([1.0, 2, 3], 40), np.ones(120, bool)))
    assert (found.estimate, found.lower, found.upper) == (2, 2, 2)
    never = median(fifty())
    assert (never.estimate, never.upper) == (math.inf, math.inf)


def test_all_converted_leaves_no_lower_bound_and_the_last_upper_one():
    lower, upper = survival_bounds(curve(np.repeat([1.0, 2], 30), np.ones(60, bool)))
    assert lower[-1] == 0
    assert upper[-1] == upper[0] > 0.5
    assert [each.tolist() for each in survival_bounds(curve(np.ones(30), np.ones(30, bool)))] == [[0], [1]]


def test_a_drawn_curve_has_few_steps_and_stays_within_a_hundredth_of_its_fall():
    rng = np.random.default_rng(3)
    times, seen = rng.exponential(20, 20_000), rng.random(20_000) * DAYS
    found = curve(np.minimum(times, seen), times <= seen)
    picture = drawn(found)
    assert len(picture.times) <= STEPS
    assert (picture.times[0], picture.survival[0], picture.times[-1]) == (0, 1, found.times[-1])
    shown = picture.survival[np.searchsorted(picture.times, found.times, side="right") - 1]
    assert np.abs(shown - found.survival).max() <= 0.01 * (1 - found.survival[-1])
    assert ((picture.lower <= picture.survival) & (picture.survival <= picture.upper)).all()


def test_a_curve_without_conversions_is_drawn_flat():
    picture = drawn(curve(np.arange(30.0), np.zeros(30, bool)))
    assert (picture.times[0], picture.times[-1], set(picture.survival)) == (0, 29, {1.0})


def test_the_horizon_is_the_last_day_on_which_every_arm_has_enough_at_risk():
    wide, narrow = curve(np.arange(1.0, 1001), np.zeros(1000, bool)), curve(np.arange(1.0, 101), np.zeros(100, bool))
    assert horizon([wide]) == 901  # a hundred, a tenth of the arm, are seen on that day or later
    assert horizon([wide, narrow]) == 81  # twenty


def test_a_later_tau_or_a_tiny_arm_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"^tau == 9 days, must be > 0 and <= 8: too few are at risk later$"):
        restricted_mean(fifty(), 9.0)
    with pytest.raises(ValueError, match=r"^tau == nan days"):
        difference(fifty(), fifty(), math.nan)
    few = curve(np.arange(12.0), np.zeros(12, bool))
    with pytest.raises(ValueError, match=r"^an arm has 12 customers, needs 20 \(time to conversion\)$"):
        difference(few, fifty(), 5.0)


@pytest.mark.parametrize(
    ("times", "converted", "people", "said"),
    [
        ([], [], None, "at least one customer"),
        ([1.0], [True, False], None, "must be the same number"),
        ([1.0, -2.0], [True, True], None, "time == -2.0 in row 1, must be >= 0 days"),
        ([math.nan], [True], None, "time == nan in row 0"),
        ([1.0, 2.0], [True, True], [1, 0], "people == 0, must be >= 1"),
    ],
)
def test_wrong_rows_are_refused_in_one_line(times, converted, people, said):
    with pytest.raises(ValueError, match=said):
        curve(np.array(times), np.array(converted, bool), None if people is None else np.array(people))


def test_without_a_conversion_nothing_is_known():
    none = curve(np.full(100, DAYS), np.zeros(100, bool))
    found = difference(none, none, DAYS)
    assert (found.estimate, found.lower, found.upper, found.p_value) == (0, -math.inf, math.inf, 1)


def test_where_less_than_one_conversion_is_to_be_expected_nothing_is_known():
    """Three of 1,000 beside 200 customers: 0.5 to expect of them."""
    rare, none = curve(np.array([3.0, DAYS]), np.array([True, False]), np.array([3, 997])), np.full(200, DAYS)
    found = difference(rare, curve(none, none < 0), DAYS)
    assert found.estimate == pytest.approx(-3 / 1000 * 25)
    assert (found.lower, found.upper, found.p_value) == (-math.inf, math.inf, 1)


def test_large_arms_of_one_size_are_tested_as_by_the_two_variances():
    treated, control = World(0.5, 0.05, 0.1, (0, 0)).logged(200_000, np.random.default_rng(4))
    found = difference(treated, control, 20.0)
    means = [restricted_mean(arm, 20.0) for arm in (treated, control)]
    error = math.sqrt(means[0].variance + means[1].variance)
    assert found.estimate == pytest.approx(means[0].estimate - means[1].estimate)
    assert found.z == pytest.approx(found.estimate / error, rel=0.02)
    assert (found.upper - found.lower) / 2 == pytest.approx(1.96 * error, rel=0.02)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.5, 0.95, 0.1]), st.sampled_from([1.0, BOUND, 8.0]))
def test_interval_and_p_value_never_disagree_and_arms_may_be_swapped(seed, treated, bound):
    arms = World(treated, 0.05, 1.0, (0.3, 0.3)).logged(1000, np.random.default_rng(seed))
    tau = horizon(arms)
    found, turned = difference(*arms, tau, bound), difference(*arms[::-1], tau, bound)
    assert found.lower <= found.estimate <= found.upper
    assert (found.p_value < 2 * norm.sf(bound)) == (not found.lower <= 0 <= found.upper) == (abs(found.z) > bound)
    assert (found.estimate, found.lower, found.upper) == pytest.approx((-turned.estimate, -turned.upper, -turned.lower))
    assert (found.z, found.p_value) == pytest.approx((-turned.z, turned.p_value))


def test_an_arm_without_a_conversion_has_an_interval_too():
    rng = np.random.default_rng(5)
    most, none = World(0.95, 0.05, 0, (0, 0)).logged(4000, rng)[0], curve(np.full(200, DAYS), np.zeros(200, bool))
    found = difference(most, none, horizon([most, none]))
    assert found.estimate < 0 < found.p_value
    assert -math.inf < found.lower < found.estimate < found.upper < math.inf


@pytest.mark.parametrize("few", [1, 8])
def test_few_conversions_are_as_rare_as_a_binomial_distribution_says(few):
    """All at day 0, beside an arm so large that its rate is known: both tails, half of the number itself counted."""
    large = curve(np.array([0.0, 9]), np.array([True, False]), np.array([20_000, 980_000]))
    small = curve(np.array([0.0, 9]), np.array([True, False]), np.array([few, 200 - few]))
    fewer = binom.cdf(few, 200, 0.02) - binom.pmf(few, 200, 0.02) / 2
    assert norm.sf(difference(small, large, 9.0).z) == pytest.approx(fewer, abs=0.008)


def within(wrong, runs, low, high, cells):
    """Whether the 99 % binomial interval of this many wrong ones, corrected for the cells, overlaps the band."""
    tail = 0.01 / cells / 2
    return binom.sf(wrong - 1, runs, high) > tail and binom.cdf(wrong, runs, low) > tail


WORLDS = [
    World(*cell) for cell in itertools.product([0.5, 0.95], [0.02, 0.1, 0.5], [0.0, 0.3], [(0.0, 0.0), (0.2, 0.5)])
]


def test_the_test_is_wrong_as_often_as_it_says():
    """On both sides 4 to 6 %, on one at most 3.5, with and without an effect, also of a holdout of 200 customers."""
    runs = 100
    for seed, world in enumerate(WORLDS):
        wrong = missed(world, runs, seed)
        both, below, above = (round(wrong[name] * runs / 100) for name in ("both", "below", "above"))
        assert within(both, runs, 0.03, 0.07, len(WORLDS)), (world, wrong)
        assert max(below, above) <= binom.ppf(1 - 0.005 / len(WORLDS), runs, 0.035), (world, wrong)


def test_a_million_customers_take_less_than_a_second():
    rng = np.random.default_rng(6)
    begun = time.process_time()
    treated, control = World(0.5, 0.05, 0, (0, 0)).logged(1_000_000, rng)
    assert difference(treated, control, 20.0).p_value > 0
    assert time.process_time() - begun < 3  # 0.5 s of which are the draws


def test_the_gamma_like_number_becomes_normal():
    """The quantiles of a gamma distribution of 16 conversions come out as those of the normal one."""
    for level in (0.025, 0.2, 0.5, 0.9, 0.975):
        x = (gamma.ppf(level, 16) - 16) / 4
        assert conversion._normal(x, 2 / 4) == pytest.approx(norm.ppf(level), abs=0.005)
        assert conversion._normal(x, 1.0001e-4) == pytest.approx(conversion._normal(x, 0.9999e-4), abs=1e-7)
