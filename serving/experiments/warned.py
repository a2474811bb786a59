"""Warned: what a reader has to know of a report's numbers, in words."""

from __future__ import annotations

from collections.abc import Iterator

from features.words import many
from serving.experiments.gathered import Gathered

MUCH = 0.2  # of an arm's money: without this one customer its mean is a fifth lower, more than most tests look for


def warned(gathered: Gathered) -> list[str]:
    """In the order in which they matter; none where all is plain."""
    return [*_money(gathered), *_plan(gathered)]


def _plan(gathered: Gathered) -> Iterator[str]:
    if gathered.looks.planned is None:
        yield (
            "no size was planned: the intervals are true for one look, and each further look makes a false alarm "
            "likelier (`planned` in the experiment's file)"
        )
    fraction = gathered.looks.fraction(gathered.looks.window)
    if fraction is not None and fraction < 1 and gathered.looks.over(gathered.looks.window):
        yield f"the last day is over with {fraction:.0%} of the planned size: it finds less than was planned"
    if gathered.beyond:
        yield f"{many(gathered.beyond, 'customer')} came after the planned size was reached: not counted"


def _money(gathered: Gathered) -> Iterator[str]:
    """Of each sum of money per arm: that one customer has much of it, or that more was given back than paid."""
    asked = [one for one in gathered.told if one.metric.numerator.sum == "money" and one.metric.kind != "time"]
    rows = gathered.rows
    sums = {f"{one.value}_sum": rows[one.value].sum() for one in asked}
    most = {f"{one.value}_most": rows[one.value].max() for one in asked}
    found = rows.group_by("arm").aggregate(**sums, **most).order_by("arm").to_pyarrow().to_pylist() if asked else []
    for row in found:
        for one in asked:
            whole, largest = row[f"{one.value}_sum"], row[f"{one.value}_most"]
            if whole < 0:
                yield f"{one.metric.key} of {row['arm']} is below 0 in all: more was given back than paid"
            elif whole > 0 and largest > MUCH * whole:
                capped = "" if one.metric.cap is None else "; what is above the cap does not count"
                yield f"one customer has {largest / whole:.0%} of the {one.metric.key} of {row['arm']}{capped}"
