"""Base models: regularised linear and small LightGBM, for a chance, a count or an amount; kept as npz or text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import lightgbm

Matrix = NDArray[np.float64]
Family = Literal["binary", "count", "amount"]  # of outcomes: 0 and 1; whole numbers from 0; anything else
Link = Literal["logistic", "log", "none"]

PENALTY = 1.0  # of a standardised coefficient: matters below some hundred rows, vanishes above
ROUNDS = 60
FEW_ROUNDS, MANY_ROUNDS, MANY = 40, 80, 50_000  # of a difference, which is mostly noise; from so many rows on more
DEEP = 8  # leaves: of trees that have to split by the arm too
SMALL = {  # effects are small beside the noise: default LightGBM overfits them, and deeper trees do (docs/uplift.md)
    "learning_rate": 0.05,
    "num_leaves": 4,
    "min_data_in_leaf": 200,
    "lambda_l2": 10.0,
    "max_bin": 63,
    "cat_smooth": 50.0,
}
FIXED = {
    "num_threads": 1,
    "deterministic": True,
    "force_row_wise": True,
    "feature_pre_filter": False,  # a leaf's least size differs by model: no feature is left out because of it
    "verbosity": -1,
}


class Base(Protocol):
    def predict(self, X: Matrix) -> Matrix: ...

    def variance(self, X: Matrix) -> Matrix:
        """Of the prediction, from the estimation of the model; NaN where the model has none."""
        ...

    def save(self, stem: Path) -> None: ...


@dataclass(frozen=True)
class Linear:
    """Ridge for amounts, logistic for a binary outcome, Poisson for counts; `coefficients` starts with the intercept.

    No count above `most`, the largest that was seen, is expected: an exponential knows no bounds.
    """

    coefficients: Matrix
    covariance: Matrix
    link: Link
    most: float = float("inf")

    def predict(self, X: Matrix) -> Matrix:
        linear: Matrix = self.coefficients[0] + X @ self.coefficients[1:]
        if self.link == "log":
            return np.minimum(_exponential(linear), self.most)
        return _logistic(linear) if self.link == "logistic" else linear

    def variance(self, X: Matrix) -> Matrix:
        # Sandwich covariance; delta method for the links.
        rows = with_intercept(X)
        variance: Matrix = ((rows @ self.covariance) * rows).sum(axis=1)
        expected = self.predict(X)
        slopes = {"none": np.ones(1), "log": expected, "logistic": expected * (1 - expected)}
        result: Matrix = slopes[self.link] ** 2 * variance
        return result

    def save(self, stem: Path) -> None:
        np.savez(
            stem.with_suffix(".npz"),
            coefficients=self.coefficients,
            covariance=self.covariance,
            link=np.array(self.link),
            most=self.most,
        )


@dataclass(frozen=True)
class Trees:
    """A LightGBM model."""

    booster: lightgbm.Booster

    def predict(self, X: Matrix) -> Matrix:
        return np.asarray(self.booster.predict(X, num_threads=1), dtype=np.float64)

    def variance(self, X: Matrix) -> Matrix:
        return np.full(len(X), np.nan)

    def save(self, stem: Path) -> None:
        stem.with_suffix(".txt").write_text(self.booster.model_to_string(), encoding="utf-8")


@dataclass(frozen=True)
class Level:
    """One number for everybody."""

    level: float
    squared_error: float = float("nan")

    def predict(self, X: Matrix) -> Matrix:
        return np.full(len(X), self.level)

    def variance(self, X: Matrix) -> Matrix:
        return np.full(len(X), self.squared_error)

    def save(self, stem: Path) -> None:
        np.savez(stem.with_suffix(".npz"), level=self.level, squared_error=self.squared_error)


def load_base(stem: Path) -> Base:
    """The base model that was saved at this stem."""
    path = stem.with_suffix(".npz")
    if not path.is_file():
        import lightgbm

        return Trees(lightgbm.Booster(model_str=stem.with_suffix(".txt").read_text(encoding="utf-8")))
    with np.load(path, allow_pickle=False) as kept:
        if "level" in kept:
            return Level(float(kept["level"]), float(kept["squared_error"]))
        if "logistic" in kept:  # of a release from before counts had a link of their own
            return Linear(kept["coefficients"], kept["covariance"], "logistic" if kept["logistic"] else "none")
        return Linear(kept["coefficients"], kept["covariance"], kept["link"].item(), float(kept["most"]))


def family_of(outcome: Matrix) -> Family:
    """What kind of outcome this is."""
    if np.isin(outcome, (0.0, 1.0)).all():
        return "binary"
    return "count" if (outcome >= 0).all() and (outcome == np.floor(outcome)).all() else "amount"


def fit_linear(X: Matrix, y: Matrix, weight: Matrix, *, family: Family) -> Linear:
    """Logistic regression of a binary outcome, Poisson regression of a count, else ridge regression."""
    if family == "binary" and 0 < y.mean() < 1:
        return _fit_logistic(X, y, weight)
    return _fit_poisson(X, y, weight) if family == "count" and y.any() else _fit_ridge(X, y, weight)


def binned(X: Matrix, categories: list[int]) -> lightgbm.Dataset:
    """The features as LightGBM reads them, which is as much work as a model; a model learns from rows of it."""
    import lightgbm

    labels = np.zeros(len(X))  # each model has its own
    data = lightgbm.Dataset(X, labels, categorical_feature=categories or "auto", params={**SMALL, **FIXED})
    return data.construct()


def fit_trees(  # what LightGBM needs to know
    data: lightgbm.Dataset,
    rows: NDArray[np.intp],
    y: Matrix,
    weight: Matrix,
    *,
    family: Family,
    seed: int,
    leaves: int = int(SMALL["num_leaves"]),
) -> Trees:
    """A small LightGBM on one thread, of these rows in ascending order; the same rows and seed give the same model."""
    import lightgbm

    objective = "binary" if family == "binary" and 0 < y.mean() < 1 else "regression"
    parameters = tree_parameters(len(y), objective, seed) | {"num_leaves": leaves}
    rounds = ROUNDS if family != "amount" else FEW_ROUNDS if len(y) < MANY else MANY_ROUNDS
    chosen = data.subset(rows).construct()  # type: ignore[arg-type]  # arrays are lists to it
    chosen.set_label(y)
    chosen.set_weight(None if (weight == 1).all() else weight)
    return Trees(lightgbm.train(parameters, chosen, num_boost_round=rounds))


def tree_parameters(rows: int, objective: str, seed: int) -> dict[str, Any]:
    """The parameters for this many rows: a leaf holds at most a twentieth of them."""
    leaf = max(5, min(int(SMALL["min_data_in_leaf"]), rows // 20))
    return {**SMALL, **FIXED, "min_data_in_leaf": leaf, "objective": objective, "seed": seed}


def with_intercept(X: Matrix) -> Matrix:
    return np.column_stack([np.ones(len(X)), X])


def _fit_logistic(X: Matrix, y: Matrix, weight: Matrix) -> Linear:
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=1 / PENALTY, solver="newton-cholesky", tol=1e-8, max_iter=200)
    model.fit(X, y, sample_weight=weight)
    coefficients = np.concatenate([model.intercept_, model.coef_[0]])
    rows = with_intercept(X)
    chance = _logistic(rows @ coefficients)
    bread = (rows * (weight * chance * (1 - chance))[:, None]).T @ rows
    return Linear(coefficients, _sandwich(bread, rows, weight * (y - chance)), "logistic")


def _fit_poisson(X: Matrix, y: Matrix, weight: Matrix) -> Linear:
    from sklearn.linear_model import PoissonRegressor

    model = PoissonRegressor(alpha=PENALTY / weight.sum(), solver="newton-cholesky", tol=1e-8, max_iter=200)
    model.fit(X, y, sample_weight=weight)
    coefficients = np.append(model.intercept_, model.coef_)
    rows = with_intercept(X)
    expected = _exponential(rows @ coefficients)
    bread = (rows * (weight * expected)[:, None]).T @ rows
    return Linear(coefficients, _sandwich(bread, rows, weight * (y - expected)), "log", float(y.max()))


def _fit_ridge(X: Matrix, y: Matrix, weight: Matrix) -> Linear:
    rows = with_intercept(X)
    bread = (rows * weight[:, None]).T @ rows
    penalised = bread + _penalty(rows.shape[1])
    coefficients: Matrix = np.asarray(np.linalg.solve(penalised, rows.T @ (weight * y)), dtype=np.float64)
    return Linear(coefficients, _sandwich(bread, rows, weight * (y - rows @ coefficients)), "none")


def _sandwich(bread: Matrix, rows: Matrix, score: Matrix) -> Matrix:
    # Huber 1967, White 1980 (HC0), with the penalty in the bread.
    inverse = np.linalg.inv(bread + _penalty(len(bread)))
    scored = rows * score[:, None]
    result: Matrix = inverse @ (scored.T @ scored) @ inverse
    return result


def _penalty(size: int) -> Matrix:
    diagonal = np.full(size, PENALTY)
    diagonal[0] = 1e-9  # the intercept is free
    return np.diag(diagonal)


def _exponential(value: Matrix) -> Matrix:
    result: Matrix = np.exp(np.clip(value, -40, 40))
    return result


def _logistic(value: Matrix) -> Matrix:
    result: Matrix = 1 / (1 + np.exp(-np.clip(value, -40, 40)))
    return result
