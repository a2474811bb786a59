"""Trees that learn to rank 200 customers' candidates: of 100 each, the one with the highest `signal` is bought."""

import numpy as np
import pytest

from training.recommenders.trees import EACH_BOUGHT, Trees

CUSTOMERS, EACH = 200, 100


@pytest.fixture(scope="module")
def lesson():
    rng = np.random.default_rng(4)
    table = rng.random((CUSTOMERS * EACH, 3)).astype(np.float32)
    customer = np.repeat(np.arange(CUSTOMERS), EACH)
    best = table[:, 1].reshape(CUSTOMERS, EACH).argmax(axis=1)
    bought = (np.arange(EACH) == best[:, None]).ravel()
    return table, bought, customer


def grown(lesson, seed=0):
    return Trees.grow(*lesson, ["noise", "signal", "more-noise"], 40, seed, 0)


def test_what_was_bought_is_put_above_what_was_not(lesson):
    table, bought, _ = lesson
    scores = grown(lesson).predict(table)
    place = (scores.reshape(CUSTOMERS, EACH) > scores[bought][:, None]).sum(axis=1)
    assert np.median(place) <= 2
    assert scores.min() > 0


def test_of_many_candidates_that_were_not_bought_a_sample_teaches(lesson):
    for model in grown(lesson).models:
        rows = model.dump_model()["tree_info"][0]["tree_structure"]["internal_count"]
        assert rows <= 1.1 * (EACH_BOUGHT + 1) * CUSTOMERS < len(lesson[0])


def test_of_few_candidates_all_teach(lesson):
    few = np.arange(CUSTOMERS * EACH) % EACH < EACH_BOUGHT
    few |= lesson[1]
    rows = [
        model.dump_model()["tree_info"][0]["tree_structure"]["internal_count"]
        for model in grown([part[few] for part in lesson]).models
    ]
    assert min(rows) >= 0.65 * few.sum()  # 0.7 are bagged


def test_the_seed_decides_what_is_learned(lesson):
    table = lesson[0]
    assert np.array_equal(grown(lesson).predict(table), grown(lesson).predict(table))
    assert not np.array_equal(grown(lesson).predict(table), grown(lesson, seed=1).predict(table))


def test_too_few_candidates_grow_no_tree(lesson):
    assert not Trees.grow(*(part[:EACH] for part in lesson), ["noise", "signal", "more-noise"], 40, 0, 0).models


def test_loaded_trees_answer_the_same(lesson, tmp_path):
    trees = grown(lesson)
    trees.save(tmp_path / "trees")
    assert np.array_equal(Trees.load(tmp_path / "trees").predict(lesson[0]), trees.predict(lesson[0]))
