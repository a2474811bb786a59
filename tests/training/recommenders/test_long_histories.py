"""Resellers and robots: one customer who had everything beside many who had a little."""

import time

import numpy as np
import pytest

from features.interactions import PAIR, Interactions
from training.recommenders import RECOMMENDERS
from training.recommenders.base import ItemFilter
from training.recommenders.gram import LONGEST, shortened

EVERYTHING = 100_000
SMALL = {"als": {"factors": 8, "iterations": 2}, "bpr": {"factors": 8}, "ease": {"densest": 500}}
SMALL |= {name: {"members": {"neighbours": {}, "repeat": {}}} for name in ("ranker", "blend")}
SECONDS = 60  # of CPU; the whole square of that history took minutes and 40 GB


def log(long, seed=0):
    """A robot with `long` items, heavier the later; 300 people with 20 each."""
    rng = np.random.default_rng(seed)
    customer = np.repeat(np.arange(301), [long] + [20] * 300).astype(np.int32)
    people = [np.sort(rng.choice(long, 20, replace=False)) for _ in range(300)]
    item = np.concatenate([np.arange(long), *people]).astype(np.int32)
    weight = np.where(customer == 0, 1 + item / long, 1).astype(np.float32)
    names = np.array([f"c{number:03d}" for number in range(301)]), np.array([f"i{n:06d}" for n in range(long)])
    seen = np.full(len(item), "2024-01-01", "M8[us]")
    return Interactions(*names, customer, item, weight, np.ones_like(weight), seen, seen)


@pytest.mark.parametrize("name", RECOMMENDERS)
def test_a_customer_with_100_000_items_does_not_stop_a_fit_nor_an_answer(name):
    everybody, started = log(EVERYTHING), time.process_time()
    model = RECOMMENDERS[name](**SMALL.get(name, {})).fit(everybody)
    answer = model.recommend_for(everybody.between(0, 2), 10, items=ItemFilter(), as_of=None)
    assert [len(ids) for ids in answer.items] == [10, 10]
    assert time.process_time() - started < SECONDS


def test_the_heaviest_items_of_a_long_history_count_and_short_ones_all():
    kept = shortened(log(LONGEST + 100))
    assert kept.item[kept.customer == 0].tolist() == list(range(100, LONGEST + 100))
    assert np.bincount(kept.customer).tolist() == [LONGEST] + [20] * 300


def test_the_order_of_the_pairs_does_not_decide_what_counts():
    whole = log(LONGEST + 100)
    turned = Interactions(whole.customers, whole.items, *(getattr(whole, name)[::-1].copy() for name in PAIR))
    one, two = (kept.customer.astype(np.int64) * 10_000 + kept.item for kept in map(shortened, (whole, turned)))
    assert np.sort(one).tolist() == np.sort(two).tolist()


def test_a_log_of_short_histories_is_as_it_was():
    whole = log(LONGEST)
    assert shortened(whole) is whole
