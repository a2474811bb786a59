"""The price of knowing, by hand."""

import numpy as np
import pytest

from training.intervals import Influenced
from training.metrics.policy_value import Logged
from training.metrics.price_of_knowing import Noise, exploration, holdout

GAIN = Influenced(2.0, np.tile([0.1, -0.1], 50))
NOISE = Noise(ours=9.0, silence=4.0, rows=1000)


def test_a_holdout_costs_its_share_of_the_gain_and_buys_the_interval_of_two_means() -> None:
    price = holdout(0.1, GAIN, NOISE)
    assert price.cost.value == pytest.approx(0.2)
    assert price.cost.standard_error == pytest.approx(0.1 * GAIN.standard_error)
    assert price.width == pytest.approx(2 * 1.959964 * np.sqrt(9 / 900 + 4 / 100))


def test_without_a_holdout_or_exploration_nothing_is_known_and_nothing_paid() -> None:
    for price in (holdout(0.0, GAIN, NOISE), exploration(0.0, GAIN, NOISE, offered=0.5, arms=3)):
        assert (price.cost.value, price.width) == (0, np.inf)


def test_more_of_either_costs_more_and_tells_more() -> None:
    shares = (0.01, 0.02, 0.05, 0.1)
    for prices in (
        [holdout(share, GAIN, NOISE) for share in shares],
        [exploration(share, GAIN, NOISE, offered=0.7, arms=3) for share in shares],
    ):
        assert np.all(np.diff([one.cost.value for one in prices]) > 0)
        assert np.all(np.diff([one.width for one in prices]) < 0)


def test_exploration_among_two_arms_where_all_get_an_offer_is_a_holdout_of_half_its_share() -> None:
    explored, kept = exploration(0.2, GAIN, NOISE, offered=1.0, arms=2), holdout(0.1, GAIN, NOISE)
    assert explored.width == pytest.approx(kept.width)


def test_the_noise_is_that_of_each_arms_money_and_of_customers_with_several_rows() -> None:
    rng = np.random.default_rng(0)
    arm = rng.integers(0, 2, 4000)
    money = np.where(arm == 1, 3, 2) * rng.normal(size=4000)
    logged = Logged(arm, np.full(4000, 0.5), money, np.arange(4000), np.ones(4000))
    ours, silence = (np.tile([1.0 - one, one], (4000, 1)) for one in (1, 0))
    noise = Noise.of(logged, ours, silence)
    assert (noise.ours, noise.silence) == pytest.approx((9, 4), rel=0.1)
    twice = Logged(*(np.tile(one, 2) for one in (arm, np.full(4000, 0.5), money, np.arange(4000), np.ones(4000))))
    doubled = Noise.of(twice, np.tile(ours, (2, 1)), np.tile(silence, (2, 1)))
    assert (doubled.rows, doubled.ours) == pytest.approx((8000, 2 * noise.ours), rel=0.01)
