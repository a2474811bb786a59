"""Doubly robust learner: a regression on cross-fitted doubly robust scores (Kennedy 2020)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.uplift.bases import Matrix
from training.uplift.per_offer import Parts, PerOffer
from training.uplift.rows import Fitter, Rows


class DRLinear(PerOffer):
    """effect(x) = E[psi | x]; right when either the outcome models or the probabilities are."""

    name = "dr-linear"

    def parts(self, rows: Rows, fitter: Fitter) -> Parts:
        return {"effect": fitter.amount(rows.X, scores(rows, fitter), rows.weight)}

    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        return parts["effect"].predict(X), np.sqrt(parts["effect"].variance(X))


class DRLightGBM(DRLinear):
    name = "dr-lightgbm"
    kind = "lightgbm"


def scores(rows: Rows, fitter: Fitter) -> Matrix:
    """psi = m1 - m0 + 1[offer] (y - m1) / p - 1[none] (y - m0) / p, with models from the other folds."""
    return doubly_robust(rows, expected(rows, fitter, rows.treated), expected(rows, fitter, rows.control))


def expected(rows: Rows, fitter: Fitter, arm: NDArray[np.bool_]) -> Matrix:
    """The outcome expected per row if it were given this arm, from a model of the other folds' rows of the arm."""
    found = np.zeros(len(rows.outcome))
    for learn, ask in rows.folds():
        found[ask] = rows.model(fitter, learn & arm).predict(rows.X[ask])
    return found


def doubly_robust(rows: Rows, treated: Matrix, control: Matrix) -> Matrix:
    """psi per row, from both arms' predicted outcomes."""
    p = rows.log.probability
    result: Matrix = (
        treated - control + rows.treated * (rows.outcome - treated) / p - rows.control * (rows.outcome - control) / p
    )
    return result
