"""R-learner: what is left of the outcome on what is left of the arm (Nie and Wager 2021; Robinson 1988)."""

from __future__ import annotations

import numpy as np

from training.uplift.bases import Matrix
from training.uplift.per_offer import Parts, PerOffer
from training.uplift.rows import MIN_PROBABILITY, Rows


class RLinear(PerOffer):
    """Minimises sum of w (y - m(x) - (t - e(x)) effect(x))^2; m and e are cross-fitted, so it is orthogonal to both.

    A regression of (y - m) / (t - e) with weights w (t - e)^2: its sandwich errors hold.
    """

    name = "r-linear"

    def parts(self, rows: Rows) -> Parts:
        weight, share = _balanced(rows)
        outcome = rows.outcome - rows.out_of_fold(rows.pair, weight)
        arm, pair = rows.treated - share, rows.pair
        weight = weight * arm**2
        scale = rows.weight[pair].sum() / weight[pair].sum()  # the penalty of the base then means the same everywhere
        return {"effect": rows.amount(pair, outcome / arm, scale * weight)}

    def answer(self, parts: Parts, X: Matrix) -> tuple[Matrix, Matrix]:
        return parts["effect"].predict(X), np.sqrt(parts["effect"].variance(X))


class RLightGBM(RLinear):
    name = "r-lightgbm"
    kind = "lightgbm"


def _balanced(rows: Rows) -> tuple[Matrix, Matrix]:
    """Weights, and e: the probability of the offer, given offer or none, among rows weighted so.

    Where probabilities are known, rows weigh one over theirs and e is one half, whatever policy gave the offers and
    however many there are; else e is modelled and customers whose arm was hardly in doubt weigh little.
    """
    if rows.log.probability_known:
        return rows.weight / rows.log.probability, np.full(len(rows.outcome), 0.5)
    return rows.weight, _shares(rows)


def _shares(rows: Rows) -> Matrix:
    from sklearn.linear_model import LogisticRegression

    share = np.zeros(len(rows.outcome))
    for learn, ask in rows.folds():
        chosen = learn & rows.pair
        model = LogisticRegression(C=1.0, solver="newton-cholesky", max_iter=200)
        model.fit(rows.log.linear[chosen], rows.treated[chosen], sample_weight=rows.weight[chosen])
        share[ask] = model.predict_proba(rows.log.linear[ask])[:, 1]
    return np.clip(share, MIN_PROBABILITY, 1 - MIN_PROBABILITY)
