"""Looks that may be believed: the error is spent as planned, interval and p-value agree, and power is kept."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, multivariate_normal, norm

from serving.experiments.bounds import (
    CAP,
    NEVER,
    _solved,
    anytime,
    anytime_p_value,
    bounds,
    passing,
    repeated_p_value,
    spent,
)

DAILY = np.arange(1, 15) / 14
steps = st.lists(st.floats(0.01, 1.0), min_size=1, max_size=8)
UNEVEN = [[0.3, 0.31, 0.9, 1.0], [0.1, 0.6, 0.75], [0.5, 1.2], [0.999, 1.0]]


def fractions(sizes: list[float]) -> np.ndarray:
    return np.cumsum(sizes) / max(sum(sizes), 1.0)


def paths(looks: np.ndarray, runs: int, rng: np.random.Generator) -> np.ndarray:
    """z at each look of Brownian motion, (runs, looks)."""
    return (rng.normal(size=(runs, len(looks))) * np.sqrt(np.diff(looks, prepend=0))).cumsum(axis=1) / np.sqrt(looks)


def inside(looks: np.ndarray, limits: np.ndarray) -> float:
    """The probability that no look crosses, by the multivariate normal distribution of z."""
    correlation = np.sqrt(np.minimum.outer(looks, looks) / np.maximum.outer(looks, looks))
    found = multivariate_normal(cov=correlation, maxpts=100_000, abseps=5e-6, releps=0)
    return float(found.cdf(limits, lower_limit=-limits, rng=np.random.default_rng(0)))


def test_the_error_spent_is_the_published_one() -> None:
    # by hand, t = 1/2: each side 2 - 2 Phi(2.2414 / 0.7071) = 0.001525
    assert spent([0.5])[0] == pytest.approx(2 * 0.001525, abs=1e-6)
    assert spent([0.0, 1.0, 1.3]).tolist() == pytest.approx([0, 0.05, 0.05])
    assert (np.diff(spent(DAILY, 0.1)) > 0).all()


def test_bounds_are_the_published_ones_for_five_equal_looks() -> None:
    # Reboussin et al. (2000), two-sided 0.05; the first is by hand: its error is all that is spent until then
    assert bounds(np.arange(1, 6) / 5) == pytest.approx([4.8769, 3.3569, 2.6803, 2.2898, 2.0310], abs=2e-4)
    assert bounds([0.2])[0] == pytest.approx(norm.isf(2 * norm.sf(norm.isf(0.0125) / math.sqrt(0.2))), abs=1e-10)


def test_error_is_spent_by_time_while_what_is_known_says_how_alike_looks_are() -> None:
    """Most customers come early: by the multivariate normal distribution of what is known, all of it is spent."""
    times, known = np.arange(1, 6) / 5, np.array([40, 70, 80, 95, 100.0])
    found = bounds(times, information=known)
    assert 1 - inside(known, found) == pytest.approx(0.05, abs=3e-5)
    assert 1 - inside(known[:3], found[:3]) == pytest.approx(spent(times)[2], abs=3e-5)
    assert bounds(times, information=7 * times) == pytest.approx(bounds(times), abs=1e-9)
    z = float(found[-1])
    assert (
        repeated_p_value(z + 1e-3, times, information=known)
        < 0.05
        < repeated_p_value(z - 1e-3, times, information=known)
    )
    with pytest.raises(ValueError, match="must be that of 5 looks"):
        bounds(times, information=[1, 2])


def test_one_look_at_the_end_is_the_test_without_looks() -> None:
    assert bounds([1.0], 0.01)[0] == pytest.approx(norm.isf(0.005), abs=1e-12)
    assert repeated_p_value(-2.5, [1.0]) == pytest.approx(2 * norm.sf(2.5), rel=1e-8)


@pytest.mark.parametrize("looks", UNEVEN)
@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_uneven_looks_spend_what_is_due_by_the_multivariate_normal(looks: list[float], alpha: float) -> None:
    for upto in range(2, len(looks) + 1):
        held = np.array(looks[:upto])
        assert 1 - inside(held, bounds(held, alpha)) == pytest.approx(spent(held, alpha)[-1], abs=3e-5)


def test_brownian_motion_crosses_on_fourteen_daily_looks_as_often_as_alpha_says() -> None:
    crossed = (np.abs(paths(DAILY, 200_000, np.random.default_rng(1))) > bounds(DAILY)).any(axis=1)
    interval = binomtest(int(crossed.sum()), len(crossed)).proportion_ci(0.99)
    assert interval.low < 0.05 < interval.high


def test_a_bound_depends_on_the_looks_before_it_only() -> None:
    assert bounds(DAILY[:9]) == pytest.approx(bounds(DAILY)[:9], abs=1e-7)


def test_very_early_looks_are_out_of_reach_and_cost_nothing() -> None:
    early = bounds([0.001, 0.01, 1.0])
    assert early[:2].tolist() == [CAP, CAP]
    assert early[2] == pytest.approx(norm.isf(0.025), abs=1e-9)


def test_after_all_is_spent_no_look_crosses() -> None:
    assert bounds([0.5, 1.1, 1.2])[-1] == CAP


def test_looks_that_are_close_together_are_followed() -> None:
    """A look that adds a ten-thousandth spends almost nothing and moves the later bounds by nearly nothing."""
    with_it, without = bounds([0.5, 0.5001, 1.0]), bounds([0.5, 1.0])
    assert with_it[[0, 2]] == pytest.approx(without, abs=1e-4)
    assert 1 - inside(np.array([0.5, 0.502, 1.0]), bounds([0.5, 0.502, 1.0])) == pytest.approx(0.05, abs=3e-5)


@given(steps, st.floats(0.001, 0.9), st.floats(1.01, 1.5))
@settings(max_examples=30, deadline=None)
def test_a_larger_alpha_lowers_every_bound(sizes: list[float], alpha: float, factor: float) -> None:
    looks = fractions(sizes)
    low, high = bounds(looks, min(alpha * factor, 0.999)), bounds(looks, alpha)
    assert (low <= high + 1e-6).all()


@given(steps, st.floats(0.0, 7.9), st.sampled_from([0.01, 0.05, 0.1]))
@settings(max_examples=30, deadline=None)
def test_p_is_under_alpha_exactly_when_the_repeated_interval_excludes_0(
    sizes: list[float], z: float, alpha: float
) -> None:
    looks = fractions(sizes)
    bound = bounds(looks, alpha)[-1]
    if abs(z - bound) > 1e-5:  # closer than bounds are right to
        assert (repeated_p_value(z, looks) < alpha) == (z > bound)


def test_p_values_end_at_1_and_near_0() -> None:
    assert repeated_p_value(0.0, DAILY[:3]) == 1.0
    assert repeated_p_value(40.0, DAILY[:3]) == NEVER


def test_without_an_effect_the_power_is_what_was_spent() -> None:
    assert passing(0.0, DAILY, bounds(DAILY)) == pytest.approx(spent(DAILY), abs=1e-8)


def test_power_over_the_looks_is_what_paths_with_drift_show() -> None:
    z = paths(DAILY, 100_000, np.random.default_rng(2)) + 2.8 * np.sqrt(DAILY)
    crossed = np.logical_or.accumulate(np.abs(z) > bounds(DAILY), axis=1).mean(axis=0)
    assert passing(2.8, DAILY, bounds(DAILY)) == pytest.approx(crossed, abs=0.005)


@pytest.mark.parametrize("power", [0.8, 0.9])
def test_looks_keep_the_power_of_the_fixed_test_and_save_a_fifth_of_the_customers(power: float) -> None:
    by_look = passing(norm.ppf(power) + norm.isf(0.025), DAILY, bounds(DAILY))
    assert by_look[-1] >= 0.95 * power
    assert (len(DAILY) - by_look[:-1].sum()) / len(DAILY) <= 0.8


def test_fourteen_looks_take_milliseconds_and_are_kept() -> None:
    looks = tuple(DAILY.tolist())
    _solved(looks, 0.04)
    seconds = min(_timed(lambda: _solved(looks, 0.04)) for _ in range(5))
    assert seconds < 0.05  # 3 ms on one quiet core
    assert bounds(DAILY) is bounds(DAILY.tolist())
    with pytest.raises(ValueError, match="read-only"):
        bounds(DAILY)[0] = 1.0


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


@pytest.mark.parametrize("looks", [[], [0.0, 1.0], [0.5, 0.5], [0.5, 0.4], [0.5, math.nan], [0.5, 0.500001]])
def test_looks_that_do_not_rise_are_refused(looks: list[float]) -> None:
    with pytest.raises(ValueError, match="must rise by at least"):
        bounds(looks)


def test_the_sequence_is_tightest_at_the_planned_number() -> None:
    best = minimize_scalar(lambda v: (1 + 1 / v) * (math.log1p(v) - 2 * math.log(0.05)), bounds=(1, 50))
    assert float(anytime(1.0)) == pytest.approx(math.sqrt(best.fun), abs=1e-6)
    # the paper's margin at n = 700 planned for 1,000, with rho written out: sigma = 1, so times sqrt(n)
    rho = math.sqrt(best.x / 1000)
    margin = math.sqrt(
        2 * (700 * rho**2 + 1) / (700**2 * rho**2) * math.log(math.sqrt(700 * rho**2 + 1) / 0.05)
    ) * math.sqrt(700)
    assert float(anytime(0.7)) == pytest.approx(margin, abs=1e-4)


@given(st.floats(0.01, 5), st.floats(0, 8), st.floats(0.001, 0.5))
def test_the_sequence_and_its_p_value_agree(fraction: float, z: float, alpha: float) -> None:
    bound = float(anytime(fraction, alpha))
    assert float(anytime_p_value(bound, fraction, alpha)) == pytest.approx(alpha, rel=1e-9)
    if abs(z - bound) > 1e-9:
        assert (float(anytime_p_value(-z, fraction, alpha)) < alpha) == (z > bound)


def test_looks_at_will_cross_at_most_as_often_as_alpha_says() -> None:
    looks = np.geomspace(0.005, 20, 800)
    z = paths(looks, 3000, np.random.default_rng(3))
    crossed = (np.abs(z) > anytime(looks)).any(axis=1).mean()
    assert 0.02 < crossed < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 3000)


def test_looks_at_will_cost_more_than_planned_ones() -> None:
    assert (anytime(DAILY[4:]) > 1.4 * norm.isf(0.025)).all()
    assert float(anytime(1.0)) > bounds(DAILY)[-1]


def test_a_sequence_before_the_first_customer_is_refused() -> None:
    with pytest.raises(ValueError, match="must be > 0"):
        anytime([0.0, 1.0])
