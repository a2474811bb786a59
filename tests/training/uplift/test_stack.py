"""The stack of predictions: truth, half of the truth, and noise, seen through a noisy score."""

import numpy as np
import pytest

from training.uplift.bases import Matrix
from training.uplift.stack import Stack, centred_in, stacked

ROWS = 4000
FOLD = np.arange(ROWS) % 5
ONES = np.ones(ROWS)


def seen(truth: Matrix, *, noise: float = 1.0, seed: int = 1) -> Matrix:
    return 3 + truth + noise * np.random.default_rng(seed).normal(size=ROWS)


def draws(columns: int, seed: int = 0) -> Matrix:
    return np.random.default_rng(seed).normal(size=(ROWS, columns))


def even(score: Matrix, predictions: Matrix) -> Stack:
    return stacked(score, predictions, ONES, FOLD, np.ones(predictions.shape[1]))


def test_the_truth_gets_the_weight_and_noise_gets_none() -> None:
    predictions = draws(4)
    found = even(seen(predictions[:, 2]), predictions)
    np.testing.assert_allclose(found.weights, [0, 0, 1, 0], atol=0.06)
    assert found.factor == pytest.approx(1, abs=0.06)


def test_two_halves_of_the_truth_are_put_together() -> None:
    predictions = draws(3)
    found = even(seen(predictions[:, :2].sum(axis=1) / 2, noise=0.1), predictions)
    np.testing.assert_allclose(found.weights, [0.5, 0.5, 0], atol=0.1)


def test_predictions_that_cannot_be_told_apart_share_the_weight() -> None:
    truth, own = draws(1), draws(4, seed=3)
    found = even(seen(truth[:, 0], noise=20.0), truth + own / 10)
    assert found.weights.max() < 2 * found.weights.min() > 0


def test_what_was_believed_before_decides_where_predictions_cannot_be_told_apart_and_nowhere_else() -> None:
    truth, own, believed = draws(1), draws(4, seed=3), np.array([16.0, 1, 1, 1])
    near, score = truth + own / 10, seen(truth[:, 0], noise=20.0)
    assert stacked(score, near, ONES, FOLD, believed).weights[0] > 2 * even(score, near).weights[0]
    clear = stacked(seen(truth[:, 0]), np.column_stack([own[:, :3], truth]), ONES, FOLD, believed)
    np.testing.assert_allclose(clear.weights, [0, 0, 0, 1], atol=0.06)


def test_an_exaggeration_is_shrunk_to_what_the_score_bears_out() -> None:
    truth = draws(1)
    found = even(seen(truth[:, 0]), 4 * truth)
    assert found.factor * found.weights[0] == pytest.approx(0.25, abs=0.03)


def test_an_understatement_is_raised_to_what_the_score_bears_out() -> None:
    truth = draws(1)
    found = even(seen(truth[:, 0]), truth / 3)
    assert found.factor * found.weights[0] == pytest.approx(3, abs=0.1)


def test_where_there_is_nothing_most_is_shrunk_to_the_average() -> None:
    left = []
    for seed in range(40):
        predictions = draws(6, seed) / 10
        found = even(seen(np.zeros(ROWS), seed=100 + seed), predictions)
        left.append(found.factor * found.weights.sum())
    assert np.mean(left) < 0.35  # of predictions that claim little; what claims much is shrunk to nothing


def test_constant_predictions_weigh_nothing() -> None:
    found = even(seen(np.zeros(ROWS)), np.full((ROWS, 2), 3.0))
    assert (found.weights.tolist(), found.factor) == ([0.0, 0.0], 0.0)


def test_weights_count_as_repeated_rows() -> None:
    predictions = draws(3)
    score, heavy = seen(predictions @ [0.4, 0.2, 0.0]), np.arange(ROWS) < 1000
    again = np.concatenate([np.arange(ROWS), np.flatnonzero(heavy)])
    one = stacked(score, predictions, ONES + heavy, FOLD, np.ones(3))
    two = stacked(score[again], predictions[again], np.ones(len(again)), FOLD[again], np.ones(3))
    np.testing.assert_allclose(one.weights, two.weights, atol=1e-9)


def test_the_mean_of_a_fold_says_nothing_about_its_customers() -> None:
    predictions = draws(2)
    centred = centred_in(predictions + FOLD[:, None], ONES, FOLD)
    np.testing.assert_allclose(centred, centred_in(predictions, ONES, FOLD), atol=1e-12)
