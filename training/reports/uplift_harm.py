"""Who is harmed: the effect among those whom the choice ranks last, and among those it says are harmed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from training.metrics.policy_value import Logged, mean
from training.metrics.uplift import PER
from training.pipelines.policy import PolicyLog, Worth
from training.pipelines.uplift_evaluation import CHOSEN
from training.reports.page import Page, interval, shown, signed
from training.reports.policy_figures import per
from training.uplift.out_of_fold import OutOfFold

LAST = (5, 10, 20)  # % of customers, ranked last
BELOW = "below 0"
Figures = dict[str, Any]


def harm_of(oof: OutOfFold, offer: str) -> Figures:
    """Groups with their effect; `saved`: what leaving out those predicted to be harmed would change, for everybody.

    Effects are doubly robust; their intervals hold for all groups of all offers together (Bonferroni).
    """
    number = oof.offers.index(offer)
    log = PolicyLog(oof, Worth.of(oof.offers, ()))  # money is then the outcome
    score, prediction = log.earned[:, number], oof.prediction[CHOSEN][:, number]
    rank = stats.rankdata(prediction, method="average") / len(prediction)
    groups = {BELOW: prediction < 0} | {f"the last {last} %": rank <= last / 100 for last in LAST}
    z = float(stats.norm.ppf(1 - 0.025 / (len(groups) * len(oof.offers))))
    return {
        "groups": [
            {"group": name, **_group(log.logged, score, rows, z)} for name, rows in groups.items() if rows.any()
        ],
        "saved": per(mean(log.logged, np.where(groups[BELOW], -score, 0.0)).interval),
    }


def _group(logged: Logged, score: NDArray[np.float64], rows: NDArray[np.bool_], z: float) -> Figures:
    # The effect among these rows is the ratio of two means.
    share = mean(logged, rows.astype(np.float64)).value
    value = mean(logged, rows * score).value / share
    reach = z * mean(logged, rows * (score - value) / share).standard_error
    says = "works" if value > reach else "hurts" if value < -reach else "not distinguishable"
    return {
        "share": 100 * share,
        "value": PER * value,
        "lower": PER * (value - reach),
        "upper": PER * (value + reach),
        "says": says,
    }


def section(page: Page, found: Figures, unit: str) -> None:
    """In words and as a table."""
    page.subsection("Who is harmed", harm_words(found, unit), f"Effects in {unit}:")
    page.table(
        [
            {
                "predicted": row["group"],
                "effect": row["value"],
                "interval": interval(row["lower"], row["upper"]),
                "it": row["says"],
                "% of all": row["share"],
            }
            for row in found["groups"]
        ]
    )


def harm_words(found: Figures, unit: str) -> str:
    """Whether there is anybody for whom the offer is shown to hurt."""
    hurt = [row["group"] for row in found["groups"] if row["says"] == "hurts"]
    said = f"Shown to be harmed: those predicted {', '.join(hurt)}." if hurt else "Nobody is shown to be harmed."
    shares = [row["share"] for row in found["groups"] if row["group"] == BELOW]
    if not shares:
        return f"The choice says of no customer that the offer harms. {said}"
    saved = found["saved"]
    return (
        f"The choice says of {shown(shares[0])} % of the customers that the offer harms them. {said} Leaving "
        f"out those predicted below 0 would change all by {signed(saved['value'])} {unit} (95 % interval "
        f"{interval(saved['lower'], saved['upper'])}). Effects are doubly robust, on customers the choice did not "
        "learn from; the intervals of the table hold for all its groups together."
    )
