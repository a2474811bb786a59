"""Thompson: the probabilities it answers are those with which each option's draw is the highest."""

import numpy as np
import pytest
from scipy.stats import norm

from features.decisions import NOTHING, Option
from training.policies.thompson import Thompson, chances


def test_two_options_are_the_textbooks() -> None:
    found = chances(np.array([0.3, 0.0]), np.array([0.4, 0.3]))
    assert found[0] == pytest.approx(norm.cdf(0.3 / 0.5), abs=1e-12)


def test_an_offer_against_nothing_is_chosen_as_often_as_it_may_pay() -> None:
    found = chances(np.array([0.2, 0.0]), np.array([0.1, 0.0]))
    assert found == pytest.approx([norm.cdf(2), norm.cdf(-2)], abs=1e-12)


@pytest.mark.parametrize("seed", range(4))
def test_the_probabilities_are_the_frequencies_of_the_highest_draw(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mean, spread = rng.normal(0, 0.5, 6), rng.uniform(0.01, 1.0, 6)
    mean[0], spread[0] = 0.0, 0.0
    draws = mean + spread * rng.normal(size=(400_000, 6))
    seen = np.bincount(draws.argmax(axis=1), minlength=6) / len(draws)
    assert chances(mean, spread) == pytest.approx(seen, abs=0.004)


def test_a_narrow_option_beside_a_wide_one_is_seen() -> None:
    found = chances(np.array([1.0, 0.0]), np.array([1e-6, 100.0]))
    assert found[1] == pytest.approx(norm.sf(0.01), abs=1e-9)


def test_alike_options_share_alike_and_sure_ones_go_by_key() -> None:
    assert chances(np.zeros(4), np.ones(4)) == pytest.approx([0.25] * 4)
    assert chances(np.zeros(3), np.zeros(3)).tolist() == [1.0, 0.0, 0.0]


def test_a_standard_error_that_is_not_known_is_no_spread() -> None:
    options = (Option(NOTHING, 0.0), Option("mail", 0.1))
    choice = Thompson({"mail": float("nan")}).choose(options, np.random.default_rng(0))
    assert (choice.key, choice.probability) == ("mail", 1.0)
