"""X-learner: differences against the other arm's model, learned again (Künzel and others 2019)."""

from __future__ import annotations

import numpy as np

from training.uplift.bases import Level, Matrix
from training.uplift.per_offer import Parts, PerOffer
from training.uplift.rows import Rows


class XLinear(PerOffer):
    """effect(x) = g tau0(x) + (1 - g) tau1(x), g the share of treated; first stages are cross-fitted."""

    name = "x-linear"

    def parts(self, rows: Rows) -> Parts:
        treated, control = rows.arms()
        difference = np.where(rows.treated, rows.outcome - control, treated - rows.outcome)
        arms = {"treated": rows.treated, "control": rows.control}
        stages = {name: rows.amount(chosen, difference, rows.weight) for name, chosen in arms.items()}
        return {**stages, "share": _share(rows)}

    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        share = parts["share"].predict(X)
        effect = share * parts["control"].predict(X) + (1 - share) * parts["treated"].predict(X)
        return effect, np.full(len(X), np.nan)


class XLightGBM(XLinear):
    name = "x-lightgbm"
    kind = "lightgbm"


def _share(rows: Rows) -> Level:
    treated = rows.weight[rows.treated].sum()
    return Level(float(treated / (treated + rows.weight[rows.control].sum())))
