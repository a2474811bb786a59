"""Policy values: by hand, against known truths in small worlds, and where the log says nothing."""

from dataclasses import replace

import numpy as np
import pytest

from training.metrics.policy_value import Logged, direct, doubly_robust, in_force, ips, overlap, snips, weights

ALWAYS = {arm: np.array([1.0 - arm, float(arm)]) for arm in (0, 1)}


def hand() -> tuple[Logged, np.ndarray]:
    """Four rows; the target gives arm 1 to the first two, and a coin to the others: weights 2, 0, 1, 2."""
    arm, probability = np.array([1, 0, 0, 1]), np.array([0.5, 0.5, 0.5, 0.25])
    expected = np.array([[1.0, 3.0], [1.0, 3.0], [2.0, 2.0], [0.0, 4.0]])
    logged = Logged(arm, probability, np.array([4.0, 1.0, 3.0, 6.0]), np.arange(4), np.ones(4), expected)
    return logged, np.array([[0.0, 1.0], [0.0, 1.0], [0.5, 0.5], [0.5, 0.5]])


def world(seed: int, rows: int = 400) -> tuple[Logged, np.ndarray, np.ndarray]:
    """A log with its true expected money, and the target "arm 1 where x > 0"."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=rows)
    chance = 1 / (1 + np.exp(-x))  # of arm 1
    arm = (rng.random(rows) < chance).astype(int)
    truth = np.column_stack([1 + x, 1 + 2 * x])
    money = truth[np.arange(rows), arm] + rng.normal(size=rows)
    given = np.where(arm == 1, chance, 1 - chance)
    target = np.column_stack([x <= 0, x > 0]).astype(float)
    return Logged(arm, given, money, np.arange(rows), np.ones(rows), truth), target, x


TRUTH = 1 + 0.5 * np.sqrt(2 / np.pi)  # of `world`: 1 + E[x] + E[max(x, 0)]


def test_every_estimate_by_hand() -> None:
    logged, target = hand()
    np.testing.assert_allclose(weights(logged, target), [2, 0, 1, 2])
    assert ips(logged, target).value == (2 * 4 + 0 + 3 + 2 * 6) / 4
    assert snips(logged, target).value == (2 * 4 + 0 + 3 + 2 * 6) / 5
    assert direct(logged, target).value == (3 + 3 + 2 + 2) / 4
    assert doubly_robust(logged, target).value == ((3 + 2 * 1) + 3 + (2 + 1 * 1) + (2 + 2 * 2)) / 4
    assert in_force(logged).value == 14 / 4
    assert overlap(logged, target).effective == 25 / 9
    assert (overlap(logged, target).largest, overlap(logged, target).share) == (2, 2 / 5)


def test_the_error_of_a_mean_is_that_of_the_textbook() -> None:
    logged, target, _ = world(0)
    score = weights(logged, target) * logged.money
    assert ips(logged, target).standard_error == pytest.approx(score.std(ddof=1) / np.sqrt(len(score)))


def test_people_count_as_repeated_rows() -> None:
    logged, target, _ = world(1, rows=100)
    times = np.random.default_rng(0).integers(1, 4, 100)
    again = np.repeat(np.arange(100), times)
    names = ("arm", "probability", "money", "customer", "expected")
    repeated = Logged(people=np.ones(len(again)), **{name: getattr(logged, name)[again] for name in names})
    weighted = replace(logged, people=times.astype(float))
    for estimate in (ips, snips, direct, doubly_robust):
        ours, theirs = estimate(weighted, target), estimate(repeated, target[again])
        assert (ours.value, ours.standard_error) == pytest.approx((theirs.value, theirs.standard_error))


@pytest.mark.parametrize("estimate", [ips, snips, doubly_robust])
def test_estimates_are_unbiased_and_their_intervals_hold_the_truth(estimate) -> None:
    """600 logs: the share held lies in the 99.9 % binomial interval of 95 %."""
    found = [estimate(*world(seed)[:2]) for seed in range(600)]
    values = np.array([one.value for one in found])
    held = np.mean([one.interval.lower <= TRUTH <= one.interval.upper for one in found])
    assert abs(values.mean() - TRUTH) < 3.5 * values.std() / np.sqrt(len(values))
    assert 0.918 <= held <= 0.979


@pytest.mark.parametrize("wrong", ["models", "probabilities"])
def test_doubly_robust_is_right_when_either_is_wrong_and_the_others_are_not(wrong: str) -> None:
    robust, other = [], []
    for seed in range(300):
        logged, target, _ = world(seed)
        if wrong == "models":
            bent = replace(logged, expected=np.tile([2.0, -1.0], (len(target), 1)))
            other.append(direct(bent, target).value)
        else:
            bent = replace(logged, probability=np.full(len(logged.arm), 0.5))
            other.append(ips(bent, target).value)
        robust.append(doubly_robust(bent, target).value)
    error = np.std(robust) / np.sqrt(len(robust))
    assert abs(np.mean(robust) - TRUTH) < 3.5 * error
    assert abs(np.mean(other) - TRUTH) > 0.1


@pytest.mark.parametrize("estimate", [ips, snips, direct, doubly_robust])
def test_rows_of_a_customer_belong_together(estimate) -> None:
    """Every row twice, as the same customer's, says no more; as another customer's it would seem to."""
    logged, target, _ = world(2)
    twice = np.tile(np.arange(len(target)), 2)
    names = ("arm", "probability", "money", "customer", "people", "expected")
    same = Logged(**{name: getattr(logged, name)[twice] for name in names})
    apart = replace(same, customer=np.arange(len(twice)))
    once = estimate(logged, target).standard_error
    assert estimate(same, target[twice]).standard_error == pytest.approx(once)
    assert estimate(apart, target[twice]).standard_error == pytest.approx(once / np.sqrt(2), rel=0.01)


def test_a_difference_is_paired() -> None:
    """Two targets that differ in one row of 50 differ by less than either is uncertain, and by 0 from themselves."""
    logged, target, x = world(3)
    other = np.where((x > 2)[:, None], ALWAYS[0], target)
    ours, theirs = doubly_robust(logged, target), doubly_robust(logged, other)
    assert (ours - theirs).standard_error < 0.5 * ours.standard_error
    assert (ours - ours).interval.lower == (ours - ours).interval.upper == 0


def test_a_shift_of_all_money_shifts_the_self_normalised_value_as_much() -> None:
    logged, target, _ = world(4)
    moved = replace(logged, money=logged.money + 1000)
    before, after = snips(logged, target), snips(moved, target)
    assert after.value - before.value == pytest.approx(1000)
    assert after.standard_error == pytest.approx(before.standard_error)


def test_what_the_log_could_not_give_is_outside() -> None:
    logged, target, x = world(5, rows=4000)
    assert overlap(logged, target).outside == 0
    never = np.flatnonzero(~((x > 0) & (logged.arm == 1)))  # arm 1 was never given where the target wants it
    names = ("arm", "money", "customer", "people", "expected")
    part = {name: getattr(logged, name)[never] for name in names}
    blind = Logged(probability=np.where(x[never] > 0, 1.0, logged.probability[never]), **part)
    wanted = float(target[never][:, 1].mean())
    assert overlap(blind, target[never]).outside == pytest.approx(wanted, abs=0.05)


def test_a_log_that_says_nothing_of_a_target_gives_no_bounds() -> None:
    logged, _, _ = world(6)
    kept = replace(logged, arm=np.zeros_like(logged.arm), probability=np.ones(len(logged.arm)))
    target = np.tile(ALWAYS[1], (len(logged.arm), 1))
    covered = overlap(kept, target)
    assert (covered.effective, covered.largest, covered.outside) == (0, 0, 1)
    assert np.isnan(snips(kept, target).value)
    for estimate in (snips, doubly_robust):
        assert estimate(kept, target).interval.lower == -np.inf
        assert (estimate(kept, target) - in_force(kept)).interval.upper == np.inf


def test_bad_input_is_one_line() -> None:
    logged, target = hand()
    with pytest.raises(ValueError, match=r"^probability == 0.0 in row 1, must be > 0 and <= 1 \(policy value\)$"):
        replace(logged, probability=np.array([0.5, 0.0, 0.5, 0.5]))
    with pytest.raises(ValueError, match="probability == nan in row 0"):
        replace(logged, probability=np.array([np.nan, 0.5, 0.5, 0.5]))
    with pytest.raises(ValueError, match="money == inf in row 3, must be a number"):
        replace(logged, money=np.array([1, 2, 3, np.inf]))
    with pytest.raises(ValueError, match="must be the same number everywhere and at least 1"):
        replace(logged, people=np.ones(3))
    with pytest.raises(ValueError, match=r"target has the shape \(4, 1\), must be 4 rows x 2 arms"):
        ips(logged, target[:, :1])
    with pytest.raises(ValueError, match=r"target == \[0.5, 0.6\] in row 2, must be >= 0 and sum to 1"):
        ips(logged, np.array([[0, 1], [0, 1], [0.5, 0.6], [1, 0]]))
    with pytest.raises(ValueError, match="expected == None, must be the money expected in each arm"):
        doubly_robust(replace(logged, expected=None), target)
