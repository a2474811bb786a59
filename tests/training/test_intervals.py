"""Bootstrap intervals cover about as often as they say, and no verdict is drawn from noise or from too little."""

import numpy as np
import pytest
from scipy import stats

from training.intervals import (
    Influenced,
    Interval,
    mean_interval,
    mean_intervals,
    paired_difference,
    resampled,
    verdict,
)


def test_every_resample_draws_as_many_rows_as_there_are():
    drawn = np.concatenate(list(resampled(50, 70, np.random.default_rng(0))))
    assert drawn.shape == (70, 50)
    assert (drawn.sum(axis=1) == 50).all()


def test_the_interval_agrees_with_the_normal_one():
    values = np.random.default_rng(1).normal(3, 2, 2000)
    found = mean_interval(values, np.random.default_rng(0), draws=4000)
    low, high = stats.norm.interval(0.95, values.mean(), stats.sem(values))
    assert found.estimate == pytest.approx(values.mean())
    assert (found.lower, found.upper) == pytest.approx((low, high), abs=0.01)


def test_two_models_that_are_alike_are_told_apart_about_one_time_in_twenty():
    rng = np.random.default_rng(2)
    said = [
        verdict(paired_difference(rng.random(100), rng.random(100), rng, draws=400)) != "not distinguishable"
        for _ in range(300)
    ]
    assert 0.01 < np.mean(said) < 0.10


def test_a_pair_takes_the_customers_own_level_out():
    rng = np.random.default_rng(3)
    level = rng.normal(0, 10, 500)
    assert verdict(paired_difference(level + 0.1 + rng.normal(0, 0.2, 500), level, rng)) == "better"


def test_too_few_rows_say_nothing():
    found = mean_interval(np.ones(5), np.random.default_rng(0))
    assert (found.lower, found.upper) == (float("-inf"), float("inf"))
    assert verdict(found) == "not distinguishable"


@pytest.mark.parametrize(
    ("lower", "upper", "word"), [(0.1, 0.2, "better"), (-0.2, -0.1, "worse"), (-0.1, 0.1, "not distinguishable")]
)
def test_the_verdict_follows_the_interval(lower, upper, word):
    assert verdict(Interval(0.0, lower, upper)) == word


def test_many_columns_at_once_have_the_intervals_of_each_alone():
    values = np.random.default_rng(4).normal(size=(300, 3))
    values[::2, 1], values[5:, 2] = np.nan, np.nan
    whole, half, few = mean_intervals(values, np.random.default_rng(0), draws=4000)
    alone = mean_interval(values[:, 0], np.random.default_rng(0), draws=4000)
    assert (whole.estimate, whole.lower, whole.upper) == pytest.approx((alone.estimate, alone.lower, alone.upper))
    some = mean_interval(values[1::2, 1], np.random.default_rng(0), draws=4000)
    assert half.estimate == pytest.approx(some.estimate)
    assert (half.lower, half.upper) == pytest.approx((some.lower, some.upper), abs=0.02)
    assert (few.lower, few.upper) == (-np.inf, np.inf)
    assert np.isnan(mean_intervals(np.full((3, 1), np.nan), np.random.default_rng(0))[0].estimate)


def influenced(values):
    return Influenced(float(values.mean()), (values - values.mean()) / len(values))


def test_the_interval_by_influence_of_a_mean_is_students():
    values = np.random.default_rng(3).normal(3, 2, 30)
    found = influenced(values).interval
    expected = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    assert (found.lower, found.upper) == pytest.approx(expected)
    doubled = influenced(values).times(2).interval
    assert (doubled.lower, doubled.upper) == pytest.approx((2 * found.lower, 2 * found.upper))


def test_a_difference_by_influence_is_the_paired_test():
    ours, theirs = np.random.default_rng(4).normal(size=(2, 40))
    found = (influenced(ours) - influenced(theirs)).interval
    expected = stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert (found.lower, found.upper) == pytest.approx((expected.low, expected.high))


def test_an_influence_that_is_not_known_leaves_no_bounds():
    for influence in (np.zeros(1), np.array([0.1, np.nan])):
        found = Influenced(1.0, influence).interval
        assert (found.lower, found.upper) == (-np.inf, np.inf)
        assert verdict(found) == "not distinguishable"
