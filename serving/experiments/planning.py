"""Planning: what effect a test of some size would find, how large it must be for one, and what it costs.

    smallest effect   found with a power of 80 %: drift x sigma x sqrt(1 / (n p) + 1 / (n q)), p, q the arms' shares
    drift             what z must be in the mean at the end, for the planned looks: 2.80 without any before
    sigma             of one customer's value in the past, one for both arms, less what the own past explains (CUPED);
                      of lifetime value relative to the mean: what is found is a ratio of exp(drift x sigma x sqrt(..))

Of several arms the one that is told least about decides: that with the smallest share.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.optimize import brentq

from features.words import many
from features.workspace import Workspace
from serving.experiments.bounds import anytime, bounds, passing
from serving.experiments.definitions import Experiment, Planned
from serving.experiments.deviations import Spread
from serving.experiments.metrics import Metric, chosen, read_metrics
from serving.experiments.past import SEEN_DAYS, Past, read_past

POWER = 0.8
MOST_LOOKS = 60  # of looks at will one a day, and of a long test fewer: more find nothing that these do not
MOST_LOG = 700.0  # beyond e^this floats end
MONEY = "revenue"  # the metric by which is told what a test costs
Said = dict[str, Any]


@dataclass(frozen=True)
class Size:
    """How large the test is: its customers in all arms, and the days that bring them (None: no number of days does)."""

    customers: float
    days: int | None


@lru_cache(maxsize=64)
def drift_needed(looks: int | str, days: int = SEEN_DAYS, power: float = POWER) -> float:
    """The mean of z at the planned size with which one of these looks finds an effect with this power.

    `looks`: so many, evenly spread, or `any`: one a day, of so many `days`, each by the confidence sequence.
    """
    number = min(days, MOST_LOOKS) if looks == "any" else int(looks)
    fractions = np.arange(1, number + 1) / number
    limits = anytime(fractions) if looks == "any" else bounds(fractions)
    return float(brentq(lambda drift: passing(drift, fractions, limits)[-1] - power, 0.0, 20.0, xtol=1e-6))


def spread_over(shares: Mapping[str, float]) -> float:
    """1 / p + 1 / q of the control and the smallest other arm: the variance of a difference times n / sigma^2."""
    control, *others = (share for share in shares.values() if share > 0)
    return 1 / control + 1 / min(others)


def smallest(spread: Spread, shares: Mapping[str, float], customers: float, drift: float) -> float:
    """The smallest difference, upwards, that a test of so many customers finds."""
    found = drift * spread.deviation * math.sqrt(spread_over(shares) / customers)
    return spread.mean * math.expm1(min(found / spread.mean, MOST_LOG)) if spread.relative else found


def needed(spread: Spread, shares: Mapping[str, float], difference: float, drift: float) -> float:
    """How many customers a test needs that finds this difference."""
    if spread.relative:
        lift = difference / spread.mean
        difference = spread.mean * math.log1p(lift) if lift > -1 else -math.inf
    return spread_over(shares) * (drift * spread.deviation / difference) ** 2


def plan(workspace: Workspace, experiment: Experiment, now: datetime, lift: float) -> Said:
    """The plan as plain values, of the size that the file plans, or four weeks; `lift`: the one to find, relative."""
    if not 0 < abs(lift) < 10:
        raise ValueError(f"lift == {lift}, must not be 0 and lie between -10 and 10: 0.05 is 5 % more than the control")
    sized = experiment.planned or Planned(days=SEEN_DAYS)
    known = read_metrics(workspace.folder)
    wanted = chosen(known, dict.fromkeys((*experiment.primary, MONEY)), f"experiment {experiment.key!r}")
    past = read_past(workspace, experiment, wanted, now, sized.days or SEEN_DAYS)
    size, drift = _size(sized, past), drift_needed(sized.looks, sized.days or SEEN_DAYS)
    lines = [_line(one, past, experiment, size, drift, lift) for one in wanted if one.key in experiment.primary]
    return {
        "experiment": experiment.key,
        "until": past.until.isoformat(timespec="seconds") + "Z",
        "seen": {"customers": past.customers, "days": len(past.arrived)},
        "size": asdict(size) | {"customers": int(size.customers)},
        "looks": sized.looks,
        "power": POWER,
        "drift": drift,
        "shares": dict(experiment.arms),
        "wanted_lift": lift,
        "metrics": lines,
        "cost": _cost(workspace, experiment, past, size, drift, lift),
    }


def _size(planned: Planned, past: Past) -> Size:
    if planned.customers is not None:
        return Size(float(planned.customers), past.days(planned.customers))
    days = planned.days or SEEN_DAYS
    return Size(past.by(days), days)


def _line(one: Metric, past: Past, experiment: Experiment, size: Size, drift: float, lift: float) -> Said:
    """Of one metric; without numbers where the past says nothing of it."""
    spread = past.spreads.get(one.key)
    if spread is None or not spread.deviation > 0:
        why = "is not planned by this" if spread is None else "is the same for every customer in the history"
        said = f"a metric of kind {one.kind!r} {why}"
        return {"key": one.key, "untold": said if spread else past.untold.get(one.key, said)}
    least = smallest(spread, experiment.arms, size.customers, drift)
    found = {"key": one.key, **asdict(spread), "smallest": least}
    if not spread.mean > 0:
        return found | {"smallest_lift": None, "customers": None, "days": None}
    customers = math.ceil(needed(spread, experiment.arms, lift * spread.mean, drift))
    return found | {"smallest_lift": least / spread.mean, "customers": customers, "days": past.days(customers)}


def _cost(
    workspace: Workspace, experiment: Experiment, past: Past, size: Size, drift: float, lift: float
) -> Said | None:
    """What the customers of the control, and of the global holdout, do not bring if it lifts revenue so much.

    Once with the smallest lift that the test finds, once with the wanted one; None where there is no revenue.
    """
    spread = past.spreads.get(MONEY)
    if spread is None or not spread.mean > 0:
        return None
    kept = size.customers * experiment.arms[experiment.control]
    away = size.customers * past.held_out / past.customers
    smallest_one = smallest(spread, experiment.arms, size.customers, drift)
    return {
        "currency": workspace.settings.currency,
        "window_days": experiment.window_days,
        "control_customers": round(kept),
        "holdout_customers": round(away),
        "at_smallest": {"control": kept * smallest_one, "holdout": away * smallest_one},
        "at_wanted": {"control": kept * lift * spread.mean, "holdout": away * lift * spread.mean},
    }


def table(plan: Said) -> Iterator[str]:
    """The plan as lines for a terminal."""
    size, seen = plan["size"], plan["seen"]
    shares = ", ".join(f"{arm} {share:.4g}" for arm, share in plan["shares"].items())
    days = "more days than there are" if size["days"] is None else many(size["days"], "day")
    looks = "looks at will" if plan["looks"] == "any" else many(plan["looks"], "look")
    yield f"{plan['experiment']}: {shares}; power {POWER:.0%}; {many(size['customers'], 'customer')} in {days}; {looks}"
    yield (
        f"from the history: {seen['customers']:,} customers would have come into it in {seen['days']} days until "
        f"{plan['until'][:10]}"
    )
    wanted = f"for {plan['wanted_lift']:+.4g}"
    yield (
        f"{'metric':<22}{'mean':>12}{'deviation':>12}{'explained':>11}{'smallest':>12}{'as a lift':>11}"
        f"{wanted:>13}: customers{'days':>8}"
    )
    yield from map(_row, plan["metrics"])
    yield from _costs(plan)


def _row(line: Said) -> str:
    if "untold" in line:
        return f"{line['key']:<22}{line['untold']}"
    numbers = f"{line['mean']:>12.4f}{line['deviation']:>12.4f}{line['explained']:>11.1%}{line['smallest']:>12.4f}"
    if line["smallest_lift"] is None:
        return f"{line['key']:<22}{numbers}{'-':>11}{'-':>24}{'-':>8}"
    days = "never" if line["days"] is None else f"{line['days']:,}"
    return f"{line['key']:<22}{numbers}{line['smallest_lift']:>11.1%}{line['customers']:>24,}{days:>8}"


def _costs(plan: Said) -> Iterator[str]:
    cost = plan["cost"]
    if cost is None:
        yield "what it costs is not known: the history holds no revenue"
        return
    for name, whose in (("control", "the control"), ("holdout", "the global holdout")):
        if cost[f"{name}_customers"]:
            yield (
                f"it costs: {cost[f'{name}_customers']:,} customers of {whose} bring "
                f"{cost['at_wanted'][name]:,.2f} {cost['currency']} less in {cost['window_days']} days if the lift of "
                f"revenue is {plan['wanted_lift']:+.2%}, {cost['at_smallest'][name]:,.2f} if it is the smallest that "
                "is found"
            )
