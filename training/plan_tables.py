"""What is told of a plan: profit against budget, who gets what, and the lines of `attune plan`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from training.policies.allotment import NOBODY, Allotment, Array
from training.policies.budget import Plan, plan

CURVE = 20_000  # customers from whom the curve is drawn: its error is far below what a reader sees
POINTS = 11
FIFTHS = ("lowest fifth", "second fifth", "middle fifth", "fourth fifth", "highest fifth")


def curve(allotment: Allotment) -> list[dict[str, float]]:
    """Budget, spend, profit and its bound, from no budget to all that can be spent at a profit; other limits stay."""
    few = allotment.sample(CURVE)
    scale = allotment.profit.shape[1] / max(few.profit.shape[1], 1)
    first, *others = few.limits
    free = plan(replace(few, limits=tuple(others)))
    points: list[dict[str, float]] = []
    for budget in np.unique(np.linspace(0, free.spend, POINTS)).tolist():
        made = plan(replace(few, limits=(replace(first, most=budget), *others)))
        point = {"budget": budget, "spend": made.spend, "profit": made.profit, "bound": made.bound}
        if points and point["profit"] * scale < points[-1]["profit"]:  # a plan for less money is one for more too
            point |= {name: points[-1][name] / scale for name in ("spend", "profit")}
        points.append({name: value * scale for name, value in point.items()})
    return points


def segments(effect: Array, made: Plan, keys: Sequence[str]) -> list[dict[str, Any]]:
    """Fifths of the customers by their largest effect, and how many of each get which offer."""
    fifth = np.searchsorted(np.quantile(effect, (0.2, 0.4, 0.6, 0.8)), effect, side="right") if len(effect) else effect
    found = []
    for number, name in enumerate(FIFTHS):
        rows = fifth == number
        given = {key: int((made.choice[rows] == offer).sum()) for offer, key in enumerate(keys)}
        given["nothing"] = int((made.choice[rows] == NOBODY).sum())
        mean = float(effect[rows].mean()) if rows.any() else None
        found.append({"segment": name, "customers": int(rows.sum()), "largest_effect": mean, "given": given})
    return found


def lines(facts: Mapping[str, Any]) -> Iterator[str]:
    """The plan in words and tables."""
    currency, asked = facts["currency"], facts["limits"][0]
    yield f"spend: {facts['spend']:,.2f} of {asked['most']:,.2f} {currency} expected, {facts['contacts']:,} contacts"
    yield (
        f"profit: {facts['profit']:,.2f} {currency} expected, no plan within these limits earns more than "
        f"{facts['bound']:,.2f} (gap {facts['gap']:.4%})"
    )
    need = facts["curve"][-1]["budget"]
    if asked["most"] > need and not asked["price"]:
        yield f"the budget is beyond need: about {need:,.2f} {currency} is all that can be spent at a profit"
    yield from _limits(facts["limits"])
    yield from _curve(facts["curve"], currency)
    yield from _segments(facts["segments"])
    yield "prices: kept with the release; the service decides by them (offers.policy: budgeted) after its next start"


def _limits(limits: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    width = max(len(limit["name"]) for limit in limits)
    yield f"{'limit':<{width}} {'at most':>14} {'used':>14}  one more earns"
    for limit in limits:
        yield f"{limit['name']:<{width}} {limit['most']:>14,.2f} {limit['used']:>14,.2f}  {limit['price']:.4f}"


def _curve(points: Sequence[Mapping[str, float]], currency: str) -> Iterator[str]:
    yield f"{'budget ' + currency:>14} {'profit':>14} {'at most':>14}"
    for point in points:
        yield f"{point['budget']:>14,.2f} {point['profit']:>14,.2f} {point['bound']:>14,.2f}"


def _segments(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    keys = list(found[0]["given"])
    widths = [max(len(key), 9) for key in keys]
    heads = " ".join(f"{key:>{width}}" for key, width in zip(keys, widths, strict=True))
    yield f"{'by largest effect':<17} {'mean':>9} {'customers':>9} {heads}"
    for one in found:
        mean = "" if one["largest_effect"] is None else f"{one['largest_effect']:.4g}"
        given = " ".join(f"{one['given'][key]:>{width},}" for key, width in zip(keys, widths, strict=True))
        yield f"{one['segment']:<17} {mean:>9} {one['customers']:>9,} {given}"
