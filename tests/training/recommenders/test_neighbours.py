"""Baskets of nobody teach Neighbours: ann buys tea, bob coffee; tea and milk were sold together to nobody."""

from dataclasses import replace

import numpy as np

from features.interactions import Interactions
from training.recommenders.base import ItemFilter
from training.recommenders.neighbours import Neighbours
from training.recommenders.popularity import Popularity

ITEMS = np.array(["coffee", "milk", "tea"])


def log(customers, baskets=None):
    """Interactions of rows of items, each bought once."""
    rows = [(row, int(np.searchsorted(ITEMS, item))) for row, items in enumerate(customers.values()) for item in items]
    customer, item = np.array(sorted(rows), dtype=np.int32).T
    ones, never = np.ones(len(item), np.float32), np.full(len(item), "NaT", "M8[us]")
    return Interactions(np.array(list(customers)), ITEMS, customer, item, ones, ones, never, never, baskets=baskets)


PEOPLE = {"ann": ["tea"], "bob": ["coffee"]}
TAUGHT = log(PEOPLE, log({"0": ["tea", "milk"]}))


def test_what_nobody_bought_together_is_similar_and_is_not_without_them():
    taught, alone = (Neighbours().fit(one).similar("tea", 1, items=ItemFilter()) for one in (TAUGHT, log(PEOPLE)))
    assert (taught.items[0].tolist(), taught.scores[0][0] > 0) == (["milk"], True)
    assert alone.scores[0][0] <= 0


def test_a_basket_that_counts_nothing_teaches_no_similarity():
    similar = [Neighbours(basket=0.0).fit(TAUGHT).similarity_, Neighbours().fit(log(PEOPLE)).similarity_]
    np.testing.assert_array_equal(similar[0].toarray(), similar[1].toarray())


def test_a_basket_counts_as_that_many_customers():
    """Two whole customers more, or four baskets that count half."""
    people = log(PEOPLE | {"cyd": ["tea", "milk"], "dan": ["tea", "milk"]})
    halves = log(PEOPLE, log({str(number): ["tea", "milk"] for number in range(4)}))
    similar = [Neighbours().fit(people).similarity_, Neighbours(basket=0.5).fit(halves).similarity_]
    np.testing.assert_allclose(similar[0].toarray(), similar[1].toarray(), rtol=1e-6)


def test_somebody_is_answered_from_their_own_history_only():
    answer = Neighbours().fit(TAUGHT).recommend_for(TAUGHT, 3, items=ItemFilter(), as_of=None)
    assert [ids[0] for ids in answer.items] == ["tea", "coffee"]
    assert answer.items[0][1] == "milk"


def test_what_is_sold_to_nobody_is_popular_too():
    often = replace(TAUGHT, baskets=log({"0": ["milk"], "1": ["milk"]}))
    popular = Popularity().fit(often).recommend_for(log(PEOPLE), 1, items=ItemFilter(), as_of=None)
    assert [ids.tolist() for ids in popular.items] == [["milk"], ["milk"]]
