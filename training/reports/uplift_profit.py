"""Profit against the share of customers who are given an offer, with the best share."""

from __future__ import annotations

from typing import Any

import numpy as np

from training.intervals import verdict
from training.metrics.profit_curve import SHARES, at_best, profit
from training.metrics.uplift import PER
from training.pipelines.policy import PolicyLog
from training.reports.page import Page, interval, signed
from training.reports.policy_figures import per
from training.reports.uplift_charts import profit as drawn
from training.reports.uplift_words import FLAT

Figures = dict[str, Any]


def profit_of(log: PolicyLog, offer: str, rng: np.random.Generator) -> Figures:
    """In money per 1,000 customers; `best` is a share in %, `earns` and `more` what it brings, over all given it."""
    number = log.worth.offers.index(offer)
    predicted, earned = log.profit[:, number], log.earned[:, number]
    curve = profit(predicted, earned, log.logged, rng)
    chosen, more = at_best(predicted, earned, log.logged, log.oof.fold)
    points = np.column_stack([100 * SHARES, PER * curve.value, PER * curve.lower, PER * curve.upper]).tolist()
    low, high = curve.between
    return {
        "curve": [dict(zip(("share", "value", "lower", "upper"), point, strict=True)) for point in points],
        "best": {"share": 100 * curve.best, "lower": 100 * float(low), "upper": 100 * float(high)},
        "earns": per(chosen.interval),
        "more": per(more.interval) | {"verdict": verdict(more.interval)},
    }


def section(page: Page, found: Figures, unit: str) -> None:
    """In words, the picture and the table."""
    page.subsection(
        "How many to give it to",
        f"In {unit} of all customers, by the share that is given the offer, the highest predicted profit first "
        "(value × effect − costs).",
        profit_words(found, unit),
    )
    page.chart(drawn(found, unit), "Profit by share given the offer, with its 95 % band; the bar is the best share.")
    page.table(
        [
            {
                "% given": round(point["share"]),
                "profit": point["value"],
                "95 % interval": interval(point["lower"], point["upper"]),
            }
            for point in found["curve"][:: len(SHARES) // 10]
        ],
        summary="The curve as a table",
    )


def profit_words(found: Figures, unit: str) -> str:
    """The best share, what it earns, and how that compares with giving it to everybody."""
    best, earns = found["best"], found["earns"]
    return (
        f"The best share is {best['share']:.0f} %; 95 times in 100 it lies between {best['lower']:.0f} and "
        f"{best['upper']:.0f} %. The height of a curve at its top is flattered by luck: chosen in the other folds, "
        f"the best share earns {signed(earns['value'])} {unit} (95 % interval "
        f"{interval(earns['lower'], earns['upper'])}). {_than_everybody(found['more'])}"
    )


def _than_everybody(more: Figures) -> str:
    if more["lower"] == more["upper"]:
        return "In each fold that is giving it to everybody."
    than = "from" if more["verdict"] == FLAT else "than"
    around = f"{signed(more['value'])}, {interval(more['lower'], more['upper'])}"
    return f"That is {more['verdict']} {than} giving it to everybody ({around})."
