"""Novelty: the effect of each day since the first exposure, and whether it is another one at first than later.

    customer  day 1  2  3 | 4 ... 14        of a window of 14 days: the first third against the rest, per day
    ann           0 20  0 |  0 ... 5        each customer's own difference, compared between the arms by one test

A day counts for the customers for whom it is over; its value is what happened in those 24 hours. The intervals of the
days are those of one look, each for itself: of fourteen days one is off by chance in every second report.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import ibis
import numpy as np

from features.engine import held
from features.events import utc
from serving.experiments.analysis import Shape, compare
from serving.experiments.gathered import CLICKS, Gathered
from serving.experiments.moments import Moments
from serving.experiments.sums import DAY, summed
from serving.experiments.values import Columns, joined

if TYPE_CHECKING:
    import ibis.expr.types as ir

SHORTEST = 3  # days: a window that has a first third
Said = dict[str, Any]
EARLY, LATE, CHANGE = np.eye(2)[0], np.eye(2)[1], np.array([1.0, -1.0])


def novelty(gathered: Gathered) -> Said | None:
    """Of the first primary metric of means whose days add up; None where there is none or its window is too short."""
    one = next((one for one in gathered.columns(gathered.primary, ("mean",)) if _daily(one)), None)
    if one is None:
        return None
    values = held(_values(gathered, one))
    values = _capped(values, one.metric.cap)
    days, parts = _by_day(gathered, one, values), _by_part(gathered, one, values)
    control, *others = gathered.experiment.arms
    return {
        "metric": one.metric.key,
        "window_days": one.window.days,
        "first_days": _third(one),
        "arms": [
            {
                "arm": arm,
                "days": list(_effects(days[arm], days[control])),
                "change": _change(parts[arm], parts[control]),
            }
            for arm in others
            if gathered.counts[arm]
        ],
    }


def _daily(one: Columns) -> bool:
    return one.metric is not CLICKS and one.metric.numerator.at_least is None and one.window.days >= SHORTEST


def _third(one: Columns) -> int:
    return max(1, one.window.days // 3)


def _values(gathered: Gathered, one: Columns) -> ir.Table:
    """A row per customer and day since the exposure on which something happened."""
    people = ibis.memtable(gathered.people.select(["customer", "arm", "first"]))
    rows = joined(gathered.events, people, [one])
    seconds = rows.time.epoch_seconds() - rows["first"].epoch_seconds()
    rows = rows.mutate(day=(seconds / DAY).floor().cast("int64"))
    inside = (rows.time >= rows["first"]) & (rows.day >= 0) & (rows.day < one.window.days)
    found = rows.filter(inside).group_by(["customer", "arm", "first", "day"])
    return found.aggregate(value=lambda some: summed(some, one.metric.numerator, some.day >= 0))


def _capped(values: ir.Table, cap: float | None) -> ir.Table:
    """What is above this quantile of a customer's days counts as it."""
    if cap is None:
        return values
    most = values.filter(values.value != 0).value.quantile(cap).to_pyarrow().as_py()
    return values if most is None else values.mutate(value=values.value.clip(upper=most))


def _by_day(gathered: Gathered, one: Columns, values: ir.Table) -> dict[str, list[Moments]]:
    """Per arm, of each day, the moments of the customers for whom it is over."""
    until = ibis.literal(utc(gathered.now)).epoch_seconds()
    over = values.filter(values["first"].epoch_seconds() + (values.day + 1) * int(DAY) <= until)
    sums = over.group_by(["arm", "day"]).aggregate(s=over.value.sum(), ss=(over.value**2).sum()).to_pyarrow()
    known = {(row["arm"], row["day"]): (row["s"], row["ss"]) for row in sums.to_pylist()}
    found: dict[str, list[Moments]] = {arm: [] for arm in gathered.experiment.arms}
    for arm, days in found.items():
        for day in range(one.window.days):
            total, squares = known.get((arm, day), (0.0, 0.0))
            days.append(_moments(_waited(gathered, arm, day + 1), [total], [[squares]]))
    return found


def _by_part(gathered: Gathered, one: Columns, values: ir.Table) -> dict[str, Moments]:
    """Per arm, of the customers whose window has closed, what a day of the first third and one of the rest has."""
    closed = values.filter(values["first"] <= utc(gathered.now) - one.window)
    third, rest = _third(one), one.window.days - _third(one)
    each = closed.group_by(["customer", "arm"]).aggregate(
        e=closed.value.sum(where=closed.day < third).fill_null(0.0) / third,
        l=closed.value.sum(where=closed.day >= third).fill_null(0.0) / rest,
    )
    sums = each.group_by("arm").aggregate(
        e=each.e.sum(), l=each.l.sum(), ee=(each.e**2).sum(), ll=(each.l**2).sum(), el=(each.e * each.l).sum()
    )
    known: Mapping[str, Said] = {row["arm"]: row for row in sums.to_pyarrow().to_pylist()}
    nothing = dict.fromkeys(("e", "l", "ee", "ll", "el"), 0.0)
    found = {}
    for arm in gathered.experiment.arms:
        row = known.get(arm, nothing)
        squares = [[row["ee"], row["el"]], [row["el"], row["ll"]]]
        found[arm] = _moments(_waited(gathered, arm, one.window.days), [row["e"], row["l"]], squares)
    return found


def _waited(gathered: Gathered, arm: str, days: int) -> int:
    """The arm's customers whose first exposure is so many days ago."""
    until = np.datetime64(utc(gathered.now) - timedelta(days=days))
    return int(np.searchsorted(gathered.firsts[arm], until, side="right"))


def _moments(count: int, sums: list[float], squares: list[list[float]]) -> Moments:
    """From the sums of columns and of their products over so many customers, most of whom did nothing."""
    mean = np.array(sums) / max(count, 1)
    return Moments(count, mean, (np.array(squares) - count * np.outer(mean, mean)) / max(count - 1, 1))


def _effects(ours: list[Moments], theirs: list[Moments]) -> Iterator[Said]:
    for day, (own, others) in enumerate(zip(ours, theirs, strict=True), 1):
        test = compare(others, own, Shape())
        if test is not None:
            ends = {"difference": test.difference, "lower": test.lower, "upper": test.upper}
            yield {"day": day, "customers": own.count + others.count} | ends


def _change(ours: Moments, theirs: Moments) -> Said | None:
    """The effect per day in the first third and after it, and the test of whether they are the same."""
    told = {name: compare(_of(theirs, weights), _of(ours, weights), Shape()) for name, weights in PARTS.items()}
    test = told["change"]
    if test is None:
        return None
    early, late = (one.difference if (one := told[name]) is not None else 0.0 for name in ("early", "late"))
    found = {"early": early, "late": late, "difference": test.difference, "lower": test.lower, "upper": test.upper}
    return found | {"p_value": test.p_value, "verdict": _words(test.lower, test.upper)}


PARTS = {"early": EARLY, "late": LATE, "change": CHANGE}


def _of(arm: Moments, weights: Any) -> Moments:
    mean, variance = arm.along(weights)
    return Moments(arm.count, np.array([mean]), np.array([[max(variance, 0.0)]]))


def _words(lower: float, upper: float) -> str:
    if not math.isfinite(lower) or lower <= 0 <= upper:
        return "no change with time to be seen"
    return "higher at first than later" if lower > 0 else "lower at first than later"
