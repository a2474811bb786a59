"""Response model: "mail the likely buyers". The baseline that most marketers use."""

from __future__ import annotations

import numpy as np

from training.uplift.bases import Level, Matrix
from training.uplift.constant import average_effect
from training.uplift.per_offer import Parts, PerOffer
from training.uplift.rows import Rows


class ResponseLinear(PerOffer):
    """effect(x) = average effect x m(x) / mean of m, m the outcome whatever the arm.

    Ranks by the likely outcome and has the average effect as its mean, so that it stays in the outcome's units.
    """

    name = "response-linear"

    def parts(self, rows: Rows) -> Parts:
        pair = rows.pair
        outcome = rows.model(pair)
        mean = float(np.average(outcome.predict(rows.X[pair]), weights=rows.weight[pair]))
        return {"outcome": outcome, "scale": Level(average_effect(rows).level / mean if mean else 0.0)}

    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        return parts["scale"].predict(X) * parts["outcome"].predict(X), np.full(len(X), np.nan)
