"""Engagement: the metrics of marketing per campaign and channel, of whoever was sent something.

They describe: each recipient from the first delivery on, for `WINDOW` days, of whom only those count whose window has
closed. Lifetime value is seen for `SEEN` days, and each campaign has a model of its own: their customers were chosen,
so that they differ in more than scale. Who was sent something was chosen, so that one campaign's customers may order
more than another's for other reasons. Messages count for the campaign that they name; an unsubscribe or a complaint
that names none counts for each campaign in whose window it is.

    recipients x campaigns -> one row each -> values -> moments per campaign -> mean and interval
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from features.engine import held
from features.events import BOUNCED, CLICKED, COMPLAINED, DELIVERED, OPENED, UNSUBSCRIBED
from features.workspace import Workspace
from serving.experiments.lapse import lapses
from serving.experiments.metrics import Metric, chosen, read_metrics
from serving.experiments.values import Columns, capped, cells, columns, values
from serving.impact.gathered import Gathered
from serving.impact.means import Group, curves_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

Said = dict[str, Any]
WINDOW = 14  # days after the first delivery; an experiment's, too
SEEN = 28  # days of lifetime value where its definition names none: a model of 14 holds the truth in 90 %, not 95
MOST = 50  # campaigns, the largest
KEYS = (
    "open-rate", "open-rate-machines", "click-through-rate", "conversion-rate", "revenue", "repeat-purchase-rate",
    "time-to-conversion", "lifetime-value", "alive", "lapsed", "unsubscribe-rate", "complaint-rate",
)  # fmt: skip
MESSAGES = (DELIVERED, OPENED, CLICKED, BOUNCED, UNSUBSCRIBED, COMPLAINED)
UNNAMED = (UNSUBSCRIBED, COMPLAINED)  # may come from a page that knows no campaign
NOBODY = "(none)"  # the campaign or channel of what names none


def measured(workspace: Workspace) -> list[Metric]:
    """The metrics told, as the workspace defines them."""
    return chosen(read_metrics(workspace.folder), KEYS, "impact")


def by_origin(gathered: Gathered, metrics: Sequence[Metric], name: Literal["campaign", "channel"]) -> list[Said]:
    """Per value of the column `name`, campaign or channel, what its recipients did; most recipients first.

    A window may end after the period: what is known by now counts.
    """
    import ibis

    when, now, people, rows = gathered.when, gathered.now, gathered.people, gathered.events.before(gathered.now)
    sent = rows.filter(rows.name == DELIVERED, rows.time >= when.start, rows.time < when.until)
    sent = sent.semi_join(people, "customer")
    found = sent.mutate(arm=sent[name].fill_null("")).group_by(["customer", "arm"]).aggregate(first=sent.time.min())
    sizes = found.group_by("arm").aggregate(size=found.count()).to_pyarrow().to_pylist()
    kept = sorted(sizes, key=lambda row: (-row["size"], row["arm"]))[:MOST]
    if not kept:
        return []
    found = found.filter(found.arm.isin([row["arm"] for row in kept]))
    recipients = held(found.mutate(whose=ibis.row_number()))  # a number, not a name: of millions it takes a third
    table, told = _valued(rows, recipients, metrics, name)
    groups = _groups(table, told, now, [row["arm"] for row in kept])
    return [
        {
            "key": row["arm"] or None,
            "recipients": row["size"],
            "metrics": {one.metric.key: groups[row["arm"]].told(one) for one in told},
        }
        for row in kept
    ]


def _groups(table: ir.Table, told: Sequence[Columns], now: datetime, keys: Sequence[str]) -> dict[str, Group]:
    """What is known of the recipients of each."""
    from serving.experiments.worth import Worth, bought

    moments, curves = cells(capped(table, told), told, now), curves_of(table, told, now)
    left, untold = lapses(table, told, now)
    valued = [one for one in told if one.metric.kind == "value"]
    did = {one.metric.key: bought(table, one, now) for one in valued}
    found = {}
    for key in keys:
        cell, name = (key,), key or NOBODY
        own = {
            one.metric.key: Worth.of(
                {name: did[one.metric.key][cell]} if cell in did[one.metric.key] else {}, one.window.days, one.horizon
            )
            for one in valued
        }
        found[key] = Group(name, moments.get(cell, {}) | left.get(cell, {}), curves.get(cell, {}), own, untold)
    return found


def _valued(
    rows: ir.Table, recipients: ir.Table, metrics: Sequence[Metric], name: str
) -> tuple[ir.Table, list[Columns]]:
    """The table of values of each recipient of each campaign, who is a customer of its own in it."""
    import ibis

    joined = rows.rename(event_of="customer").inner_join(recipients, [("event_of", "customer")])
    own = joined[name].fill_null("") == joined.arm
    unnamed = joined.name.isin(UNNAMED) & joined[name].isnull()
    kept = joined.filter(~joined.name.isin(MESSAGES) | own | unnamed)
    events = kept.drop("customer", "event_of", "arm", "first", "anonymous").rename(customer="whose")
    events = events.mutate(anonymous=ibis.null("int64"))
    told = [_seen(one) for one in columns(metrics, WINDOW)]
    return held(values(events, recipients.drop("customer").rename(customer="whose"), told)), told


def _seen(one: Columns) -> Columns:
    """A value is seen for longer, where its definition does not say for how long."""
    own = one.metric.kind == "value" and one.metric.window_days is None
    return replace(one, window=timedelta(days=SEEN)) if own else one
