"""Qini's interval without a bootstrap, against a bootstrap, against numeric derivatives and by coverage."""

import time

import numpy as np
import pytest

from training.metrics.qini_error import qini_estimate
from training.metrics.uplift import Ranking, Trial, area, qini


def drawn(seed: int, rows: int, *, ties: bool = False, effect: float = 0.1) -> tuple[np.ndarray, Trial]:
    rng = np.random.default_rng(seed)
    prediction = rng.integers(0, 20, rows).astype(float) if ties else rng.normal(size=rows)
    treated = rng.random(rows) < 0.4
    outcome = (rng.random(rows) < 0.2 + effect * treated * (prediction > np.median(prediction))).astype(float)
    return prediction, Trial(outcome, treated, rng.uniform(0.5, 2, rows))


@pytest.mark.parametrize("ties", [False, True])
def test_the_point_is_exact_and_the_influence_is_the_derivative_by_each_rows_weight(ties: bool) -> None:
    prediction, trial = drawn(0, 60, ties=ties)
    found, ranking, step = qini_estimate(Ranking(prediction, trial), np.arange(60)), Ranking(prediction, trial), 1e-6
    assert found.value == qini(prediction, trial)
    for row in range(60):
        up, down = (np.ones(60) + sign * step * (np.arange(60) == row) for sign in (1, -1))
        derivative = (area(ranking.curve(up)) - area(ranking.curve(down))) / (2 * step)
        assert found.influence[row] == pytest.approx(derivative, rel=1e-4, abs=1e-5)
    assert abs(found.influence.sum()) < 1e-9  # twice the weight of everybody changes nothing


@pytest.mark.parametrize("ties", [False, True])
def test_the_interval_is_as_wide_as_the_bootstraps(ties: bool) -> None:
    """1,500 customers with two rows each: 600 draws of customers give the width within some 6 %."""
    prediction, trial = drawn(1, 3000, ties=ties)
    unit, rng, ranking = np.arange(3000) // 2, np.random.default_rng(0), Ranking(prediction, trial)
    draws = [area(ranking.curve(rng.poisson(1.0, 1500)[unit].astype(float))) for _ in range(600)]
    low, high = np.quantile(draws, [0.025, 0.975])
    found = qini_estimate(ranking, unit).interval
    assert found.upper - found.lower == pytest.approx(high - low, rel=0.12)
    assert found.lower == pytest.approx(low, abs=0.12 * (high - low))


def test_two_rankings_are_paired_and_equal_ones_never_differ() -> None:
    prediction, trial = drawn(2, 2000)
    unit = np.arange(2000)
    ours, near = (qini_estimate(Ranking(one, trial), unit) for one in (prediction, prediction + 1e-3 * trial.outcome))
    assert (ours - ours).interval.lower == (ours - ours).interval.upper == 0
    assert (ours - near).standard_error < 0.3 * ours.standard_error
    flat = qini_estimate(Ranking(np.ones(2000), trial), unit)
    assert abs(flat.value) < 1e-9
    assert flat.standard_error < 1e-9


def test_the_interval_holds_the_truth_where_nothing_is_to_be_found() -> None:
    held = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        trial = Trial((rng.random(400) < 0.3).astype(float), rng.random(400) < 0.5, np.ones(400))
        found = qini_estimate(Ranking(rng.normal(size=400), trial), np.arange(400)).interval
        held += found.lower <= 0 <= found.upper
    assert 270 <= held <= 296  # 285 expected; outside has a chance of 1 in 500 on either side


def test_a_million_rows_take_seconds() -> None:
    prediction, trial = drawn(3, 1_000_000)
    started = time.process_time()
    assert qini_estimate(Ranking(prediction, trial), np.arange(1_000_000)).interval.lower > 0
    assert time.process_time() - started < 6  # under 1 where nothing else runs
