"""Promotions: who sees them, where they stand, and the probability of what was shown. The base is a to e."""

from collections import Counter
from itertools import product

import pytest

from features.placements import Pinned
from serving.decisions.chain import Found
from serving.decisions.pinned import promotion, shown
from training.recommenders.base import Reason

BASE = Found(tuple("abcdefgh"), (1.0,) * 8, (Reason("because"),) * 8, ("personal",) * 8)


def pinned(key: str, *items: str, at: tuple[int, ...] = (1,), share: float = 1.0) -> Pinned:
    return Pinned(key=key, items=items, positions=at, share=share)


def answer(unit: str, *told: Pinned, k: int = 4) -> tuple[str, float]:
    found, chance = shown(BASE, [promotion(one, one.items, unit) for one in told], k)
    assert len(found.items) == len(set(found.items)) == k
    return "".join(found.items), chance


def test_items_stand_at_their_positions_and_the_rest_around_them() -> None:
    assert answer("c", pinned("x", "y", at=(2,))) == ("aybc", 1.0)
    assert answer("c", pinned("x", "y", "z", at=(4, 1))) == ("yabz", 1.0)
    assert answer("c", pinned("x", "c", at=(1,))) == ("cabd", 1.0)  # in the base too: it stands there once
    assert answer("c", pinned("x", "y", at=(9,)))[0] == "abcd"  # beyond k
    assert answer("c", pinned("x", "y"), pinned("z", "z"))[0] == "yzab"  # the place is taken: the next one
    assert answer("c", pinned("x", "y", "y", at=(1, 2)))[0] == "yabc"


def test_what_was_put_there_says_so() -> None:
    found, _ = shown(BASE, [promotion(pinned("x", "y", at=(2,)), ("y",), "c")], 3)
    assert (found.steps, dict(found.pinned)) == (("personal", "pinned", "personal"), {"y": "x"})
    assert (found.reasons[1].kind, found.scores[1]) == ("pinned", None)


def test_a_share_of_the_customers_sees_it_the_same_ones_for_ever_and_when_it_grows() -> None:
    customers = [f"c{number}" for number in range(4000)]
    few, more = (
        {one for one in customers if answer(one, pinned("x", "y", share=share))[0][0] == "y"} for share in (0.2, 0.5)
    )
    assert len(few) / 4000 == pytest.approx(0.2, abs=0.025)
    assert len(more) / 4000 == pytest.approx(0.5, abs=0.03)
    assert few < more


def test_the_probability_is_how_often_just_this_is_shown() -> None:
    told = (pinned("x", "y", share=0.3), pinned("z", "z", at=(3,), share=0.6), pinned("v", "a", share=0.5))
    seen = {}
    counts = Counter(answer(f"c{number}", *told) for number in range(4000))
    for (items, chance), count in counts.items():
        assert count / 4000 == pytest.approx(chance, abs=0.03)
        assert seen.setdefault(items, chance) == chance  # one answer, one probability
    assert sum(seen.values()) == pytest.approx(1.0)


def test_a_promotion_that_changes_nothing_does_not_make_the_answer_less_likely() -> None:
    for unit, share in product(("c1", "c2", "c3"), (0.1, 0.9)):
        assert answer(unit, pinned("x", "a", share=share)) == ("abcd", pytest.approx(1.0))
        assert answer(unit, pinned("x", "y", at=(50,), share=share)) == ("abcd", pytest.approx(1.0))
