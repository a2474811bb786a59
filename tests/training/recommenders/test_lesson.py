"""Lessons: what is held out of a log that does not know its earlier selves."""

from dataclasses import replace

import numpy as np

from features.interactions import Interactions
from training.recommenders.lesson import HELD_OUT, lessons

CUSTOMERS, SIDE = 400, 40  # everybody bought of two aisles that have nothing to do with each other


def log(seed=0):
    rng = np.random.default_rng(seed)
    item = np.array([np.r_[rng.permutation(SIDE)[:20], SIDE + rng.permutation(SIDE)[:20]] for _ in range(CUSTOMERS)])
    item[: CUSTOMERS // 4, 20:] = item[: CUSTOMERS // 4, :20]  # a quarter knows the first aisle only
    item[CUSTOMERS // 4 : CUSTOMERS // 2, :20] = item[CUSTOMERS // 4 : CUSTOMERS // 2, 20:]
    customer = np.repeat(np.arange(CUSTOMERS), item.shape[1])
    pairs = np.unique(np.stack([customer, item.ravel()]), axis=1)
    ones, never = np.ones(pairs.shape[1], np.float32), np.full(pairs.shape[1], "NaT", "M8[us]")
    ids = (np.char.zfill(np.arange(size).astype(np.str_), 6) for size in (CUSTOMERS, 2 * SIDE))
    return Interactions(*ids, *pairs.astype(np.int32), ones, ones, never, never)


def of_one_aisle(lesson):
    """Of pairs held out of customers who know both aisles, how often two of one customer are of one aisle."""
    both = lesson.customer >= CUSTOMERS // 2
    held = np.zeros((CUSTOMERS, 2))
    np.add.at(held, (lesson.customer[both], lesson.item[both] // SIDE), 1)
    total = held.sum(axis=1)
    return (held * (held - 1)).sum() / (total * (total - 1)).sum()


def test_three_shares_are_held_out_and_none_is_the_same():
    found = lessons(log(), seed=0)
    assert len(found) == 3
    for lesson in found:
        share = len(lesson.customer) / (len(lesson.customer) + len(lesson.past.customer))
        assert abs(share - HELD_OUT) < 0.03
    assert not np.array_equal(found[0].keys, found[1].keys)


def test_the_last_share_goes_together():
    drawn, _, together = lessons(log(), seed=0)
    assert of_one_aisle(together) > of_one_aisle(drawn) + 0.05


def test_every_customer_keeps_something():
    for lesson in lessons(log(), seed=0):
        assert len(np.unique(lesson.past.customer)) == CUSTOMERS


def test_neither_names_nor_places_of_customers_decide():
    given = log()
    turned = np.argsort(np.random.default_rng(1).permutation(CUSTOMERS))[given.customer].astype(np.int32)
    order = np.lexsort((given.item, turned))
    other = replace(given, customer=turned[order], item=given.item[order])
    names = np.empty(CUSTOMERS, np.int64)
    names[turned] = given.customer
    for one, two in zip(lessons(given, 0), lessons(other, 0), strict=True):
        again = np.sort(names[two.customer] * 2 * SIDE + two.item)
        assert np.array_equal(again, one.keys)
