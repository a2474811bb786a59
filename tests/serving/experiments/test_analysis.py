"""Tests of means and ratios from moments: beside scipy, by hand, and how often they are wrong by chance."""

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.stats import binom, norm, ttest_ind

from serving.experiments.analysis import Shape, Told, compare
from serving.experiments.moments import Moments

MEAN, RATIO = Shape(), Shape(ratio=True)
NUMBERS = arrays(np.float64, st.tuples(st.integers(0, 8), st.just(2)), elements=st.floats(-1e3, 1e3))


def column(values: NDArray[np.float64]) -> Moments:
    return Moments.of(values[:, None])


@given(NUMBERS, NUMBERS)
def test_parts_of_an_arm_add_up_to_the_whole(one: NDArray[np.float64], other: NDArray[np.float64]) -> None:
    both, whole = Moments.of(one) + Moments.of(other), Moments.of(np.concatenate([one, other]))
    assert both.count == whole.count
    np.testing.assert_allclose(both.mean, whole.mean, atol=1e-9)
    np.testing.assert_allclose(both.covariance, whole.covariance, atol=1e-6)


def test_the_test_is_students_and_its_interval_agrees_with_its_p_value() -> None:
    rng = np.random.default_rng(0)
    control, treatment = rng.gamma(1.0, 10.0, 400), rng.gamma(1.0, 13.0, 300)
    found = compare(column(control), column(treatment), MEAN)
    expected = ttest_ind(treatment, control)
    interval = expected.confidence_interval()
    assert found is not None
    assert found.p_value == pytest.approx(expected.pvalue)
    assert (found.lower, found.upper) == pytest.approx((interval.low, interval.high))
    assert (found.p_value < 0.05) == (found.lower > 0 or found.upper < 0)
    assert found.lift == pytest.approx(treatment.mean() / control.mean() - 1)
    assert found.verdict == ("higher than control" if expected.pvalue < 0.05 else "not distinguishable")


def test_a_look_reaches_as_many_standard_errors_as_it_is_told() -> None:
    rng = np.random.default_rng(0)
    arms = column(rng.random(500)), column(rng.random(500))
    found, wide = compare(*arms, MEAN), compare(*arms, MEAN, bound=4.0)
    assert found is not None
    assert wide is not None
    assert wide.upper - wide.difference == pytest.approx(4 * wide.error)
    assert wide.error == pytest.approx(found.error)
    assert wide.p_value == pytest.approx(2 * norm.sf(abs(wide.difference) / wide.error))


