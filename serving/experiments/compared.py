"""Compared: what each metric says of each arm, and of its difference to the control, as plain values of a report.

mean, ratio   moments of the customers whose window has closed       -> analysis.compare
time          curves of all assigned, seen until now or their window -> conversion.difference
alive, lapsed what a model says of each customer who had ordered     -> analysis.compare
value         orders of the customers whose window has closed        -> worth.Worth.test
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

from features.words import many
from serving.experiments.analysis import Shape, Told, compare, verdict
from serving.experiments.bayes import Summary, lift_of_means, weak_prior
from serving.experiments.conversion import BOUND, Curve, curve, difference, drawn, horizon, restricted_mean
from serving.experiments.lapse import LEAVING, lapses
from serving.experiments.looks import Looks
from serving.experiments.moments import MIN_CUSTOMERS, Moments
from serving.experiments.returns import returned
from serving.experiments.values import Columns, capped, cells, waits
from serving.experiments.worth import Worth, worth

if TYPE_CHECKING:
    import ibis.expr.types as ir

Said = dict[str, Any]
TESTED = ("difference", "lower", "upper", "p_value", "lift", "lift_lower", "lift_upper", "error")
NUMBERS = (*TESTED, "chance_to_beat", "expected_loss")
UNTOLD: Said = {**dict.fromkeys(NUMBERS), "verdict": verdict(0.0, 0.0)}  # nobody differs: there is nothing to test


@dataclass(frozen=True)
class Evidence:
    """Per arm and metric the moments, and of a metric of time the curve; per metric of value what it is by arm."""

    moments: Mapping[str, Mapping[str, Moments]]
    curves: Mapping[str, Mapping[str, Curve]]
    worths: Mapping[str, Worth] = field(default_factory=dict)
    untold: Mapping[str, str] = field(default_factory=dict)  # by metric why its model says nothing

    @classmethod
    def of(cls, table: ir.Table, told: Sequence[Columns], as_of: datetime) -> Self:
        """From the table of values."""
        moments = {arm: found for (arm,), found in cells(capped(table, told), told, as_of).items()}
        curves: dict[str, dict[str, Curve]] = {}
        for one in told:
            if one.metric.kind == "time":
                for (arm,), seen in waits(table, one, as_of).items():
                    curves.setdefault(arm, {})[one.metric.key] = curve(*seen)
        left, untold = lapses(table, told, as_of)
        for (arm,), own in left.items():
            moments.setdefault(arm, {}).update(own)
        valued = [one for one in told if one.metric.kind == "value"]
        return cls(moments, curves, {one.metric.key: worth(table, one, as_of) for one in valued}, untold)

    def of_arm(self, arm: str, control: str, told: Sequence[Columns], looks: Looks | None = None) -> dict[str, Said]:
        """By metric what it is in the arm and, but for the control, how that differs: at this look, or at one only."""
        return {one.metric.key: found for one in told if (found := self._said(arm, control, one, looks))}

    def _said(self, arm: str, control: str, one: Columns, looks: Looks | None) -> Said:
        key = one.metric.key
        if one.metric.kind == "time":
            ours, theirs = (self.curves.get(name, {}).get(key) for name in (arm, control))
            others = None if arm == control else theirs
            return {} if ours is None or theirs is None else _waited(ours, others, one, looks)
        if one.metric.kind == "value":
            found = self.worths.get(key)
            return {} if found is None else of_worth(found, arm, control, one, looks)
        if one.metric.kind in LEAVING:
            having = {name for name, own in self.moments.items() if key in own}
            if (having or key in self.untold) and not {arm, control} <= having:  # of a segment neither is known
                why = self.untold.get(key, "nobody of an arm had ordered before the first exposure")
                return {"customers": 0, "mean": None, "untold": why} | ({} if arm == control else UNTOLD)
        if key not in self.moments.get(arm, {}):
            return {}
        if one.metric.kind == "return":
            return _return(self.moments[arm][key], None if arm == control else self.moments[control][key], one, looks)
        return of_means(self.moments[arm][key], None if arm == control else self.moments[control][key], one, looks)


def of_means(ours: Moments, theirs: Moments | None, one: Columns, looks: Looks | None = None) -> Said:
    """What a metric of means or ratios is in an arm and, beside a control, how that differs."""
    shape = Shape.of(one.metric)
    found: Said = {"customers": ours.count, "mean": _finite(shape.mean(ours)) if ours.count else None}
    if theirs is None:
        return found
    test = compare(theirs, ours, shape, bound=None if looks is None else looks.bound(one.window))
    if test is None:
        return found | UNTOLD | {"untold": _why(ours, theirs, shape)}
    told = {name: _finite(value) for name, value in asdict(test).items()} | {"verdict": test.verdict}
    told |= _looked(test.difference / test.error, one, looks)
    return found | told | _believed(one, test, (theirs.count, shape.mean(theirs)), ours.count)


def _looked(z: float, one: Columns, looks: Looks | None) -> Said:
    """The p-value of this look, and its bound; nothing where there is one look."""
    bound = None if looks is None else looks.bound(one.window)
    if looks is None or bound is None:
        return {}
    return {"p_value": looks.p_value(z, one.window), "bound": _finite(bound)}


def _why(ours: Moments, theirs: Moments, shape: Shape) -> str:
    """Why nothing can be tested."""
    if (fewest := min(ours.count, theirs.count)) < MIN_CUSTOMERS:
        return f"the windows of {many(fewest, 'customer')} of an arm have closed; at least {MIN_CUSTOMERS} are needed"
    if shape.ratio and not all(arm.mean[1] > 0 for arm in (ours, theirs)):
        return "nobody of an arm has anything in the denominator"
    return "all customers of both arms have the same value" + (": 0" if not ours.mean[0] else "")


def _believed(one: Columns, test: Told, control: tuple[int, float], treated: int) -> Said:
    """The Bayesian view from the test's own difference and error, in the direction that is better."""
    others, mean = control
    sign = 1 if one.metric.better == "higher" else -1
    variance = test.error**2 / (1 / others + 1 / treated)  # of one customer
    theirs = Summary(others, sign * mean, variance / others)
    ours = Summary(treated, sign * (mean + test.difference), variance / treated)
    belief = lift_of_means(theirs, ours, weak_prior(theirs))
    return {"chance_to_beat": belief.beats, "expected_loss": belief.loss}


