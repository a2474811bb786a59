"""Two parts: whether there is an outcome at all, and how much it is. For amounts of which most are 0, as revenue."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.uplift.bases import Base, Level, Matrix
from training.uplift.per_offer import Parts, PerOffer
from training.uplift.rows import Rows


class TwoPartLinear(PerOffer):
    """effect(x) = (P1(x) - P0(x)) a(x): P the chance of an outcome in each arm, a its amount in any (Cragg 1971).

    An offer that changes how much is bought, and not whether, is not seen; for that a few large amounts decide less.
    """

    name = "two-part-linear"

    def parts(self, rows: Rows) -> Parts:
        some = (rows.outcome > 0).astype(np.float64)
        arms = {"treated": rows.treated, "control": rows.control}
        chances = {name: rows.log.fitted(chosen, some, rows.weight, family="binary") for name, chosen in arms.items()}
        return {**chances, "amount": self._amount(rows, rows.outcome > 0)}

    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        more = parts["treated"].predict(X) - parts["control"].predict(X)
        return more * parts["amount"].predict(X), np.full(len(X), np.nan)

    def _amount(self, rows: Rows, some: NDArray[np.bool_]) -> Base:
        return rows.log.fitted(some, rows.outcome, rows.weight, family="count")  # a log link, for any amount above 0


class TwoPartLightGBM(TwoPartLinear):
    name = "two-part-lightgbm"
    kind = "lightgbm"

    def _amount(self, rows: Rows, some: NDArray[np.bool_]) -> Base:
        return Level(float(np.average(rows.outcome[some], weights=rows.weight[some])))
