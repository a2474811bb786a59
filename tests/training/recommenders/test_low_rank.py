"""Narrowed factors: the few columns that say most of what many said to the customers of the log."""

import numpy as np
from scipy import sparse

from training.recommenders.low_rank import narrowed

RNG = np.random.default_rng(3)
ROWS = sparse.random(60, 30, 0.3, "csr", dtype=np.float32, rng=RNG)
LEFT, RIGHT = (RNG.standard_normal((30, 12)).astype(np.float32) for _ in range(2))


def test_narrowed_factors_lose_no_more_than_the_singular_values_left_out():
    scores = ROWS @ LEFT @ RIGHT.T
    left, right = narrowed(LEFT, RIGHT, ROWS, 5)
    assert left.shape == right.shape == (30, 5)
    left_out = np.linalg.svd(scores, compute_uv=False)[5:]
    np.testing.assert_allclose(np.linalg.norm(scores - ROWS @ left @ right.T), np.linalg.norm(left_out), rtol=1e-3)


def test_columns_that_repeat_each_other_are_narrowed_without_loss():
    left, right = narrowed(np.hstack([LEFT, LEFT]), np.hstack([RIGHT, RIGHT]), ROWS, 12)
    np.testing.assert_allclose(ROWS @ left @ right.T, 2 * (ROWS @ LEFT @ RIGHT.T), rtol=1e-3, atol=1e-3)
