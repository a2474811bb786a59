"""Ranking metrics, computed by hand."""

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from training.metrics import ranking


def ids(*names):
    return np.array(names, dtype=np.str_)


def test_the_metrics_of_two_customers_by_hand():
    """ann bought a, z and was shown a, b, c; bob bought c, d, e, f and was shown d, x."""
    relevant = [ids("a", "z"), ids("c", "d", "e", "f")]
    found = ranking.hits([ids("a", "b", "c"), ids("d", "x")], relevant, 3)
    sizes = ranking.sizes(relevant)
    assert found.tolist() == [[True, False, False], [True, False, False]]
    assert ranking.recall(found, sizes).tolist() == [0.5, 0.25]
    two, three = 1 + 1 / np.log2(3), 1 + 1 / np.log2(3) + 0.5
    assert ranking.ndcg(found, sizes) == pytest.approx([1 / two, 1 / three])
    assert ranking.hit_rate(found).tolist() == [1, 1]
    assert ranking.coverage([ids("a", "b"), ids("b")], 8) == 0.25


def test_ndcg_equals_scikit_learns():
    rng = np.random.default_rng(0)
    items = np.array([f"{n:02d}" for n in range(40)])
    for _ in range(20):
        order, bought = rng.permutation(items), rng.choice(items, 7, replace=False)
        ours = ranking.ndcg(ranking.hits([order[:10]], [bought], 10), ranking.sizes([bought]))
        theirs = ndcg_score([np.isin(order, bought)], [np.arange(40, 0, -1)], k=10)
        assert ours[0] == pytest.approx(theirs)


def test_concentration_is_0_for_equal_shares_and_largest_where_one_item_has_everything():
    even = ranking.exposure([ids("a", "b"), ids("c", "d")], 4)
    assert ranking.gini(even) == pytest.approx(0)
    one = ranking.exposure([ids("a"), ids("a")], 200)
    assert one.tolist() == [0] * 199 + [2]
    assert ranking.gini(one) == pytest.approx(1 - 1 / 200)
    assert ranking.top_share(one) == 1


def test_the_gini_coefficient_is_half_the_mean_difference_over_the_mean():
    counts = np.sort(np.random.default_rng(0).poisson(3, 50))
    expected = np.abs(counts[:, None] - counts[None, :]).mean() / (2 * counts.mean())
    assert ranking.gini(counts) == pytest.approx(expected)


def test_the_top_share_is_that_of_the_most_answered_hundredth():
    counts = ranking.exposure([ids("a", "b", "c"), ids("a", "c"), ids("a")], 200)
    assert ranking.top_share(counts) == pytest.approx(5 / 6)  # a and c: two of 200
    assert np.isnan(ranking.top_share(ranking.exposure([], 3)))
