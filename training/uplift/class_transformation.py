"""Class transformation: the outcome is turned into one whose mean is the effect, and learned with a single model."""

from __future__ import annotations

import numpy as np

from training.uplift.bases import Matrix
from training.uplift.dr import doubly_robust
from training.uplift.per_offer import Parts, PerOffer
from training.uplift.rows import Rows


class ClassTransformationLinear(PerOffer):
    """effect(x) = E[z | x], z = (y - mean) (1[offer] / p - 1[none] / p) (Athey and Imbens 2015).

    With p = 1/2 and a binary outcome this is the class y t + (1 - y) (1 - t) of Jaskowski and Jaroszewicz 2012; with
    the row's own probability the order stays right where treatment followed the features. The mean lessens the noise.
    """

    name = "class-linear"

    def parts(self, rows: Rows) -> Parts:
        mean = np.full(len(rows.outcome), _mean(rows))
        return {"effect": rows.amount(rows.every, doubly_robust(rows, mean, mean), rows.weight)}

    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        return parts["effect"].predict(X), np.sqrt(parts["effect"].variance(X))


class ClassTransformationLightGBM(ClassTransformationLinear):
    name = "class-lightgbm"
    kind = "lightgbm"


def _mean(rows: Rows) -> float:
    pair = rows.pair
    return float(np.average(rows.outcome[pair], weights=(rows.weight / rows.log.probability)[pair]))
