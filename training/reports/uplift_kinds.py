"""Persuadable, sure thing, lost cause, do-not-disturb: the share of each kind, at least and at most."""

from __future__ import annotations

from typing import Any

from training.intervals import Influenced
from training.metrics.kinds import Share, shares
from training.pipelines.policy import PolicyLog, Worth
from training.pipelines.uplift_evaluation import CHOSEN
from training.reports.page import Page, interval
from training.reports.uplift_charts import kinds
from training.uplift.out_of_fold import OutOfFold
from training.uplift.rows import is_binary

Figures = dict[str, Any]
WHO = {
    "persuadable": "only with the offer",
    "sure thing": "with and without it",
    "lost cause": "neither with it nor without",
    "do-not-disturb": "only without the offer",
}


def kinds_of(oof: OutOfFold, offer: str) -> list[Figures] | None:
    """Per kind its bounds in %; None where the outcome is not one of 0 and 1."""
    if not is_binary(oof.outcome):
        return None
    number = oof.offers.index(offer)
    logged = PolicyLog(oof, Worth.of(oof.offers, ())).logged  # money is then the outcome
    helps = oof.prediction[CHOSEN][:, number] > 0
    likely = oof.expected[:, 0] + oof.expected[:, number + 1] > 1
    return [_kind(one) for one in shares(logged, number + 1, helps=helps, likely=likely)]


def _kind(one: Share) -> Figures:
    lower, upper = one.interval
    least, most = _percent(one.least.value), _percent(one.most.value)
    bounds = {"least": least, "most": max(least, most), "lower": _percent(lower), "upper": _percent(upper)}
    return {"kind": one.kind, **bounds, "one_way": _estimate(one.one_way)}


def _estimate(one: Influenced) -> dict[str, float]:
    found = one.interval
    values = {"value": found.estimate, "lower": found.lower, "upper": found.upper}
    return {name: _percent(value) for name, value in values.items()}


def _percent(share: float) -> float:
    return 100 * min(max(share, 0.0), 1.0)  # a share, whatever the noise of its estimate


def section(page: Page, found: list[Figures] | None, outcome: str) -> None:
    """What the kinds are, their bounds as a picture, and the table."""
    title = "Persuadable, sure thing, lost cause, do-not-disturb"
    if found is None:
        page.subsection(title, f"These four are for outcomes of yes or no; {outcome} is an amount.")
        return
    page.subsection(
        title,
        "Nobody is seen both with the offer and without it, so nobody can say which kind a person is, and the shares "
        "are known only up to bounds, however many customers are tested. The thick bar is what the data leave open, "
        "the thin one adds their noise (95 %). The last columns hold if customers who look alike are all moved the "
        "same way, or not at all, and the choice says rightly which way: the first no test can check.",
    )
    page.chart(kinds(found), "The share of each kind: between which bounds it lies, with 95 % intervals.")
    page.table([_row(row, outcome) for row in found])


def _row(row: Figures, outcome: str) -> Figures:
    one = row["one_way"]
    return {
        "kind": row["kind"],
        "at least %": row["least"],
        "at most %": row["most"],
        "95 % interval": interval(row["lower"], row["upper"]),
        "moved one way %": one["value"],
        "its 95 % interval": interval(one["lower"], one["upper"]),
        outcome: WHO[row["kind"]],
    }
