"""Return per unit spent: how much more money an arm brought, over how much more its offers cost.

    (money of the arm - money of the control) / (cost of the arm - cost of the control)      per customer, in the window

At 1 of revenue what was spent came back. The interval is Fieller's (1954), with one covariance for both arms; it leaves
out 0 exactly when the difference of the money does. Where the costs do not differ beyond noise there is none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy import stats

from features.events import utc
from features.words import many
from features.workspace import Workspace
from serving.experiments.analysis import Z
from serving.experiments.moments import MIN_CUSTOMERS, Moments
from serving.experiments.values import Columns

if TYPE_CHECKING:
    import ibis.expr.types as ir

NO_COST = "the costs of the two arms do not differ beyond noise, so nothing can be said per unit spent"


def with_costs(
    workspace: Workspace, rows: ir.Table, people: pa.Table, told: Sequence[Columns], now: datetime
) -> pa.Table:
    """The people, with what offers cost of each in the window of each metric of returns."""
    from serving.impact.cost import spent

    asked = [one for one in told if one.metric.kind == "return"]
    if not asked:
        return people
    firsts = dict(zip(people["customer"].to_pylist(), people["first"].to_pylist(), strict=True))
    found = spent(workspace, rows, min(firsts.values()), utc(now), now)
    for one in asked:
        costs = dict.fromkeys(firsts, 0.0)
        for customer, time, _, money in found:
            if customer in firsts and timedelta() <= time - firsts[customer] < one.window:
                costs[customer] += money
        people = people.append_column(one.names[1], pa.array(list(costs.values()), pa.float64()))
    return people


def returned(control: Moments, treatment: Moments, bound: float | None = None) -> dict[str, float] | str:
    """Of moments of money and cost: difference, lower, upper and p_value; a sentence where nothing can be said."""
    if (fewest := min(control.count, treatment.count)) < MIN_CUSTOMERS:
        return f"the windows of {many(fewest, 'customer')} of an arm have closed; at least {MIN_CUSTOMERS} are needed"
    freedom = control.count + treatment.count - 2
    pooled = ((control.count - 1) * control.covariance + (treatment.count - 1) * treatment.covariance) / freedom
    spread = pooled * (1 / control.count + 1 / treatment.count)
    money, cost = (treatment.mean - control.mean)[:2]
    reach = float(stats.t.isf(stats.norm.sf(Z), freedom)) if bound is None else bound
    if not math.isfinite(reach):
        return "no planned look is due yet"
    lead = cost**2 - reach**2 * spread[1, 1]
    if not lead > 0 or not spread[0, 0] > 0:
        return NO_COST if spread[0, 0] > 0 else "all customers of both arms brought the same money"
    middle = money * cost - reach**2 * spread[0, 1]
    half = math.sqrt(max(middle**2 - lead * (money**2 - reach**2 * spread[0, 0]), 0.0))
    z = abs(money) / math.sqrt(spread[0, 0])
    return {
        "difference": float(money / cost),
        "lower": float((middle - half) / lead),
        "upper": float((middle + half) / lead),
        "p_value": float(2 * stats.t.sf(z, freedom)),
        "z": float(np.copysign(z, money / cost)),
    }
