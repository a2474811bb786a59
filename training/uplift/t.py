"""T-learner: a model of the outcome per arm (Künzel and others 2019)."""

from __future__ import annotations

import numpy as np

from training.uplift.bases import Matrix
from training.uplift.per_offer import Parts, PerOffer
from training.uplift.rows import Rows


class TLinear(PerOffer):
    """effect(x) = m1(x) - m0(x); the arms are independent, so their variances add."""

    name = "t-linear"

    def parts(self, rows: Rows) -> Parts:
        return {"treated": rows.model(rows.treated), "control": rows.model(rows.control)}

    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        treated, control = parts["treated"], parts["control"]
        error = np.sqrt(treated.variance(X) + control.variance(X))
        return treated.predict(X) - control.predict(X), error


class TLightGBM(TLinear):
    name = "t-lightgbm"
    kind = "lightgbm"
