"""Doubly robust learner: a regression on cross-fitted doubly robust scores (Kennedy 2020)."""

from __future__ import annotations

import numpy as np

from training.uplift.bases import Matrix
from training.uplift.per_offer import Parts, PerOffer
from training.uplift.rows import Rows


class DRLinear(PerOffer):
    """effect(x) = E[psi | x]; right when either the outcome models or the probabilities are."""

    name = "dr-linear"

    def parts(self, rows: Rows) -> Parts:
        return {"effect": rows.amount(rows.every, scores(rows), rows.weight)}

    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        return parts["effect"].predict(X), np.sqrt(parts["effect"].variance(X))


class DRLightGBM(DRLinear):
    name = "dr-lightgbm"
    kind = "lightgbm"


def scores(rows: Rows) -> Matrix:
    """psi = m1 - m0 + 1[offer] (y - m1) / p - 1[none] (y - m0) / p, with models from the other folds."""
    return doubly_robust(rows, *rows.arms())


def doubly_robust(rows: Rows, treated: Matrix, control: Matrix) -> Matrix:
    """psi per row, from both arms' predicted outcomes."""
    p = rows.log.probability
    result: Matrix = (
        treated - control + rows.treated * (rows.outcome - treated) / p - rows.control * (rows.outcome - control) / p
    )
    return result
