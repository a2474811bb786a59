"""Profit against the share given an offer: by hand, and where the best share is known."""

import numpy as np
import pytest

from training.metrics.policy_value import Logged
from training.metrics.profit_curve import SHARES, at_best, profit


def log(rows: int) -> Logged:
    return Logged(np.zeros(rows, np.intp), np.ones(rows), np.zeros(rows), np.arange(rows), np.ones(rows))


def drawn(seed: int, rows: int = 400, signal: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Customers bring `signal` times what is predicted, evenly from -1 to 1, and noise: half of them pay."""
    rng = np.random.default_rng(seed)
    predicted = rng.uniform(-1, 1, rows)
    return predicted, signal * predicted + rng.normal(size=rows)


def test_the_curve_by_hand() -> None:
    """Four kinds of ten customers, ranked b, a, d, c: 4 each, then 1, then -2, then -3."""
    predicted, earned = np.repeat([2.0, 3.0, 0.0, 1.0], 10), np.repeat([1.0, 4.0, -3.0, -2.0], 10)
    found = profit(predicted, earned, log(40), np.random.default_rng(0))
    assert np.interp([0, 0.25, 0.5, 0.75, 1], SHARES, found.value) == pytest.approx([0, 1, 1.25, 0.75, 0], abs=0.03)
    assert found.best == pytest.approx(0.5)


def test_customers_who_are_predicted_alike_enter_together() -> None:
    found = profit(np.zeros(200), drawn(0, 200)[1], log(200), np.random.default_rng(0))
    assert found.value == pytest.approx(SHARES * found.value[-1])


def test_a_customer_with_two_rows_counts_once() -> None:
    predicted, earned = drawn(0)
    twice = Logged(
        *(np.tile(one, 2) for one in (np.zeros(400, np.intp), np.ones(400), np.zeros(400), np.arange(400))),
        np.ones(800),
    )
    once = profit(predicted, earned, log(400), np.random.default_rng(0))
    both = profit(np.tile(predicted, 2), np.tile(earned, 2), twice, np.random.default_rng(0))
    assert both.upper - both.lower == pytest.approx(once.upper - once.lower, rel=1e-9)


def test_the_best_share_lies_where_it_is_said_to() -> None:
    """A share of 50 % is best; its interval is to hold it 95 times in 100, here at least 33 of 40."""
    found = [profit(*drawn(seed), log(400), np.random.default_rng(seed)).between for seed in range(40)]
    assert sum(low <= 0.5 <= high for low, high in found) >= 33
    assert np.mean([high - low for low, high in found]) < 0.8  # and says something


def test_the_top_of_the_curve_is_flattered_and_what_the_best_share_earns_is_not() -> None:
    """Nothing is to be earned: the tops are above 0, what is measured in other folds is not."""
    tops, honest = [], []
    for seed in range(100):
        predicted, earned = drawn(seed, signal=0.0)
        if seed < 20:
            tops.append(profit(predicted, earned, log(400), np.random.default_rng(seed)).value.max())
        honest.append(at_best(predicted, earned, log(400), np.arange(400) % 5)[0].value)
    error = np.std(honest) / np.sqrt(len(honest))
    assert np.mean(tops) > 5 * error
    assert abs(np.mean(honest)) < 3 * error


def test_what_the_best_share_earns_is_held_against_everybody() -> None:
    """Half of them bring 0.5 on average: 0.25 of all, and everybody brings nothing."""
    predicted, earned = drawn(1, rows=20_000)
    chosen, more = at_best(predicted, earned, log(20_000), np.arange(20_000) % 5)
    assert chosen.interval.lower < 0.25 < chosen.interval.upper
    assert more.value == pytest.approx(chosen.value - earned.mean())
    assert more.interval.lower > 0.2
