"""The Gram matrix used without being formed, and histories times a matrix, are what the plain products give."""

import numpy as np
import pytest
from scipy import sparse

from features.interactions import Interactions
from training.recommenders import gram as module
from training.recommenders.gram import added, gram, gram_times

RNG = np.random.default_rng(5)
ITEMS = np.arange(40).astype(np.str_)


def histories(rows):
    """Random histories; the second customer has none."""
    matrix = sparse.random(rows, 40, 0.3, "lil", dtype=np.float32, rng=RNG)
    matrix[1] = 0
    pairs = matrix.tocoo().tocsr().tocoo()
    never = np.full(pairs.nnz, "NaT", "M8[us]")
    names = np.arange(rows).astype(np.str_)
    return Interactions(names, np.sort(ITEMS), pairs.row, pairs.col, pairs.data, pairs.data, never, never)


@pytest.mark.parametrize("together", [1, 40, 1_000_000])
def test_what_is_added_is_the_product_however_much_is_added_at_once(monkeypatch, together):
    monkeypatch.setattr(module, "TOGETHER", together)
    log, matrix = histories(25), sparse.random(40, 40, 0.5, "csr", dtype=np.float32, rng=RNG)
    scores = np.ones((25, 40), np.float32)
    added(log, matrix, scores)
    np.testing.assert_allclose(scores, 1 + (log.matrix @ matrix).toarray(), rtol=1e-6)


def test_the_whole_matrix_times_vectors_needs_no_matrix():
    left, right = (sparse.random(50, 40, 0.2, "csr", dtype=np.float32, rng=RNG) for _ in range(2))
    vectors = RNG.standard_normal((40, 3)).astype(np.float32)
    formed = gram(left, right, 40, own=2.0) @ vectors
    np.testing.assert_allclose(gram_times(left, right, vectors, own=2.0), formed, rtol=1e-4, atol=1e-5)
