"""Fold-in: the closed form of least squares, by items or by factors, one history or many."""

import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

from features.interactions import Interactions
from training.recommenders.fold_in import PAIRS, FoldIn

ITEMS, FACTORS, RIDGE = 300, 8, 2.0


def histories(lengths: list[int], seed: int = 0) -> Interactions:
    rng = np.random.default_rng(seed)
    item = np.concatenate([np.sort(rng.choice(ITEMS, length, replace=False)) for length in lengths] or [[]])
    customer = np.repeat(np.arange(len(lengths)), lengths)
    ids = (np.char.zfill(np.arange(size).astype(np.str_), 4) for size in (len(lengths), ITEMS))
    weight, never = (0.05 + rng.random(len(item))).astype(np.float32), np.full(len(item), "NaT", "M8[us]")
    return Interactions(*ids, customer.astype(np.int32), item.astype(np.int32), weight, weight, never, never)


def fold_in() -> FoldIn:
    factors = np.random.default_rng(1).normal(size=(ITEMS, FACTORS)).astype(np.float32)
    return FoldIn.of(factors, factors.T @ factors + RIDGE * np.eye(FACTORS, dtype=np.float32))


def confidence(log: Interactions) -> np.ndarray:
    return (1 + 20 * log.weight).astype(np.float32)


@pytest.mark.parametrize("length", [1, FACTORS - 1, FACTORS, 60])
def test_a_history_has_the_factors_that_implicit_works_out(length: int) -> None:
    folding, log = fold_in(), histories([length, 3, length])
    with threadpool_limits(1, "blas"):  # implicit warns otherwise
        solver = AlternatingLeastSquares(factors=FACTORS, regularization=RIDGE, alpha=1.0, num_threads=1)
    solver.item_factors = folding.factors
    shape = (len(log.customers), ITEMS)
    theirs = solver.recalculate_user(
        np.arange(3), sparse.csr_matrix((confidence(log), (log.customer, log.item)), shape=shape)
    )
    np.testing.assert_allclose(folding.customers(log, confidence(log)), theirs, rtol=2e-4, atol=2e-5)


def test_an_empty_history_has_zeros() -> None:
    log = histories([0, 4, 0])
    found = fold_in().customers(log, confidence(log))
    assert not found[[0, 2]].any()
    assert found[1].all()


def test_alone_and_among_many_a_history_is_answered_alike_to_the_bit() -> None:
    log = histories([5] * (PAIRS // 5 + 3) + [40, 2])
    together = fold_in().customers(log, confidence(log))
    for row in (0, PAIRS // 5, PAIRS // 5 + 3, PAIRS // 5 + 4):
        one = log.between(row, row + 1)
        assert np.array_equal(fold_in().customers(one, confidence(one))[0], together[row])


@pytest.mark.parametrize("length", [1, FACTORS - 1, FACTORS, 60])
def test_what_the_items_of_a_history_add_to_a_score_is_the_score(length: int) -> None:
    folding, log, places = fold_in(), histories([length]), np.array([5, 0, 299])
    (terms,) = folding.folded(log.item[None], confidence(log)[None]).toward(places[None])
    scores = folding.customers(log, confidence(log)) @ folding.factors[places].T
    assert terms.shape == (length, 3)
    np.testing.assert_allclose(terms.sum(axis=0), scores[0], rtol=2e-4, atol=2e-5)
