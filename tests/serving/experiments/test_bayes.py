"""Chances and losses: by hand, against scipy's integrals and seeded draws; what looks do is told as it is."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate
from scipy.stats import beta, norm

from serving.experiments.bayes import (
    Counts,
    Summary,
    best,
    drawn_means,
    drawn_shares,
    lift_of_means,
    lift_of_shares,
    weak_prior,
)

counts = st.integers(1, 200).flatmap(lambda n: st.builds(Counts, st.just(n), st.integers(0, n)))


def test_a_lift_of_means_by_hand():
    """4 above the control with a variance of 4, where beforehand the lift had 12: 3 of the 4 remain, error sqrt(3)."""
    found = lift_of_means(Summary(100, 10, 2), Summary(100, 14, 2), math.sqrt(12))
    assert found.lift.estimate == pytest.approx(3)
    assert found.lift.upper == pytest.approx(3 + 1.959964 * math.sqrt(3))
    assert found.beats == pytest.approx(norm.cdf(math.sqrt(3)))
    density = norm(3, math.sqrt(3)).pdf
    assert found.loss == pytest.approx(integrate.quad(lambda lift: -lift * density(lift), -20, 0)[0])
    assert found.loss_of_control == pytest.approx(integrate.quad(lambda lift: lift * density(lift), 0, 30)[0])


def test_many_customers_outweigh_the_prior_and_few_do_not():
    control = Summary(100, 10, 1e-4)
    assert lift_of_means(control, Summary(100, 11, 1e-4), weak_prior(control)).lift.estimate == pytest.approx(
        1, rel=1e-4
    )
    assert lift_of_means(control, Summary(2, 40, 400.0), weak_prior(control)).lift.estimate < 30 / 10


def test_a_control_without_a_mean_has_a_flat_prior():
    control = Summary(100, 0.0, 1.0)
    assert lift_of_means(control, Summary(100, 2.0, 1.0), weak_prior(control)).lift.estimate == 2


def test_one_customer_each_by_hand():
    """The control's did not convert, the treated one did: densities 2 (1 - q) and 2 p, so p > q in 5 of 6 cases."""
    found = lift_of_shares(Counts(1, 0), Counts(1, 1))
    assert found.beats == pytest.approx(5 / 6)
    assert found.lift.estimate == pytest.approx(1 / 3)
    assert found.loss == pytest.approx(1 / 30)  # of (q - p) 4 p (1 - q) over q > p


@settings(max_examples=50, deadline=None)
@given(counts, counts)
def test_shares_agree_with_numeric_integrals(control, treated):
    found = lift_of_shares(control, treated)
    before, after = beta(*control.beta), beta(*treated.beta)
    grid = np.linspace(0, 1, 40_001)
    assert found.beats == pytest.approx(np.trapezoid(after.pdf(grid) * before.cdf(grid), grid), abs=1e-4)
    below = np.trapezoid(before.cdf(grid) * after.sf(grid), grid)  # E max(p - q, 0) = integral of P(q < x < p)
    assert found.loss_of_control == pytest.approx(below, abs=1e-4)
    assert found.loss_of_control - found.loss == pytest.approx(found.lift.estimate, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(counts, counts)
def test_who_is_swapped_has_the_rest_of_the_chance(control, treated):
    found, turned = lift_of_shares(control, treated), lift_of_shares(treated, control)
    assert found.beats + turned.beats == pytest.approx(1)
    assert found.loss == pytest.approx(turned.loss_of_control, abs=1e-9)
    assert found.lift.lower == pytest.approx(-turned.lift.upper, abs=1e-4)


@pytest.mark.parametrize("treated", [Counts(400, 30), Counts(100_000, 5_200)])
def test_the_interval_of_a_share_holds_95_percent_of_the_draws(treated):
    control = Counts(2000, 100)
    found = lift_of_shares(control, treated).lift
    drawn = drawn_shares([control, treated], np.random.default_rng(0))
    lifts = drawn[:, 1] - drawn[:, 0]
    assert (lifts < found.lower).mean() == pytest.approx(0.025, abs=0.002)
    assert (lifts > found.upper).mean() == pytest.approx(0.025, abs=0.002)


def test_shares_of_many_customers_are_those_of_the_normal_approximation():
    sizes, converted = 1_000_000, (50_000, 50_500)
    found = lift_of_shares(*(Counts(sizes, each) for each in converted))
    means = [each / sizes for each in converted]
    normal = lift_of_means(*(Summary(sizes, mean, mean * (1 - mean) / sizes) for mean in means), math.inf)
    assert found.beats == pytest.approx(normal.beats, abs=1e-4)
    assert found.lift.lower == pytest.approx(normal.lift.lower, rel=1e-2, abs=1e-7)
    assert found.loss == pytest.approx(normal.loss, rel=0.02)


def test_draws_of_two_arms_agree_with_the_closed_form():
    arms = [Summary(100, 10, 2), Summary(100, 12, 3)]
    prior = weak_prior(arms[0])
    found, one = best(drawn_means(arms, prior, np.random.default_rng(0))), lift_of_means(*arms, prior)
    assert found[1].chance == pytest.approx(one.beats, abs=0.005)
    assert (found[0].loss, found[1].loss) == pytest.approx((one.loss_of_control, one.loss), rel=0.03)


def test_of_three_alike_arms_each_is_best_a_third_of_the_time_and_a_seed_gives_one_answer():
    arms = [Counts(1000, 50)] * 3
    found = best(drawn_shares(arms, np.random.default_rng(1)))
    assert [arm.chance for arm in found] == pytest.approx([1 / 3] * 3, abs=0.005)
    assert found == best(drawn_shares(arms, np.random.default_rng(1)))


def test_an_arm_far_above_is_best_and_loses_nothing():
    arms = [Summary(100, 10, 0.1), Summary(100, 10.1, 0.1), Summary(100, 15, 0.1)]
    found = best(drawn_means(arms, weak_prior(arms[0]), np.random.default_rng(2)))
    assert (found[2].chance, found[2].loss) == (1, 0)
    assert found[0].loss == pytest.approx(5, rel=0.05)


def test_looking_at_will_is_wrong_in_a_fifth_of_the_tests_as_the_docstring_says():
    """14 days of two arms that do not differ; the variance of a day's lift is 1, its prior's 25."""

    def beats(total, days):
        arms = (Summary(9, mean, 0.5 / days) for mean in (10.0, 10 + total / days))
        return lift_of_means(*arms, 5.0).beats

    sums = np.random.default_rng(3).normal(size=(1000, 14)).cumsum(axis=1)
    looks = np.array([[beats(total, days) for days, total in enumerate(each, 1)] for each in sums])
    assert 0.17 < ((looks > 0.975) | (looks < 0.025)).any(axis=1).mean() < 0.24


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: Summary(1, 2.0, 1.0), "needs two customers"),
        (lambda: Summary(10, 2.0, 0.0), "a variance > 0"),
        (lambda: Summary(10, math.nan, 1.0), "a mean"),
        (lambda: Counts(10, 11), "from 0 to the customers"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(wrong, said):
    with pytest.raises(ValueError, match=said):
        wrong()
