"""Increments from moments: covered, additive, and the same as a regression says."""

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from serving.experiments.moments import Moments
from serving.impact.incremental import compared, discovered, moments
from serving.impact.period import Period

RUNS, CUSTOMERS, SHARE, MORE = 400, 2_000, 0.1, 3.0
Array = NDArray[np.float64]


def customers(rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """Treated or not, their own past, and money with a heavy tail that follows it; the treated spend `MORE`."""
    treated = rng.random(CUSTOMERS) > SHARE
    often = rng.gamma(1.0, 1.0, CUSTOMERS)
    before, after = (rng.poisson(often) * rng.lognormal(2.0, 0.8, CUSTOMERS) for _ in range(2))
    return treated, before, after + MORE * treated


def arm(money: Array, before: Array) -> Moments:
    sums = (money.sum(), (money**2).sum(), (money * before).sum())
    return moments(len(money), sums, (before.sum(), (before**2).sum()))


def test_moments_from_sums_are_those_of_the_customers() -> None:
    _, before, money = customers(np.random.default_rng(0))
    told, whole = arm(money, before), Moments.of(np.stack([money, before], axis=1))
    np.testing.assert_allclose(told.mean, whole.mean)
    np.testing.assert_allclose(told.covariance, whole.covariance, rtol=1e-9)


def test_the_planted_increment_is_in_95_of_100_intervals() -> None:
    inside = 0
    for seed in range(RUNS):
        treated, before, money = customers(np.random.default_rng(seed))
        found = compared(*(arm(money[side], before[side]) for side in (~treated, treated)))
        inside += found["lower"] <= MORE * treated.sum() <= found["upper"]
    low, high = stats.binom.interval(0.99, RUNS, 0.95)
    assert low <= inside <= high


def test_cells_that_add_up_have_increments_that_do_also_less_the_past() -> None:
    rng = np.random.default_rng(1)
    treated, before, money = customers(rng)
    cell = rng.integers(0, 5, CUSTOMERS)
    sides = (~treated, treated)
    whole = compared(*(arm(money[side], before[side]) for side in sides))
    parts = [compared(*(arm(np.where(cell == at, money, 0)[side], before[side]) for side in sides)) for at in range(5)]
    assert sum(part["incremental"] for part in parts) == pytest.approx(whole["incremental"], rel=1e-9)


def test_the_own_past_makes_the_interval_shorter_and_moves_nothing_on_average() -> None:
    shorter, moved = [], []
    for seed in range(60):
        treated, before, money = customers(np.random.default_rng(seed))
        plain = compared(*(Moments.of(money[side][:, None]) for side in (~treated, treated)))
        own = compared(*(arm(money[side], before[side]) for side in (~treated, treated)))
        shorter.append((own["upper"] - own["lower"]) < (plain["upper"] - plain["lower"]))
        moved.append(own["incremental"] - plain["incremental"])
    assert np.mean(shorter) > 0.9
    assert abs(np.mean(moved)) < 4 * np.std(moved) / np.sqrt(60)


def test_without_a_past_it_is_students_test_with_one_variance() -> None:
    treated, _, money = customers(np.random.default_rng(2))
    found = compared(*(Moments.of(money[side][:, None]) for side in (~treated, treated)))
    test = stats.ttest_ind(money[treated], money[~treated])
    interval = test.confidence_interval()
    scale = treated.sum()
    assert found["p_value"] == pytest.approx(test.pvalue)
    assert (found["lower"], found["upper"]) == (
        pytest.approx(scale * interval.low),
        pytest.approx(scale * interval.high),
    )


def test_p_values_are_adjusted_among_the_cells_of_a_breakdown() -> None:
    given = [0.001, 0.04, 0.9, None]
    rows = [{"orders": {"p_value": value}, "revenue": {"p_value": None}, "margin": None} for value in given]
    discovered(rows)
    adjusted = [row["orders"]["p_adjusted"] for row in rows]
    assert adjusted[:3] == pytest.approx(list(stats.false_discovery_control([0.001, 0.04, 0.9])))
    assert adjusted[3] is None


def test_a_period_has_the_workspaces_days_and_months() -> None:
    found = Period.of(date(2025, 12, 31), date(2026, 2, 1), ZoneInfo("America/New_York"))
    assert found.months == ("2025-12", "2026-01", "2026-02")
    assert [str(one) for one in (found.start, *found.edges, found.until)] == [
        "2025-12-31 05:00:00", "2026-01-01 05:00:00", "2026-02-01 05:00:00", "2026-02-02 05:00:00",
    ]  # fmt: skip
