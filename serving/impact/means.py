"""Means: what is known of a group of customers, and each metric of it alone, with its interval."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from scipy import stats

from features.words import many
from serving.experiments.conversion import Curve, curve, horizon, median, restricted_mean
from serving.experiments.lapse import LEAVING
from serving.experiments.metrics import Metric
from serving.experiments.moments import MIN_CUSTOMERS, Moments
from serving.experiments.values import Cell, Columns, waits

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from serving.experiments.worth import Worth

Said = dict[str, Any]
NOTHING: Said = dict.fromkeys(("mean", "lower", "upper"))


@dataclass(frozen=True)
class Group:
    """By metric the moments, the curve of one of time, the worth of one of value (in which the group is `arm`), and why
    a model says nothing.
    """

    arm: str
    moments: Mapping[str, Moments]
    curves: Mapping[str, Curve]
    worths: Mapping[str, Worth] = field(default_factory=dict)
    untold: Mapping[str, str] = field(default_factory=dict)

    def told(self, one: Columns) -> Said:
        """A metric of this group, with its interval; `untold` says why where nothing can be said."""
        if one.metric.kind == "time":
            return _time(one, self.curves.get(one.metric.key))
        if one.metric.kind == "value":
            return _value(one, self.worths[one.metric.key], self.arm)
        moments = self.moments.get(one.metric.key)
        if moments is None or moments.count < MIN_CUSTOMERS:
            count = 0 if moments is None else moments.count
            return {"customers": count} | NOTHING | {"untold": self._why(one, count)}
        return {"customers": moments.count} | _interval(one.metric, moments)

    def _why(self, one: Columns, count: int) -> str:
        few = f"the windows of {many(count, 'customer')} have closed; at least {MIN_CUSTOMERS} are needed"
        if one.metric.kind in LEAVING:
            known = f"{many(count, 'customer')} had ordered before, whose windows have closed"
            few = f"{known}; at least {MIN_CUSTOMERS} are needed"
        return self.untold.get(one.metric.key, few)


def curves_of(
    table: ir.Table, told: Sequence[Columns], as_of: datetime, by: Sequence[str] = ("arm",)
) -> dict[Cell, dict[str, Curve]]:
    """Per cell, of each metric of time, its curve."""
    found: dict[Cell, dict[str, Curve]] = {}
    for one in told:
        if one.metric.kind == "time":
            for cell, seen in waits(table, one, as_of, by=by).items():
                found.setdefault(cell, {})[one.metric.key] = curve(*seen)
    return found


def _interval(metric: Metric, moments: Moments) -> Said:
    """Wilson's where the values are 0 and 1, or nothing varies; else Student's, of a ratio by the delta method."""
    from serving.experiments.analysis import Shape

    shape = Shape(ratio=metric.denominator is not None)
    mean = shape.mean(moments)
    if math.isnan(mean):
        return NOTHING
    own = _without_past(moments, 2 if shape.ratio else 1)
    variance = max(own.along(shape.weights(own))[1], 0.0)
    yes_or_no = metric.numerator.sum == "any" or metric.numerator.at_least is not None or metric.kind == "lapsed"
    if 0 <= mean <= 1 and (yes_or_no or (variance == 0 and shape.ratio)):
        found = stats.binomtest(round(mean * own.count), own.count).proportion_ci(method="wilson")
        return {"mean": mean, "lower": float(found.low), "upper": float(found.high)}
    reach = float(stats.t.isf(0.025, own.count - 1)) * math.sqrt(variance / own.count)
    return {"mean": mean, "lower": mean - reach, "upper": mean + reach}


def _without_past(moments: Moments, size: int) -> Moments:
    """The moments without the customers' own past, which a description does not take off."""
    return Moments(moments.count, moments.mean[:size], moments.covariance[:size, :size])


def _time(one: Columns, waited: Curve | None) -> Said:
    """Days waited in the mean of the window, and the day by which half had ordered, as far as enough were seen."""
    nothing: Said = {"customers": 0} | NOTHING | {"tau_days": None, "median": None}
    if waited is None:
        return nothing
    nothing |= {"customers": int(waited.at_risk[0])}
    try:
        tau = min(float(one.window.days), horizon([waited]))
        mean = restricted_mean(waited, tau)
    except ValueError as error:  # too few customers
        return nothing | {"untold": str(error)}
    reach, half = float(stats.norm.isf(0.025)) * math.sqrt(mean.variance), median(waited)
    return nothing | {
        "mean": mean.estimate,
        "lower": mean.estimate - reach,
        "upper": mean.estimate + reach,
        "tau_days": tau,
        "median": half.estimate if math.isfinite(half.estimate) else None,
    }


def _value(one: Columns, found: Worth, arm: str) -> Said:
    """What a customer brought and is expected to bring, with the uncertainty of both."""
    from serving.experiments.compared import of_worth

    lower, upper = found.interval(arm) or (None, None)
    return of_worth(found, arm, arm, one) | {"lower": lower, "upper": upper, "window_days": one.window.days}
