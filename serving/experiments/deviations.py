"""Deviations: how much customers differ in each metric, which is what the size of a test depends on.

mean, ratio, time   of one customer's value, less what the own past explains
value               of an arm's value relative to it, times the root of its customers: two halves of the past, as a test
alive, lapsed       of who had ordered before, spread over all: only some customers tell it
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from serving.experiments.analysis import Shape
from serving.experiments.lapse import lapses
from serving.experiments.moments import Moments
from serving.experiments.values import Columns, capped, cells, waits
from serving.experiments.worth import Bought, Worth, bought

if TYPE_CHECKING:
    import ibis.expr.types as ir

ALL = "all"  # the one arm of the past
HALVES = ("one half", "the other half")


@dataclass(frozen=True)
class Spread:
    """Of one customer's value of a metric: its mean, its standard deviation, and the share of the variance that the own
    past explains. `relative`: the logarithm of the arms' ratio is what is tested.
    """

    mean: float
    deviation: float
    explained: float = 0.0
    relative: bool = False


def spreads(table: ir.Table, told: Sequence[Columns], as_of: datetime) -> tuple[dict[str, Spread], dict[str, str]]:
    """Of the metrics that can be planned, by key; and of others why not. `as_of`: every window has closed by then."""
    moments = cells(capped(table, told), told, as_of).get((ALL,), {})
    left, untold = lapses(table, told, as_of)
    found = {one.metric.key: _of_moments(one, moments[one.metric.key]) for one in told if one.metric.key in moments}
    for one in told:
        key = one.metric.key
        if one.metric.kind == "time":
            found[key] = _waited(table, one, as_of)
        elif one.metric.kind == "value":
            value = _of_value(_halves(bought(table, one, as_of), one))
            if isinstance(value, str):
                untold[key] = value
            else:
                found[key] = value
        elif key in left.get((ALL,), {}):
            found[key] = _of_some(left[(ALL,)][key], table.count().to_pyarrow().as_py())
    return found, untold


def _of_moments(one: Columns, found: Moments) -> Spread:
    shape = Shape.of(one.metric)
    if shape.ratio and not found.mean[1] > 0:
        return Spread(math.nan, math.nan)
    whole = found.along(shape.weights(found))[1]
    rest = max(found.along(shape.rest(found, shape.explained(found)))[1], 0.0)
    return Spread(shape.mean(found), math.sqrt(rest), 1 - rest / whole if whole > 0 else 0.0)


def _of_some(found: Moments, customers: int) -> Spread:
    """A test of so many customers has fewer who tell anything."""
    variance = float(found.covariance[0, 0]) * customers / found.count
    return Spread(float(found.mean[0]), math.sqrt(variance))


def _waited(table: ir.Table, one: Columns, as_of: datetime) -> Spread:
    """Of the days waited of the window; whoever did not do it has waited all of it."""
    days, _, people = waits(table, one, as_of)[(ALL,)]
    mean = float(np.average(days, weights=people))
    return Spread(mean, math.sqrt(float(np.average((days - mean) ** 2, weights=people))))


def _halves(did: dict[tuple[object, ...], Bought], one: Columns) -> Worth:
    """Every other customer, in the order of what they bought: two arms as alike as can be."""
    columns = did[(ALL,)].columns if (ALL,) in did else (np.zeros(0),) * 4
    arms = {half: Bought(*(column[place::2] for column in columns)) for place, half in enumerate(HALVES)}
    return Worth.of(arms, one.window.days, one.horizon)


def _of_value(halves: Worth) -> Spread | str:
    """The error of a test of the halves is the deviation times sqrt(1 / n + 1 / m); or why there is no test."""
    test, (one, other) = halves.test(*HALVES), HALVES
    if test is None:
        return halves.why(one, other) or "nobody differs"
    sizes = [halves.customers[half] for half in HALVES]
    mean = float(np.average([halves.mean(half) or 0.0 for half in HALVES], weights=sizes))
    return Spread(mean, test.error / math.sqrt(1 / sizes[0] + 1 / sizes[1]), relative=True)
