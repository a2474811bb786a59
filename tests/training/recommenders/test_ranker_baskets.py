"""A ranker that was given purchases one by one: a favourite is in every basket, what was bought in pairs is past."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest

from features.interactions import Interactions
from features.lines import Lines
from training.recommenders.base import ItemFilter
from training.recommenders.ranker import Ranker

AS_OF = datetime.fromisoformat("2024-06-01")
ITEMS = np.array([f"item-{number:02d}" for number in range(12)])
CUSTOMERS = 300


def log(baskets, *, seed=0):
    """Everybody buys one favourite in every basket, and in the first four two of each of three others: 8 of each."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(CUSTOMERS):
        liked = customer % len(ITEMS)
        others = rng.choice(np.delete(np.arange(len(ITEMS)), liked), 3, replace=False)
        for basket in range(baskets):
            bought = [liked, *(others if basket < 4 else [])]
            rows += [(customer, item, basket, 1 + (item != liked)) for item in bought]
    customer, item, basket, units = (np.array(part) for part in zip(*rows, strict=True))
    never = np.full(len(rows), "NaT", "M8[us]")
    lines = Lines.of(customer, item, basket, never)
    key, pair = np.unique(customer * len(ITEMS) + item, return_inverse=True)
    counts = np.bincount(pair, units).astype(np.float32)
    pairs = (key // len(ITEMS)).astype(np.int32), (key % len(ITEMS)).astype(np.int32)
    names = np.array([f"c{number:03d}" for number in range(CUSTOMERS)])
    none = np.full(len(key), "NaT", "M8[us]")
    return Interactions(names, ITEMS, *pairs, counts, counts, none, none, AS_OF, lines=lines)


@pytest.fixture(scope="module")
def model():
    members = {"popularity": {}, "repeat": {}}
    return Ranker(members=members, threads=1, rounds=30).fit(replace(log(8), earlier=log(6)))


def first(model, histories):
    answer = model.recommend_for(histories, 3, items=ItemFilter(), as_of=None)
    return [ids[0] for ids in answer.items]


def test_what_is_in_the_newest_baskets_comes_before_what_was_bought_as_often(model):
    """No time is known and the counts are even: only the baskets tell the favourite."""
    liked = [ITEMS[customer % len(ITEMS)] for customer in range(CUSTOMERS)]
    assert np.mean(np.array(first(model, log(8))) == liked) > 0.95
    assert np.mean(np.array(first(model, replace(log(8), lines=None))) == liked) < 0.5


def test_a_history_of_pairs_only_or_of_nothing_is_answered_too(model):
    pairs = replace(log(8).between(0, 20), lines=None)
    answer = model.recommend_for(pairs, 12, items=ItemFilter(), as_of=AS_OF)
    assert [sorted(ids) for ids in answer.items] == [ITEMS.tolist()] * 20
    nobody = log(8).rows(["unknown"])
    assert len(model.recommend_for(nobody, 12, items=ItemFilter(), as_of=AS_OF).items[0]) == 12


def test_it_is_saved_and_loaded_with_what_it_knows_of_baskets(model, tmp_path):
    model.save(tmp_path)
    histories = log(8).between(0, 50)
    one, two = (m.recommend_for(histories, 5, items=ItemFilter(), as_of=None) for m in (model, Ranker.load(tmp_path)))
    assert [ids.tolist() for ids in one.items] == [ids.tolist() for ids in two.items]
    assert all(np.array_equal(a, b) for a, b in zip(one.scores, two.scores, strict=True))


def test_without_lines_a_ranker_learns_from_pairs_as_before(tmp_path):
    plain = Ranker(members={"popularity": {}, "repeat": {}}, threads=1, rounds=10)
    plain.fit(replace(log(8), lines=None, earlier=replace(log(6), lines=None)))
    plain.save(tmp_path)
    assert not list(tmp_path.rglob("baskets.npz"))
    assert not any(name.startswith("baskets.") for name in plain.trees_.models[0].feature_name())
