"""The linear base of a count: statsmodels' Poisson regression, never above what was seen, the same when kept."""

from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm

from training.uplift.bases import Linear, family_of, fit_linear, load_base, with_intercept

ROWS = 20_000


def counts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(ROWS, 2)), rng.integers(1, 4, ROWS).astype(float)
    return X, rng.poisson(np.exp(-0.5 + X @ [0.6, -0.2])).astype(float), weight


@pytest.mark.parametrize(
    ("outcome", "family"),
    [([0, 1, 1], "binary"), ([0, 0], "binary"), ([0, 2, 1], "count"), ([0, 1.5], "amount"), ([-1, 2], "amount")],
)
def test_whole_numbers_from_zero_are_a_count(outcome: list[float], family: str) -> None:
    assert family_of(np.array(outcome, dtype=float)) == family


def test_coefficients_and_errors_of_a_count_are_those_of_statsmodels() -> None:
    X, y, weight = counts()
    ours = fit_linear(X, y, weight, family="count")
    theirs = sm.GLM(y, with_intercept(X), sm.families.Poisson(), freq_weights=weight).fit()
    np.testing.assert_allclose(ours.coefficients, theirs.params, atol=1e-3)  # the penalty is ours alone
    ones = fit_linear(X, y, np.ones(ROWS), family="count")
    robust = sm.GLM(y, with_intercept(X), sm.families.Poisson()).fit(cov_type="HC0")
    np.testing.assert_allclose(np.sqrt(np.diag(ones.covariance)), robust.bse, rtol=1e-3)


def test_no_count_is_expected_above_the_largest_that_was_seen() -> None:
    X, y, weight = counts()
    found = fit_linear(X, y, weight, family="count").predict(np.array([[90.0, 0.0], [-90.0, 0.0]]))
    assert found.tolist() == pytest.approx([y.max(), 0.0], abs=1e-6)


def test_a_linear_base_answers_the_same_when_kept_also_one_that_was_kept_before_counts(tmp_path: Path) -> None:
    X, y, weight = counts()
    for family, outcome in (("count", y), ("binary", (y > 0).astype(float)), ("amount", y - 0.5)):
        model = fit_linear(X, outcome, weight, family=family)
        model.save(tmp_path / family)
        kept = load_base(tmp_path / family)
        assert np.array_equal(kept.predict(X), model.predict(X))
        assert np.array_equal(kept.variance(X), model.variance(X))
    old = {"coefficients": np.ones(3), "covariance": np.eye(3), "logistic": np.array(True)}
    np.savez(tmp_path / "old.npz", **old)
    assert load_base(tmp_path / "old").predict(X)[0] == Linear(np.ones(3), np.eye(3), "logistic").predict(X)[0]
