"""S-learner: one model of the outcome that knows the arm (Künzel and others 2019)."""

from __future__ import annotations

import numpy as np

from training.uplift.bases import Matrix
from training.uplift.per_offer import Parts, PerOffer
from training.uplift.rows import Rows


class SLinear(PerOffer):
    """effect(x) = m(x, 1) - m(x, 0); the linear model holds arm, features and their products."""

    name = "s-linear"

    def parts(self, rows: Rows) -> Parts:
        pair = rows.pair
        X = self._with_arm(rows.X[pair], rows.treated[pair].astype(np.float64))
        extra = X.shape[1] - rows.X.shape[1]
        return {"outcome": rows.fitter.outcome(X, rows.outcome[pair], rows.weight[pair], extra=extra)}

    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        model = parts["outcome"]
        treated, control = (model.predict(self._with_arm(X, np.full(len(X), arm))) for arm in (1.0, 0.0))
        return treated - control, np.full(len(X), np.nan)

    def _with_arm(self, X: Matrix, arm: Matrix) -> Matrix:
        # Centred arm: the products then share the penalty evenly between the arms.
        centred = arm[:, None] - 0.5
        return np.hstack([centred, centred * X, X])


class SLightGBM(SLinear):
    name = "s-lightgbm"
    kind = "lightgbm"

    def _with_arm(self, X: Matrix, arm: Matrix) -> Matrix:
        return np.column_stack([arm, X])
