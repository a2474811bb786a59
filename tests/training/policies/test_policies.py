"""Every policy answers what it chose and with which probability; over many draws the two agree."""

import numpy as np
import pytest
from scipy.stats import chisquare

from features.decisions import NOTHING, Option
from training.policies import POLICIES
from training.policies.base import Policy
from training.policies.budgeted import Budgeted
from training.policies.epsilon import Epsilon
from training.policies.greedy import Greedy
from training.policies.thompson import Thompson

OPTIONS = (
    Option(NOTHING, 0.0),
    Option("mail", 0.4),
    Option("coupon", 1.5),
    Option("not here", 9.0, eligible=False),
    Option("unknown effect", None),
)
SPREADS = {"mail": 0.3, "coupon": 1.5, "not here": 1.0}
CONTRACT = [
    Greedy(),
    Epsilon(0.0),
    Epsilon(0.3),
    Epsilon(1.0),
    Budgeted({"coupon": 1.2}),
    Thompson(SPREADS),
    Thompson({}),
]
NAMES = ["greedy", "epsilon 0", "epsilon 0.3", "epsilon 1", "budgeted", "thompson", "thompson that is sure"]


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


@pytest.mark.parametrize("policy", [Epsilon(0.3), Thompson(SPREADS)], ids=["epsilon", "thompson"])
def test_frequencies_match_the_probabilities_over_10000_draws(policy: Policy) -> None:
    rng = np.random.default_rng(1)
    choices = [policy.choose(OPTIONS, rng) for _ in range(10_000)]
    shares = {key: share for key, share in choices[0].probabilities.items() if share}
    drawn = [sum(choice.key == key for choice in choices) for key in shares]
    assert chisquare(drawn, [share * 10_000 for share in shares.values()]).pvalue > 0.001
    assert min(drawn) > 0


def test_epsilon_draws_its_share_evenly() -> None:
    shares = Epsilon(0.3).choose(OPTIONS, np.random.default_rng(0)).probabilities
    assert [shares[key] for key in (NOTHING, "mail", "coupon", "unknown effect")] == pytest.approx(
        [0.075, 0.075, 0.775, 0.075]
    )


def test_budgeted_chooses_by_profit_less_charge() -> None:
    for charge, chosen in ((1.0, "coupon"), (1.2, "mail"), (9.0, "mail")):
        assert Budgeted({"coupon": charge}).choose(OPTIONS, np.random.default_rng(0)).key == chosen
    assert Budgeted({"coupon": 9.0, "mail": 0.5}).choose(OPTIONS, np.random.default_rng(0)).key == NOTHING


def test_greedy_breaks_ties_by_key() -> None:
    options = (Option("b", 1.0), Option("a", 1.0), Option(NOTHING, 0.0))
    assert Greedy().choose(options, np.random.default_rng(0)).key == "a"


def test_without_an_option_to_score_the_error_is_one_line() -> None:
    with pytest.raises(ValueError, match="eligible"):
        Greedy().choose((Option("a", 1.0, eligible=False),), np.random.default_rng(0))


def test_an_exploration_above_one_is_refused() -> None:
    with pytest.raises(ValueError, match=r"exploration == 1\.5"):
        Epsilon(1.5)