def of_worth(found: Worth, arm: str, control: str, one: Columns, looks: Looks | None = None) -> Said:
    """What a customer of the arm brought and is expected to bring; why, where nothing can be expected."""
    realised, mean = found.realised.get(arm), found.mean(arm)
    customers, others = (found.customers.get(name, 0) for name in (arm, control))
    said: Said = {
        "customers": customers,
        "mean": mean,
        "realised": realised,
        "forecast": None if mean is None or realised is None else mean - realised,
        "horizon_days": found.days,
    }
    if mean is None:
        said["untold"] = found.why(arm, arm) or f"no window of a customer of {arm!r} has closed"
    if arm == control:
        return said
    bound = None if looks is None else looks.bound(one.window)
    test, theirs = found.test(arm, control, bound), found.mean(control)
    if test is None or theirs is None or bound == math.inf:
        why = found.why(arm, control) or ("no planned look is due yet" if bound == math.inf else "nobody differs")
        return {"untold": why} | said | UNTOLD
    told = {name: _finite(value) for name, value in asdict(test).items()} | {"verdict": test.verdict}
    told |= _looked(test.difference / test.error, one, looks)
    return said | told | _believed(one, test, (others, theirs), customers)


def _return(ours: Moments, theirs: Moments | None, one: Columns, looks: Looks | None) -> Said:
    """Mean money and cost of a customer; beside the control the return, which has no mean of its own."""
    money, cost = (_finite(value) if ours.count else None for value in ours.mean[:2])
    said: Said = {"customers": ours.count, "mean": None, "money": money, "cost": cost}
    if theirs is None:
        return said
    found = returned(theirs, ours, None if looks is None else looks.bound(one.window))
    if isinstance(found, str):
        return said | UNTOLD | {"untold": found}
    z = found.pop("z")
    return said | UNTOLD | found | {"verdict": verdict(found["lower"], found["upper"])} | _looked(z, one, looks)


def _waited(ours: Curve, theirs: Curve | None, one: Columns, looks: Looks | None) -> Said:
    """Days waited of the first `tau_days`: those of the window that enough customers have been seen for."""
    both = [ours] if theirs is None else [ours, theirs]
    found: Said = {"customers": int(ours.at_risk[0]), "curve": _picture(ours)}
    try:
        tau = min(one.window.days, horizon(both))
        mean = restricted_mean(ours, tau)
    except ValueError as error:
        return found | {"mean": None, "tau_days": None, "untold": str(error)} | ({} if theirs is None else UNTOLD)
    found |= {"mean": mean.estimate, "tau_days": tau}
    if theirs is None:
        return found
    bound = None if looks is None else looks.bound(one.window)
    if bound == math.inf:
        return found | UNTOLD | {"untold": "no planned look is due yet"}
    test = difference(ours, theirs, tau, BOUND if bound is None else bound)
    told = {"difference": test.estimate, "lower": test.lower, "upper": test.upper, "p_value": test.p_value}
    told |= _looked(test.z, one, looks)
    return (
        found
        | UNTOLD
        | {name: _finite(value) for name, value in told.items()}
        | {"verdict": verdict(test.lower, test.upper)}
    )


def _picture(found: Curve) -> Said:
    return {name: values.round(6).tolist() for name, values in asdict(drawn(found)).items()}


def _finite(value: float) -> float | None:
    """JSON has no other numbers."""
    return float(value) if math.isfinite(value) else None
