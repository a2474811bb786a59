"""What is learned by implicit answers like implicit: six tastes, 60 customers, each likes every sixth item."""

import numpy as np
import pytest
from implicit.nearest_neighbours import BM25Recommender

from features.interactions import Interactions
from training.recommenders.base import ItemFilter
from training.recommenders.bm25 import Bm25
from training.recommenders.bpr import Bpr

ITEMS = np.array([f"item-{item:02d}" for item in range(36)])


def shop(customers, seed):
    """Customer n has most items of the taste n % 6, few others."""
    rng = np.random.default_rng(seed)
    liked = np.arange(customers)[:, None] % 6 == np.arange(36)[None, :] % 6
    customer, item = np.nonzero(rng.random((customers, 36)) < np.where(liked, 0.7, 0.08))
    weight = rng.uniform(0.5, 3, len(item)).astype(np.float32)
    never = np.full(len(item), "NaT", "M8[us]")
    names = np.array([f"c{row:02d}" for row in range(customers)])
    return Interactions(names, ITEMS, customer.astype(np.int32), item.astype(np.int32), weight, weight, never, never)


LOG = shop(60, 0)


@pytest.mark.filterwarnings("ignore:Method expects CSR")
def test_bm25_scores_like_the_recommender_of_implicit():
    theirs = BM25Recommender(K=20, num_threads=1)
    theirs.fit(LOG.matrix, show_progress=False)
    ours = Bm25(threads=1).fit(LOG).scores(LOG, None)
    for row in range(len(LOG.customers)):
        ids, scores = theirs.recommend(row, LOG.matrix[row], N=36, filter_already_liked_items=False)
        np.testing.assert_allclose(ours[row, ids], scores, rtol=1e-5)
        assert set(ids) == set(np.flatnonzero(ours[row]))


def test_bpr_ranks_the_taste_of_customers_that_it_never_saw():
    strangers = shop(60, 1)
    owned = [ITEMS[history.item] for history in strangers.each()]
    answer = (
        Bpr(factors=16, learning_rate=0.1)
        .fit(LOG)
        .recommend_for(strangers, 1, items=ItemFilter(excluded_each=owned), as_of=None)
    )
    left = [any(int(item[-2:]) % 6 == row % 6 for item in set(ITEMS) - set(ids)) for row, ids in enumerate(owned)]
    right = np.array([int(ids[0][-2:]) % 6 == row % 6 for row, ids in enumerate(answer.items)])
    assert right[left].mean() > 0.6  # by chance one in six


def test_bpr_learns_other_factors_from_another_seed_and_the_same_from_the_same():
    first, again, other = (Bpr(factors=8, iterations=5, seed=seed).fit(LOG).factors_ for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
