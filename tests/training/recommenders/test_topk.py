"""The best k are exact: equal to a full sort, ties by id."""

import numpy as np
import pytest

from training.recommenders.topk import best, filled

ITEMS = np.array(["a", "b", "c", "d", "e", "f"])


def test_ties_go_to_the_smaller_id_also_at_the_edge():
    scores = np.array([1, 2, 1, 1, 2, 0], dtype=np.float32)
    ids, values = best(ITEMS, scores, np.ones(6, dtype=bool), 3)
    assert ids.tolist() == ["b", "e", "a"]
    assert values.tolist() == [2, 2, 1]


@pytest.mark.parametrize("seed", range(20))
def test_the_best_equal_a_full_sort(seed):
    rng = np.random.default_rng(seed)
    items = np.array([f"{n:03d}" for n in range(200)])
    scores = rng.integers(0, 12, 200).astype(np.float32)
    allowed = rng.random(200) < 0.5
    k = int(rng.integers(1, 150))
    expected = sorted((-score, item) for score, item, fine in zip(scores, items, allowed, strict=True) if fine)[:k]
    assert best(items, scores, allowed, k)[0].tolist() == [item for _, item in expected]


def test_nothing_allowed_gives_nothing():
    ids, scores = best(ITEMS, np.ones(6, dtype=np.float32), np.zeros(6, dtype=bool), 3)
    assert len(ids) == len(scores) == 0


def test_what_has_no_score_is_filled_by_popularity_after_what_has():
    popularity = np.array([0.2, 1.0, 0.5], dtype=np.float32)
    scores = filled(np.array([[0.001, 0, -3]], dtype=np.float32), popularity)
    assert np.argsort(-scores[0]).tolist() == [0, 1, 2]
