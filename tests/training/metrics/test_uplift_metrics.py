"""Uplift metrics, against scikit-uplift and against arithmetic by hand."""

import warnings

import numpy as np
import pytest
from sklearn.metrics import auc

from training.metrics.uplift import (
    Ranking,
    Trial,
    average,
    balance,
    by_decile,
    predictability,
    qini,
    sample_ratio,
    slope,
    uplift_at,
)


def drawn(seed: int, rows: int = 2000, *, ties: bool = False) -> tuple[np.ndarray, Trial]:
    rng = np.random.default_rng(seed)
    prediction = rng.integers(0, 20, rows).astype(float) if ties else rng.normal(size=rows)
    treated = rng.random(rows) < 0.4
    outcome = (rng.random(rows) < 0.2 + 0.1 * treated * (prediction > 0)).astype(float)
    return prediction, Trial(outcome, treated, np.ones(rows))


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_qini_equals_scikit_uplift(seed: int, ties: bool) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scikit-uplift calls what newer libraries deprecate
        from sklift.metrics import qini_curve

        prediction, trial = drawn(seed, ties=ties)
        rows, extra = qini_curve(trial.outcome.astype(int), prediction, trial.treated.astype(int))
    theirs = auc(rows, extra) - rows[-1] * extra[-1] / 2
    ours = qini(prediction, trial) / 1000 * rows[-1] * trial.treated.sum()
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("k", [0.1, 0.3, 0.999])
def test_uplift_at_equals_scikit_uplift(k: float) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sklift.metrics import uplift_at_k

        prediction, trial = drawn(1)
        theirs = uplift_at_k(trial.outcome.astype(int), prediction, trial.treated.astype(int), "overall", k)
    np.testing.assert_allclose(uplift_at(prediction, trial, k), theirs, rtol=1e-9)


def test_the_order_of_tied_rows_does_not_matter() -> None:
    prediction, trial = drawn(2, ties=True)
    order = np.random.default_rng(0).permutation(len(prediction))
    other = Trial(trial.outcome[order], trial.treated[order], trial.weight[order])
    np.testing.assert_allclose(qini(prediction[order], other), qini(prediction, trial))
    np.testing.assert_allclose(uplift_at(prediction[order], other, 0.33), uplift_at(prediction, trial, 0.33))


def test_a_constant_prediction_is_random() -> None:
    _, trial = drawn(3)
    assert abs(qini(np.ones(len(trial.outcome)), trial)) < 1e-9


def test_the_curve_ends_at_the_average_effect_per_thousand() -> None:
    prediction, trial = drawn(4)
    difference = trial.outcome[trial.treated].mean() - trial.outcome[~trial.treated].mean()
    np.testing.assert_allclose(Ranking(prediction, trial).curve().extra[-1], 1000 * difference)
    np.testing.assert_allclose(average(trial).value, difference)


def test_whole_weights_count_as_repeated_rows() -> None:
    prediction, trial = drawn(5, rows=300)
    draws = np.random.default_rng(1).poisson(1.0, 300)
    again = np.repeat(np.arange(300), draws)
    repeated = Trial(trial.outcome[again], trial.treated[again], trial.weight[again])
    by_weight = Ranking(prediction, trial).curve(draws.astype(float))
    area = np.trapezoid(by_weight.extra, by_weight.share) - by_weight.extra[-1] / 2
    np.testing.assert_allclose(area, qini(prediction[again], repeated))


def test_the_slope_of_a_score_twice_the_prediction_is_two() -> None:
    rng = np.random.default_rng(0)
    prediction = rng.normal(size=5000)
    found = slope(2 * prediction + rng.normal(size=5000), prediction, np.ones(5000))
    assert found.lower < 2 < found.upper
    assert found.standard_error < 0.03
    assert np.isnan(slope(prediction, np.ones(5000), np.ones(5000)).value)


def test_deciles_average_to_the_average_effect_and_fall_with_a_true_ranking() -> None:
    rng = np.random.default_rng(1)
    effect = rng.normal(size=20000)
    treated = rng.random(20000) < 0.5
    tenths = by_decile(effect, Trial(effect * treated, treated, np.ones(20000)))
    assert len(tenths) == 10
    assert tenths[0].value > 1.4 > -1.4 > tenths[-1].value


def test_treatment_that_follows_the_features_is_found_and_a_coin_is_not() -> None:
    rng = np.random.default_rng(2)
    X, fold = rng.normal(size=(4000, 3)), rng.integers(0, 5, 4000)
    coin = predictability(X, rng.random(4000) < 0.5, fold)
    followed = predictability(X, rng.random(4000) < 1 / (1 + np.exp(-X[:, 0])), fold)
    assert coin.lower < 0.5 < coin.upper
    assert followed.lower > 0.6


def test_balance_and_sample_ratio_by_hand() -> None:
    X = np.array([[1.0], [3.0], [0.0], [2.0]])
    treated = np.array([True, True, False, False])
    np.testing.assert_allclose(balance(X, treated, np.ones(4)), [1.0])  # (2 - 1) / 1
    assert sample_ratio([500, 500], [1, 1]) == 1.0
    assert sample_ratio([600, 400], [0.5, 0.5]) < 1e-9
