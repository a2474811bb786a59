"""Constant: everybody has the average effect. The baseline that a learner must beat in ranking."""

from __future__ import annotations

import numpy as np

from training.uplift.bases import Level, Matrix
from training.uplift.per_offer import Parts, PerOffer
from training.uplift.rows import Rows


class Constant(PerOffer):
    """The difference of the arms' means, each row weighted by one over its probability (Hájek 1971)."""

    name = "constant"

    def parts(self, rows: Rows) -> Parts:
        return {"effect": average_effect(rows)}

    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        return parts["effect"].predict(X), np.sqrt(parts["effect"].variance(X))


def average_effect(rows: Rows) -> Level:
    """The average effect and its variance."""
    weight = rows.weight / rows.log.probability
    treated, control = (_mean(rows.outcome[arm], weight[arm]) for arm in (rows.treated, rows.control))
    return Level(treated[0] - control[0], treated[1] + control[1])


def _mean(outcome: Matrix, weight: Matrix) -> tuple[float, float]:
    mean = float(np.average(outcome, weights=weight))
    return mean, float(((weight * (outcome - mean)) ** 2).sum() / weight.sum() ** 2)
