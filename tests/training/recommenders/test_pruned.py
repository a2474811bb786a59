"""The pruned search answers what a look at every item answers, to the bit where the arithmetic is exact."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from training.recommenders import factor_scorer, pruned
from training.recommenders.base import Allowed, ItemFilter
from training.recommenders.factor_scorer import FactorScorer
from training.recommenders.pruned import NormOrder
from training.recommenders.topk import best, best_each, filled


@st.composite
def questions(draw):
    """Factors of small whole numbers, so that sums are exact and ties are many; a filter of each kind, or none."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count, width, rows = draw(st.integers(1, 300)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    items = np.array([f"{number:04d}" for number in range(count)])
    steep = np.ceil(40 / (1 + np.arange(count))) if draw(st.booleans()) else np.ones(count)
    factors = (rng.integers(-2, 3, (count, width)) * rng.permutation(steep)[:, None]).astype(np.float32)
    customers = rng.integers(-2, 3, (rows, width)).astype(np.float32)
    popularity = (rng.integers(0, 5, count) / 4).astype(np.float32)

    def some():
        return np.append(rng.choice(items, rng.integers(0, count + 1), replace=False), "stranger")

    def maybe(value):
        return value if draw(st.booleans()) else None

    each = maybe([some() for _ in range(rows)])
    only = ItemFilter(maybe(some()), maybe(some()), each, maybe([some() for _ in range(rows)]))
    return items, factors, customers, popularity, only, draw(st.integers(1, 320))


def brute(items, scores, allowed, popularity, k):
    return [best(items, row, fine, k) for row, fine in zip(filled(scores, popularity), allowed, strict=True)]


def same(ours, theirs):
    for (ids, scores), (other_ids, other_scores) in zip(ours, theirs, strict=True):
        assert ids.tolist() == other_ids.tolist()
        assert scores.tolist() == other_scores.tolist()


@settings(deadline=None, max_examples=150)
@given(questions(), st.integers(1, 50))
def test_pruning_equals_brute_force_under_every_filter(question, first):
    items, factors, customers, popularity, only, k = question
    order = NormOrder(factors, popularity)
    ours = []
    for row, customer in enumerate(customers):
        among, without = only.places(items, row)
        before, pruned.FIRST = pruned.FIRST, first
        places, scores = order.best(customer, k, among=among, without=without)
        pruned.FIRST = before
        ours.append((items[places], scores))
    same(ours, brute(items, customers @ factors.T, only.mask(items, len(customers)), popularity, k))


@settings(deadline=None, max_examples=150)
@given(questions())
def test_rows_ranked_at_once_equal_rows_ranked_one_by_one(question):
    items, factors, customers, popularity, only, k = question
    scores, allowed = customers @ factors.T, only.mask(items, len(customers))
    expected = brute(items, scores, allowed, popularity, k)
    refused = Allowed(only, items, len(customers)).refused
    same(best_each(items, scores, refused, popularity, k), expected)


class Told(FactorScorer):
    """Customers' factors are what it is asked with."""

    name = "told"

    def customers(self, histories):
        return histories


@settings(deadline=None, max_examples=150)
@given(questions(), st.integers(1, 300), st.sampled_from([0, 2, 8]))
def test_rows_compared_with_the_longest_items_first_equal_brute_force(question, head, spared):
    items, factors, customers, popularity, only, k = question
    model = Told()
    model.items_, model.factors_, model.popularity_ = items, factors, popularity
    before, factor_scorer.HEAD, factor_scorer.SPARED = (factor_scorer.HEAD, factor_scorer.SPARED), head, spared
    ours = model._by_head(k, (customers, Allowed(only, items, len(customers))))
    factor_scorer.HEAD, factor_scorer.SPARED = before
    same(ours, brute(items, customers @ factors.T, only.mask(items, len(customers)), popularity, k))


def test_of_the_shorter_items_only_those_that_may_enter_are_looked_at(monkeypatch):
    """For one customer in fifty an item behind the longest ones is better than those that are left."""
    monkeypatch.setattr(factor_scorer, "HEAD", 2000)
    factors = np.full((20_000, 4), 0.01, dtype=np.float32)
    factors[:3000] *= 100
    model = Told()
    model.items_, model.factors_ = np.array([f"{number:05}" for number in range(len(factors))]), factors
    model.popularity_ = np.ones(len(factors), np.float32)
    factors[:1990] *= 2
    _ = model._head
    model.factors_ = np.full_like(factors, np.nan)  # all items at once are not looked at
    each = [np.empty(0, np.str_)] * 49 + [model.items_[:1990]]
    block = np.ones((50, 4), np.float32), Allowed(ItemFilter(excluded_each=each), model.items_, 50)
    found = model._by_head(20, block)
    assert [ids.tolist() for ids, _ in found[:49]] == [model.items_[:20].tolist()] * 49
    assert found[49][0].tolist() == model.items_[1990:2010].tolist()


@settings(deadline=None, max_examples=150)
@given(questions())
def test_a_mask_and_its_places_say_the_same(question):
    items, _, customers, _, only, _ = question
    for row, allowed in enumerate(only.mask(items, len(customers))):
        among, without = only.places(items, row)
        left = np.setdiff1d(np.arange(len(items)) if among is None else among, without)
        assert left.tolist() == np.flatnonzero(allowed).tolist()


def test_items_too_short_to_enter_are_not_looked_at():
    """One long item, and so many short ones that a look at all of them would show."""
    factors = np.full((200_000, 4), 0.01, dtype=np.float32)
    factors[:2000] *= 100
    order = NormOrder(factors, np.ones(len(factors), np.float32))
    order._factors[5000:] = np.nan  # a score from there would be no number
    places, scores = order.best(np.ones(4, np.float32), 10, among=None, without=np.array([3]))
    assert places.tolist() == [0, 1, 2, 4, 5, 6, 7, 8, 9, 10]
    assert np.isfinite(scores).all()
