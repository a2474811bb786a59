"""S-learner: one model of the outcome that knows the arm (Künzel and others 2019)."""

from __future__ import annotations

import numpy as np

from training.uplift.bases import DEEP, Base, Matrix, binned, fit_linear, fit_trees
from training.uplift.per_offer import Parts, PerOffer
from training.uplift.rows import Rows


class SLinear(PerOffer):
    """effect(x) = m(x, 1) - m(x, 0); the linear model holds arm, features and their products."""

    name = "s-linear"

    def parts(self, rows: Rows) -> Parts:
        X = self._with_arm(rows.X[rows.pair], rows.treated[rows.pair].astype(np.float64))
        return {"outcome": self._fitted(rows, X, rows.outcome[rows.pair], rows.weight[rows.pair])}

    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        model = parts["outcome"]
        treated, control = (model.predict(self._with_arm(X, np.full(len(X), arm))) for arm in (1.0, 0.0))
        return treated - control, np.full(len(X), np.nan)

    def _fitted(self, rows: Rows, X: Matrix, y: Matrix, weight: Matrix) -> Base:
        return fit_linear(X, y, weight, family=rows.log.family)

    def _with_arm(self, X: Matrix, arm: Matrix) -> Matrix:
        # Centred arm: the products then share the penalty evenly between the arms.
        centred = arm[:, None] - 0.5
        return np.hstack([centred, centred * X, X])


class SLightGBM(SLinear):
    name = "s-lightgbm"
    kind = "lightgbm"

    def _fitted(self, rows: Rows, X: Matrix, y: Matrix, weight: Matrix) -> Base:
        data = binned(X, [position + 1 for position in rows.log.encoder.category_positions])
        every = np.arange(len(y))
        return fit_trees(data, every, y, weight, family=rows.log.family, seed=self.seed, leaves=DEEP)

    def _with_arm(self, X: Matrix, arm: Matrix) -> Matrix:
        return np.column_stack([arm, X])
