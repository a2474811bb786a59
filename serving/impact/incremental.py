"""Incremental: what came of the treated that would not have come without, by comparison with the global holdout.

    incremental of a cell = treated customers x (sum per treated customer - sum per customer of the holdout)

A cell is a month, a channel, a campaign or a segment; everything is summed per customer and cell first, and a customer
without anything in it counts as 0. The number of customers is the same in every cell, so cells that add up to the whole
have increments that add up to its increment, exactly. The customers' own past is taken off of each (CUPED), by a factor
that is linear in what is measured, so that the sum stays one. Interval and p-value: `analysis.compare`, one variance
for both arms, nothing capped, because capped money does not add up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from serving.experiments.moments import MIN_CUSTOMERS, Moments
from serving.impact.orders import EARLIER, SUMS

if TYPE_CHECKING:
    import ibis.expr.types as ir

Said = dict[str, Any]
Key = Any  # of a cell
PARTS = ("sum", "square", "cross")
NUMBERS = ("incremental", "lower", "upper", "p_value", "lift", "lift_lower", "lift_upper")
NOTHING_TO_SAY: Said = dict.fromkeys(NUMBERS)


@dataclass(frozen=True)
class Past:
    """The customers' own past: per arm and measure its sum and the sum of its squares; `table` has it per customer."""

    table: ir.Table
    sums: Mapping[bool, Mapping[str, tuple[float, float]]]


@dataclass(frozen=True)
class Sums:
    """Of a cell, per arm and measure: the sum over customers, of their squares, and of their products with the past."""

    arms: Mapping[bool, Mapping[str, tuple[float, float, float]]]
    cost: float

    def of(self, treated: bool, measure: str) -> tuple[float, float, float]:  # noqa: FBT001  # the arm, a key
        return self.arms.get(treated, {}).get(measure, (0.0, 0.0, 0.0))


def past(found: ir.Table, people: ir.Table) -> Past:
    """From the facts before the period."""
    from features.engine import held

    own = found.filter(found.month == EARLIER).group_by("customer")
    table = held(own.aggregate(**{f"{name}_before": found[name].sum() for name in SUMS}))
    joined = table.inner_join(people, "customer")
    asked = {f"{name}_{power}": (joined[f"{name}_before"] ** power).sum() for name in SUMS for power in (1, 2)}
    rows = joined.group_by("treated").aggregate(**asked).to_pyarrow().to_pylist()
    sums = {
        row["treated"]: {name: (_number(row[f"{name}_1"]), _number(row[f"{name}_2"])) for name in SUMS} for row in rows
    }
    return Past(table, sums)


def summed(
    found: ir.Table, keys: Iterable[str], people: ir.Table, before: Past, members: ir.Table | None = None
) -> dict[tuple[Key, ...], Sums]:
    """The sums of each cell; `keys` are columns of the facts, none: one cell of all.

    With `members` (`population.MEMBERS`) it is their cell, in which a customer counts so many times.
    """
    names, inside = list(keys), found.filter(found.month != EARLIER)
    each = inside.group_by(["customer", *names]).aggregate(**{name: inside[name].sum() for name in (*SUMS, "cost")})
    rows = each.inner_join(people, "customer").left_join(before.table, "customer").drop("customer_right")
    if members is not None:
        rows, names = rows.inner_join(members, "place"), ["cell"]
    times = 1.0 if members is None else rows.times
    asked: dict[str, Any] = {"cost": (times * rows.cost).sum()}
    for name in SUMS:
        own = rows[f"{name}_before"].fill_null(0.0)
        asked |= {
            f"{name}_sum": (times * rows[name]).sum(),
            f"{name}_square": ((times * rows[name]) ** 2).sum(),
            f"{name}_cross": (times * rows[name] * own).sum(),
        }
    cells: dict[tuple[Key, ...], list[dict[str, Any]]] = {}
    for row in rows.group_by(["treated", *names]).aggregate(**asked).to_pyarrow().to_pylist():
        cells.setdefault(tuple(row[name] for name in names), []).append(row)
    return {key: _sums(rows_) for key, rows_ in cells.items()}


def _sums(rows: Iterable[Mapping[str, Any]]) -> Sums:
    arms, cost = {}, 0.0
    for row in rows:
        cost += _number(row["cost"])
        arms[row["treated"]] = {
            name: (_number(row[f"{name}_sum"]), _number(row[f"{name}_square"]), _number(row[f"{name}_cross"]))
            for name in SUMS
        }
    return Sums(arms, cost)


def told(cell: Sums, measure: str, people: Mapping[bool, int], before: Past) -> Said:
    """What a report says of one measure in one cell; nothing incremental where there is no holdout to compare with."""
    sums = {arm: cell.of(arm, measure)[0] for arm in (True, False)}
    found: Said = {
        "treated": sums[True],
        "held_out": sums[False],
        "per_treated": sums[True] / people[True] if people[True] else None,
        "per_held_out": sums[False] / people[False] if people[False] else None,
    }
    if min(people.values()) < MIN_CUSTOMERS:
        return found | NOTHING_TO_SAY | {"verdict": None}
    return found | compared(
        *(
            moments(people[arm], cell.of(arm, measure), before.sums.get(arm, {}).get(measure, (0.0, 0.0)))
            for arm in (False, True)
        )
    )


def moments(count: int, sums: tuple[float, float, float], before: tuple[float, float]) -> Moments:
    """The moments of an arm's customers: what was measured, and their own past."""
    total, square, cross = sums
    own, own_square = before
    mean = np.array([total, own]) / count
    products = np.array([[square, cross], [cross, own_square]])
    covariance = (products - count * np.outer(mean, mean)) / (count - 1)
    np.fill_diagonal(covariance, np.maximum(np.diag(covariance), 0.0))  # rounding
    return Moments(count, mean, covariance)


def compared(held: Moments, treated: Moments) -> Said:
    """The increment over all treated customers, with its interval; a second column is their own past."""
    from serving.experiments.analysis import Shape, compare

    test = compare(held, treated, Shape(before=len(held.mean) > 1))
    if test is None:
        return NOTHING_TO_SAY | {"incremental": 0.0, "lower": 0.0, "upper": 0.0, "verdict": "not distinguishable"}
    return {
        "incremental": treated.count * test.difference,
        "lower": treated.count * test.lower,
        "upper": treated.count * test.upper,
        "p_value": float(test.p_value),
        **{name: _finite(getattr(test, name)) for name in ("lift", "lift_lower", "lift_upper")},
        "verdict": "more" if test.lower > 0 else "less" if test.upper < 0 else "not distinguishable",
    }


def discovered(rows: Iterable[Mapping[str, Said | None]]) -> None:
    """Gives the cells of a breakdown their p-values among each other: of many, some differ by chance."""
    from serving.experiments.discovery import adjusted

    cells = [row[name] for row in rows for name in SUMS]
    tested = [cell for cell in cells if cell is not None]
    given = np.array([np.nan if one["p_value"] is None else one["p_value"] for one in tested], np.float64)
    for one, p_value in zip(tested, adjusted(given).tolist() if len(given) else [], strict=True):
        one["p_adjusted"] = None if math.isnan(p_value) else p_value


def _number(value: float | None) -> float:
    return 0.0 if value is None else float(value)


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
