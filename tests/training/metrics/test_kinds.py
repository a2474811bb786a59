"""The four kinds: bounds by hand, and against customers whose kind is known because both outcomes were drawn."""

from dataclasses import replace

import numpy as np
import pytest

from training.metrics.kinds import shares
from training.metrics.policy_value import Logged

KINDS = ("persuadable", "sure thing", "lost cause", "do-not-disturb")


def told(logged: Logged, helps: np.ndarray, likely: np.ndarray) -> dict[str, tuple[float, float, float]]:
    found = shares(logged, 1, helps=helps, likely=likely)
    return {one.kind: (one.least.value, one.most.value, one.one_way.value) for one in found}


def test_the_bounds_by_hand() -> None:
    """Three customers with m0, m1 of .2, .5 and .6, .9 and .5, .3; models that are right leave the scores alone."""
    expected = np.array([[0.2, 0.5], [0.6, 0.9], [0.5, 0.3]])
    logged = Logged(np.zeros(3, np.intp), np.ones(3), expected[:, 0], np.arange(3), np.ones(3), expected)
    found = told(logged, expected[:, 1] > expected[:, 0], expected.sum(axis=1) > 1)
    assert found["persuadable"] == pytest.approx((0.6 / 3, (0.5 + 0.4 + 0.3) / 3, 0.6 / 3))
    assert found["sure thing"] == pytest.approx((0.5 / 3, (0.2 + 0.6 + 0.3) / 3, 1.1 / 3))
    assert found["lost cause"] == pytest.approx((0.5 / 3, (0.5 + 0.1 + 0.5) / 3, 1.1 / 3))
    assert found["do-not-disturb"] == pytest.approx((0.2 / 3, (0.2 + 0.1 + 0.5) / 3, 0.2 / 3))


def people(rows: int, seed: int = 0) -> tuple[Logged, np.ndarray, dict[str, float]]:
    """The offer wins over some where x > 0 and puts off some where not; also the true shares of the kinds."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    without = rng.random(rows) < 0.3
    flips = rng.random(rows) < 0.3
    with_ = np.where(x > 0, without | flips, without & ~flips)
    arm = (rng.random(rows) < 0.4).astype(np.intp)
    chance = np.column_stack([np.full(rows, 0.3), np.where(x > 0, 0.51, 0.21)])
    outcome = np.where(arm == 1, with_, without).astype(float)
    logged = Logged(arm, np.where(arm == 1, 0.4, 0.6), outcome, np.arange(rows), np.ones(rows), chance)
    truth = (with_ & ~without, with_ & without, ~with_ & ~without, ~with_ & without)
    return logged, x > 0, {kind: float(one.mean()) for kind, one in zip(KINDS, truth, strict=True)}


def test_the_true_share_lies_between_the_bounds_and_is_met_where_alike_customers_move_one_way() -> None:
    logged, helps, truth = people(40_000)
    found = shares(logged, 1, helps=helps, likely=np.zeros(40_000, dtype=bool))
    assert [one.kind for one in found] == list(KINDS)
    for one in found:
        assert one.interval[0] < truth[one.kind] < one.interval[1]
        assert one.least.value < one.most.value
        assert one.one_way.interval.lower < truth[one.kind] < one.one_way.interval.upper
    assert sum(one.one_way.value for one in found) == pytest.approx(1)


def test_a_wrongly_told_side_makes_the_bounds_wider_and_not_false() -> None:
    logged, helps, truth = people(40_000)
    never = np.zeros(len(helps), dtype=bool)
    right = told(logged, helps, never)
    for wrong in (told(logged, np.ones(len(helps), dtype=bool), never), told(logged, helps, ~never)):
        for kind, (least, most, _) in wrong.items():
            assert least <= right[kind][0] + 0.01
            assert most >= right[kind][1] - 0.01
            assert least - 0.01 < truth[kind] < most + 0.01


def test_wrong_outcome_models_do_not_move_the_shares() -> None:
    logged, helps, _ = people(40_000)
    blind = replace(logged, expected=np.full((40_000, 2), 0.5))
    likely = np.zeros(40_000, dtype=bool)
    for one, other in zip(*(shares(log, 1, helps=helps, likely=likely) for log in (logged, blind)), strict=True):
        assert one.least.value == pytest.approx(other.least.value, abs=4 * other.least.standard_error)
        assert one.most.value == pytest.approx(other.most.value, abs=4 * other.most.standard_error)