@given(st.integers(2, 60), st.integers(2, 60), st.floats(-1, 3), st.integers(0, 10_000))
@example(2, 2, -0.8881426851719993, 2)  # a mean below 0 beside a control that may be 0
def test_the_interval_of_the_lift_says_the_same_as_that_of_the_difference(
    some: int, others: int, more: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    found = compare(column(rng.gamma(1.0, 1.0, some)), column(rng.gamma(1.0, 1.0, others) + more), MEAN)
    assert found is not None
    assert (found.lift_lower > 0, found.lift_upper < 0) == (found.lower > 0, found.upper < 0)
    assert found.lift_lower <= found.lift <= found.lift_upper


def test_a_control_of_nearly_nothing_has_no_lift_and_breaks_nothing() -> None:
    control = column(np.r_[np.full(500, 1e-9), -1e-9])
    found = compare(control, column(np.r_[np.zeros(500), 1.0]), MEAN, bound=8.0)
    assert found is not None
    assert (found.lift_lower, found.lift_upper) == (-math.inf, math.inf)


def test_a_ratio_by_hand() -> None:
    """Control: 1 of 2 and 1 of 4 opened; treatment: 2 of 2, 2 of 4, 2 of 2. Ratios 1/3 and 3/4."""
    control = np.array([[1.0, 2.0], [1.0, 4.0]])
    treatment = np.array([[2.0, 2.0], [2.0, 4.0], [2.0, 2.0]])
    found = compare(Moments.of(control), Moments.of(treatment), RATIO)
    assert found is not None
    assert found.difference == pytest.approx(3 / 4 - 1 / 3)
    shares = [
        (arm[:, 0] - ratio * arm[:, 1]) / arm[:, 1].mean() for arm, ratio in ((control, 1 / 3), (treatment, 3 / 4))
    ]
    pooled = sum(((one - one.mean()) ** 2).sum() for one in shares) / 3
    assert found.error == pytest.approx(math.sqrt(pooled * (1 / 2 + 1 / 3)))


def test_a_customers_own_past_makes_the_interval_shorter_and_moves_nothing() -> None:
    rng = np.random.default_rng(3)
    past = rng.gamma(1.0, 10.0, 2000)
    now = past + rng.normal(0, 2.0, 2000)
    arm = rng.random(2000) < 0.5
    now[arm] += 1.0
    rows = np.c_[now, past]
    plain = compare(Moments.of(rows[~arm][:, :1]), Moments.of(rows[arm][:, :1]), MEAN)
    sharp = compare(Moments.of(rows[~arm]), Moments.of(rows[arm]), Shape(before=1))
    assert plain is not None
    assert sharp is not None
    assert sharp.error < plain.error / 3
    assert sharp.lower < 1 < sharp.upper
    assert sharp.lower > 0.5


def test_several_things_of_the_past_are_taken_off_by_one_regression() -> None:
    rng = np.random.default_rng(4)
    arm = rng.random(2000) < 0.2
    past = rng.gamma(1.0, 10.0, (2000, 2))
    past[:, 1] += past[:, 0]
    now = 2 * past[:, 0] - past[:, 1] + rng.normal(0, 2.0, 2000) + arm
    rows = np.c_[now, past]
    factors = np.linalg.lstsq(np.c_[np.ones(2000), past], now, rcond=None)[0][1:]
    left = now - past @ factors
    found, one = compared(rows, arm, before=2), compared(rows[:, :2], arm, before=1)
    by_hand = ttest_ind(left[arm], left[~arm]).confidence_interval()
    assert (found.lower, found.upper) == pytest.approx((by_hand.low, by_hand.high))
    assert found.lower < 1 < found.upper
    assert found.error < one.error / 2
    again = compared(np.c_[rows, past[:, 0] * 1e6, np.ones(2000)], arm, before=4)  # one twice, and one of nothing
    assert (again.lower, again.upper) == pytest.approx((found.lower, found.upper))


def compared(rows: NDArray[np.float64], arm: NDArray[np.bool_], before: int) -> Told:
    found = compare(Moments.of(rows[~arm]), Moments.of(rows[arm]), Shape(before=before))
    assert found is not None
    return found


@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.parametrize("shape", [MEAN, RATIO, Shape(before=1), Shape(ratio=True, before=2)])
def test_arms_that_are_the_same_differ_five_times_in_a_hundred(share: float, shape: Shape) -> None:
    """4,000 customers, of whom one in ten spends, with a tail capped at the 99th percentile of those who do."""
    rng, runs, wrong = np.random.default_rng(5), 600, 0
    for _ in range(runs):
        spends = rng.random(4000) < 0.1
        past = rng.gamma(1.0, 10.0, 4000)
        money = np.where(spends, rng.lognormal(3.0, 1.2, 4000), 0.0) + 0.1 * past
        money = np.minimum(money, np.quantile(money[spends], 0.99))
        rows = np.c_[money, 1.0 + rng.poisson(2.0, 4000), past, past**2]
        kept = rows[:, [0, *([1] if shape.ratio else []), *range(2, 2 + shape.before)]]
        arm = rng.random(4000) < share
        found = compare(Moments.of(kept[~arm]), Moments.of(kept[arm]), shape)
        wrong += found is not None and found.verdict != "not distinguishable"
    low, high = binom.ppf([0.0005, 0.9995], runs, 0.05)
    assert low <= wrong <= high, wrong / runs


def test_what_cannot_be_compared_is_not() -> None:
    some, zeros = column(np.array([1.0, 2.0, 3.0])), column(np.zeros(3))
    assert compare(some, column(np.array([1.0])), MEAN) is None
    assert compare(some, column(np.empty(0)), MEAN) is None
    assert compare(zeros, zeros, MEAN) is None
    nobody = Moments.of(np.zeros((3, 2)))
    assert compare(nobody, nobody, RATIO) is None
    one = compare(zeros, column(np.array([0.0, 0.0, 99.0])), MEAN)  # one customer has all of it
    assert one is not None
    assert one.verdict == "not distinguishable"
    assert math.isnan(one.lift)
    assert (one.lift_lower, one.lift_upper) == (-math.inf, math.inf)
    less = compare(some, column(np.array([-5.0, -6.0, -5.5])), MEAN)
    assert less is not None
    assert less.verdict == "lower than control"
