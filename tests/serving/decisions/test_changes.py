"""What would change this: at the effect that is named, and not before it, another option is the best."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.decisions import NOTHING
from features.offers import Offer
from serving.decisions.changes import Flip, best_of, nearest, what_would_change
from serving.decisions.weighed import Weighed

NAN = float("nan")


def weighed(key: str, effect: float, **offer: float) -> Weighed:
    return Weighed(Offer(key=key, name=key, **{"value": 20.0, **offer}), effect, NAN, baseline=0.1, ceiling=1.0)


def moved(options: list[Weighed], flip: Flip, effect: float) -> list[Weighed]:
    return [replace(one, effect=effect) if one.offer.key == flip.offer else one for one in options]


def test_silence_says_from_which_effect_an_offer_wins() -> None:
    found = what_would_change([weighed("percent-10", 0.012, cost=0.35)])
    assert found is not None
    assert found["words"] == (
        "silent: effect 0.012 x 20 = 0.24 is below cost 0.35; from an effect of 0.01751 percent-10 wins"
    )
    assert (found["best"], found["then"]) == (NOTHING, "percent-10")


def test_an_offer_says_below_which_effect_nothing_wins() -> None:
    found = what_would_change([weighed("mail", 0.03, cost=0.35)])
    assert found is not None
    assert found["words"].startswith("mail: effect 0.03 x 20 = 0.6 is above cost 0.35; with an effect of 0.0174")
    assert found["words"].endswith("or less nothing wins")


def test_an_offer_says_what_makes_another_one_better() -> None:
    found = what_would_change([weighed("mail", 0.030, cost=0.1), weighed("coupon", 0.029, cost=0.1)])
    assert found is not None
    assert found["words"] == "mail: worth 0.5, coupon 0.48; from an effect of 0.030001 coupon wins"


def test_the_redemption_of_those_who_would_have_bought_anyway_counts() -> None:
    found = nearest([weighed("coupon", 0.0, redemption_cost=5.0)])
    assert found is not None
    assert found.at == pytest.approx(0.5 / 15, rel=0.01)  # e x 20 = 5 x (0.1 + e)


def test_where_no_effect_changes_anything_there_is_nothing_to_say() -> None:
    assert what_would_change([]) is None
    assert what_would_change([weighed("mail", 0.01, value=0.0, cost=1.0)]) is None
    assert what_would_change([weighed("mail", 0.01, value=1.0, cost=5.0)]) is None  # a conversion is not above 1


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 100_000))
def test_at_the_stated_effect_the_best_option_flips_and_halfway_it_does_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    options = [
        Weighed(
            Offer(
                key=f"o{number}",
                name="-",
                value=float(rng.uniform(-5, 30)),
                cost=float(rng.uniform(0, 1)),
                redemption_cost=float(rng.choice([0.0, rng.uniform(0, 8)])),
            ),
            float(rng.normal(0.02, 0.05)),
            NAN,
            baseline=float(rng.uniform(0, 0.3)),
            ceiling=float(rng.choice([1.0, np.inf])),
            money=float(rng.choice([0.0, rng.uniform(0, 1)])),
            contact=float(rng.choice([0.0, rng.uniform(0, 0.5)])),
        )
        for number in range(rng.integers(1, 5))
    ]
    flip = nearest(options)
    if flip is None:
        return
    assert best_of(options) == flip.best
    assert best_of(moved(options, flip, flip.at)) == flip.then != flip.best
    assert best_of(moved(options, flip, (flip.at + flip.effect) / 2)) == flip.best
