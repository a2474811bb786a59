"""Every policy answers what it chose and with which probability; over many draws the two agree."""

import numpy as np
import pytest
from scipy.stats import chisquare

from features.decisions import NOTHING, Option
from training.policies import POLICIES
from training.policies.base import Policy
from training.policies.epsilon import Epsilon
from training.policies.greedy import Greedy

OPTIONS = (
    Option(NOTHING, 0.0),
    Option("mail", 0.4),
    Option("coupon", 1.5),
    Option("not here", 9.0, eligible=False),
    Option("unknown effect", None),
)
CONTRACT = [Greedy(), Epsilon(0.0), Epsilon(0.3), Epsilon(1.0)]
NAMES = ["greedy", "epsilon 0", "epsilon 0.3", "epsilon 1"]


def test_every_policy_of_the_registry_is_held_to_the_contract() -> None:
    assert {type(policy) for policy in CONTRACT} == set(POLICIES.values())


@pytest.mark.parametrize("policy", CONTRACT, ids=NAMES)
def test_probabilities_cover_every_option_and_sum_to_one(policy: Policy) -> None:
    choice = policy.choose(OPTIONS, np.random.default_rng(0))
    assert set(choice.probabilities) == {option.key for option in OPTIONS}
    assert sum(choice.probabilities.values()) == pytest.approx(1)
    assert choice.probability > 0
    assert choice.probabilities["not here"] == 0


@pytest.mark.parametrize("policy", CONTRACT, ids=NAMES)
def test_the_same_generator_gives_the_same_choice(policy: Policy) -> None:
    first, again = (policy.choose(OPTIONS, np.random.default_rng(7)) for _ in range(2))
    assert first == again


@pytest.mark.parametrize("policy", CONTRACT, ids=NAMES)
def test_the_order_of_the_options_changes_nothing(policy: Policy) -> None:
    turned = policy.choose(OPTIONS[::-1], np.random.default_rng(3))
    assert turned == policy.choose(OPTIONS, np.random.default_rng(3))


@pytest.mark.parametrize("policy", CONTRACT, ids=NAMES)
def test_a_dearer_offer_is_never_likelier(policy: Policy) -> None:
    dearer = tuple(Option(o.key, o.score - 2.0) if o.key == "coupon" and o.score else o for o in OPTIONS)
    before = policy.choose(OPTIONS, np.random.default_rng(0)).probabilities["coupon"]
    assert policy.choose(dearer, np.random.default_rng(0)).probabilities["coupon"] <= before


def test_frequencies_match_the_probabilities_over_10000_draws() -> None:
    policy, rng = Epsilon(0.3), np.random.default_rng(1)
    choices = [policy.choose(OPTIONS, rng) for _ in range(10_000)]
    keys = [NOTHING, "mail", "coupon", "unknown effect"]
    drawn = [sum(choice.key == key for choice in choices) for key in keys]
    expected = [choices[0].probabilities[key] * 10_000 for key in keys]
    assert expected == pytest.approx([750, 750, 7750, 750])
    assert chisquare(drawn, expected).pvalue > 0.001
    assert drawn[0] > 0


def test_greedy_breaks_ties_by_key() -> None:
    options = (Option("b", 1.0), Option("a", 1.0), Option(NOTHING, 0.0))
    assert Greedy().choose(options, np.random.default_rng(0)).key == "a"


def test_without_an_option_to_score_the_error_is_one_line() -> None:
    with pytest.raises(ValueError, match="eligible"):
        Greedy().choose((Option("a", 1.0, eligible=False),), np.random.default_rng(0))


def test_an_exploration_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"exploration == 1\.5"):
        Epsilon(1.5)
