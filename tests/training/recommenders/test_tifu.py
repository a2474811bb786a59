"""TIFU-KNN on baskets drawn by hand: a customer's baskets from left to right are from old to new."""

import numpy as np
import pytest

from features.interactions import Interactions
from features.lines import Lines
from training.recommenders.base import ItemFilter
from training.recommenders.tifu import Tifu

ITEMS = np.array(["coffee", "milk", "tea"])
EVERYTHING = ItemFilter()


def log(**baskets):
    """ann="tea|tea milk" bought tea, then tea and milk."""
    rows = [
        (row, np.searchsorted(ITEMS, item), basket)
        for row, name in enumerate(sorted(baskets))
        for basket, held in enumerate(baskets[name].split("|"))
        for item in held.split()
    ]
    customer, item, basket = np.array(rows).T
    never = np.full(len(rows), "NaT", "M8[us]")
    pairs, count = np.unique(np.stack([customer, item]), axis=1, return_counts=True)
    bought, none = count.astype(np.float32), np.full(len(count), "NaT", "M8[us]")
    ids = (pairs[0].astype(np.int32), pairs[1].astype(np.int32))
    lines = Lines.of(customer, item, basket, never)
    return Interactions(np.array(sorted(baskets)), ITEMS, *ids, bought, bought, none, none, lines=lines)


def test_what_was_bought_lately_comes_before_what_was_bought_long_ago():
    history = log(ann="coffee|milk|tea")
    answer = Tifu().fit(history).recommend_for(history, 3, items=EVERYTHING, as_of=None)
    assert answer.items[0].tolist() == ["tea", "milk", "coffee"]


def test_groups_decay_across_and_baskets_decay_within():
    """Four baskets in two groups: by hand (newest group: coffee, tea; within it tea is the newest)."""
    own = Tifu(groups=2, within=0.5, across=0.1).own(log(ann="milk|milk|coffee|tea")).toarray()[0]
    np.testing.assert_allclose(own, [0.5 / 4, 0.1 * (0.5 + 1) / 4, 1 / 4], rtol=1e-6)


def test_equally_old_baskets_of_any_number_make_a_mean():
    """Without decay the vector is the share of baskets in each group, so that one item in all of them gives 1."""
    for baskets in range(1, 20):
        own = Tifu(within=1.0, across=1.0).own(log(ann="|".join(["tea"] * baskets))).toarray()[0]
        assert own[2] == pytest.approx(1.0)


def test_customers_alike_bring_what_a_customer_never_bought():
    known = log(ann="tea", bob="tea milk", cat="coffee", dan="coffee")
    alone = Tifu(k=2).fit(known)
    beside = alone.beside(known)
    ann = known.rows(["ann"])
    assert alone.scores(ann, None)[0, 1] == 0
    assert beside.scores(ann, None)[0, 1] == pytest.approx(0.3 / 2)
    assert beside.scores(ann, None)[0, 0] == 0


def test_no_customer_is_in_the_files_and_the_loaded_model_answers_like_the_one_without_neighbours(tmp_path):
    known = log(ann="tea", bob="tea milk")
    model = Tifu().fit(known)
    model.beside(known).save(tmp_path)
    with np.load(tmp_path / "arrays.npz") as arrays:
        assert {len(value) for value in arrays.values()} == {len(ITEMS)}
    loaded = Tifu.load(tmp_path)
    assert loaded.neighbours is None
    np.testing.assert_array_equal(loaded.scores(known, None), model.scores(known, None))


def test_giving_neighbours_changes_no_other_model():
    known = log(ann="tea", bob="tea milk")
    model = Tifu().fit(known)
    model.beside(known)
    assert model.neighbours is None
    assert Tifu.neighbours is None
