"""Engagement: the metrics of marketing per campaign and channel, of whoever was sent something.

They describe: each recipient from the first delivery on, for `WINDOW` days, of whom only
those count whose window has closed. Who was sent something was chosen, so that one campaign's customers may order more
than another's for other reasons. Messages count for the campaign that they name; an unsubscribe or a complaint that
names none counts for each campaign in whose window it is.

    recipients x campaigns -> one row each -> values -> moments per campaign -> mean and interval
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from scipy import stats

from features.engine import held
from features.events import BOUNCED, CLICKED, COMPLAINED, DELIVERED, OPENED, UNSUBSCRIBED
from features.workspace import Workspace
from serving.experiments.conversion import Curve, curve, horizon, median, restricted_mean
from serving.experiments.metrics import Metric, chosen, read_metrics
from serving.experiments.moments import MIN_CUSTOMERS, Moments
from serving.experiments.values import Columns, capped, cells, columns, values, waits
from serving.impact.gathered import Gathered

if TYPE_CHECKING:
    import ibis.expr.types as ir

Said = dict[str, Any]
WINDOW = 14  # days after the first delivery; an experiment's, too
MOST = 50  # campaigns, the largest
KEYS = (
    "open-rate", "open-rate-machines", "click-through-rate", "conversion-rate", "revenue", "repeat-purchase-rate",
    "time-to-conversion", "unsubscribe-rate", "complaint-rate",
)  # fmt: skip
MESSAGES = (DELIVERED, OPENED, CLICKED, BOUNCED, UNSUBSCRIBED, COMPLAINED)
UNNAMED = (UNSUBSCRIBED, COMPLAINED)  # may come from a page that knows no campaign
BETWEEN = "\x1f"  # of the parts of a recipient's name


def measured(workspace: Workspace) -> list[Metric]:
    """The metrics told, as the workspace defines them."""
    return chosen(read_metrics(workspace.folder), KEYS, "impact")


def by_origin(gathered: Gathered, metrics: Sequence[Metric], name: Literal["campaign", "channel"]) -> list[Said]:
    """Per value of the column `name`, campaign or channel, what its recipients did; most recipients first.

    A window may end after the period: what is known by now counts.
    """
    when, now, people, rows = gathered.when, gathered.now, gathered.people, gathered.events.before(gathered.now)
    sent = rows.filter(rows.name == DELIVERED, rows.time >= when.start, rows.time < when.until)
    sent = sent.semi_join(people, "customer")
    found = sent.mutate(arm=sent[name].fill_null("")).group_by(["customer", "arm"]).aggregate(first=sent.time.min())
    sizes = found.group_by("arm").aggregate(size=found.count()).to_pyarrow().to_pylist()
    kept = sorted(sizes, key=lambda row: (-row["size"], row["arm"]))[:MOST]
    if not kept:
        return []
    recipients = held(found.filter(found.arm.isin([row["arm"] for row in kept])))
    table, told = _valued(rows, recipients, metrics, name)
    moments, curves = cells(capped(table, told), told, now), curves_of(table, told, now)
    return [
        {
            "key": row["arm"] or None,
            "recipients": row["size"],
            "metrics": {
                one.metric.key: alone(one, moments.get((row["arm"],), {}), curves.get((row["arm"],), {}))
                for one in told
            },
        }
        for row in kept
    ]


def _valued(
    rows: ir.Table, recipients: ir.Table, metrics: Sequence[Metric], name: str
) -> tuple[ir.Table, list[Columns]]:
    """The table of values of each recipient of each campaign, who is a customer of its own in it."""
    whose = recipients.customer + BETWEEN + recipients.arm
    joined = rows.rename(event_of="customer").inner_join(
        recipients.mutate(whose=whose).select("customer", "arm", "first", "whose"), [("event_of", "customer")]
    )
    own = joined[name].fill_null("") == joined.arm
    unnamed = joined.name.isin(UNNAMED) & joined[name].isnull()
    kept = joined.filter(~joined.name.isin(MESSAGES) | own | unnamed)
    events = kept.drop("customer", "event_of", "arm", "first").rename(customer="whose")
    told = columns(metrics, WINDOW)
    return held(values(events, recipients.mutate(customer=whose), told)), told


def curves_of(
    table: ir.Table, told: Sequence[Columns], as_of: datetime, by: Sequence[str] = ("arm",)
) -> dict[tuple[Any, ...], dict[str, Curve]]:
    """Per cell, of each metric of time, its curve."""
    found: dict[tuple[Any, ...], dict[str, Curve]] = {}
    for one in told:
        if one.metric.kind == "time":
            for cell, seen in waits(table, one, as_of, by=by).items():
                found.setdefault(cell, {})[one.metric.key] = curve(*seen)
    return found


def alone(one: Columns, found: Mapping[str, Moments], waited: Mapping[str, Curve]) -> Said:
    """A metric of one group of customers, with its interval."""
    if one.metric.kind == "time":
        return _time(one, waited.get(one.metric.key))
    moments = found.get(one.metric.key)
    if moments is None or moments.count < MIN_CUSTOMERS:
        return {"customers": 0 if moments is None else moments.count} | dict.fromkeys(("mean", "lower", "upper"))
    return {"customers": moments.count} | _interval(one.metric, moments)


def _interval(metric: Metric, moments: Moments) -> Said:
    """Wilson's where the values are 0 and 1, or nothing varies; else Student's, of a ratio by the delta method."""
    from serving.experiments.analysis import Shape

    shape = Shape(ratio=metric.denominator is not None)
    mean = shape.mean(moments)
    if math.isnan(mean):
        return {"mean": None, "lower": None, "upper": None}
    own = _without_past(moments, 2 if shape.ratio else 1)
    variance = max(own.along(shape.weights(own))[1], 0.0)
    yes_or_no = metric.numerator.sum == "any" or metric.numerator.at_least is not None
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
    nothing: Said = {"customers": 0, "mean": None, "lower": None, "upper": None, "tau_days": None, "median": None}
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
