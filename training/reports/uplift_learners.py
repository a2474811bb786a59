"""Which learners agreed: what each weighs in the choice, and how alike they rank the customers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy import stats

from training.pipelines.uplift_evaluation import CHOSEN
from training.reports.page import Page, shown
from training.reports.uplift_charts import weights
from training.uplift import BASELINES, CANDIDATES
from training.uplift.out_of_fold import OutOfFold

BEST = 0.2  # the share of customers whose names two learners are asked for
AVERAGE = "the average effect"
Figures = dict[str, Any]


def agreement_of(oof: OutOfFold, offer: str, weight: Mapping[str, float]) -> Figures:
    """Per learner its weight, the rank correlation with the choice and how much of the best fifth they share.

    `pairs`: the mean of that share over all pairs of learners, without the baselines.
    """
    number = oof.offers.index(offer)
    given = {name: values[:, number] for name, values in oof.prediction.items() if name in (CHOSEN, *CANDIDATES)}
    ranks = {name: stats.rankdata(values) for name, values in given.items() if np.ptp(values) > 0}
    best = {name: rank > (1 - BEST) * len(rank) for name, rank in ranks.items()}
    rows = [
        {
            "learner": name,
            "weight": float(weight.get(name, 0.0)),
            "correlation": _correlation(ranks, name),
            "shared": _shared(best, name, CHOSEN),
            "helps": 100 * float(np.average(values > 0, weights=oof.people)),
        }
        for name, values in given.items()
        if name != CHOSEN
    ]
    apart = [name for name in best if name not in (CHOSEN, *BASELINES)]
    pairs = [_shared(best, one, other) for one in apart for other in apart if one != other]
    common = [share for share in pairs if share is not None]
    return {
        "learners": sorted(rows, key=lambda row: -row["weight"]),
        "average": max(0.0, 1 - sum(weight.values())),
        "pairs": float(np.mean(common)) if common else None,
    }


def _correlation(ranks: Mapping[str, Any], name: str) -> float | None:
    # Spearman 1904
    return float(np.corrcoef(ranks[name], ranks[CHOSEN])[0, 1]) if {name, CHOSEN} <= set(ranks) else None


def _shared(best: Mapping[str, Any], name: str, other: str) -> float | None:
    if not {name, other} <= set(best) or not best[name].any():
        return None
    return 100 * float((best[name] & best[other]).sum() / best[name].sum())


def section(page: Page, found: Figures) -> None:
    """The weights as a picture, and the table."""
    rows = found["learners"]
    weighed = [row for row in rows if row["weight"] > 0]
    pairs = (
        f"Two learners have {shown(found['pairs'])} % of their best fifth of customers in common, on average; chance "
        f"alone gives {100 * BEST:.0f} %."
    )
    page.subsection(
        "Which learners agreed",
        f"The choice weighs {len(weighed)} of {len(rows)} learners and baselines; {shown(100 * found['average'])} % of "
        "it is the average effect, the same for everybody. Where learners that work differently name the same "
        "customers, it is the customers and not the learner. The table says how much of its best fifth each shares "
        "with the choice, how alike both rank all customers (1: the same order, 0: no relation), and of how many "
        "customers it says that they gain.",
        *([] if found["pairs"] is None else [pairs]),
    )
    drawn = [{"learner": row["learner"], "weight": 100 * row["weight"]} for row in weighed]
    page.chart(
        weights([*drawn, {"learner": AVERAGE, "weight": 100 * found["average"]}]),
        "What each learner weighs in the choice; the rest is the average effect.",
    )
    page.table([_row(row) for row in rows])


def _row(row: Figures) -> Figures:
    return {
        "learner": row["learner"],
        "weight %": 100 * row["weight"],
        "best fifth shared %": row["shared"],
        "rank correlation": row["correlation"],
        "says gain %": row["helps"],
    }
