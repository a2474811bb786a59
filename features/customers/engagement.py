"""Engagement: what a customer looked at, put into the cart and read. Machines' opens and clicks never count."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from features.customers.base import EVER, Family
from features.customers.days import within
from features.events import ADDED, CLICKED, CODE, DELIVERED, ENGAGED, OPENED, PAGE, UNSUBSCRIBED, VIEWED
from features.table import Feature

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.customers.base import Columns

NAME = "engagement"
COUNTS = {
    "views_7d": (VIEWED, 7, "Products viewed"),
    "views_30d": (VIEWED, 30, "Products viewed"),
    "views_90d": (VIEWED, 90, "Products viewed"),
    "adds_30d": (ADDED, 30, "Products put into the cart"),
    "emails_90d": (DELIVERED, 90, "E-mails delivered"),
    "opens_90d": (OPENED, 90, "E-mails opened by a person"),
    "clicks_90d": (CLICKED, 90, "Links in e-mails clicked by a person"),
}
FEATURES = (
    *(
        Feature(name, NAME, "count", f"{what} in the last {days} days.")
        for name, (_event, days, what) in COUNTS.items()
    ),
    Feature("open_share", NAME, "share", "Opens per e-mail delivered, last 90 days; unknown without e-mails."),
    Feature("unsubscribed", NAME, "count", "How often the customer unsubscribed from e-mails."),
    Feature("engaged_30d", NAME, "seconds", "Time on pages in the last 30 days: told, else estimated by page views."),
    Feature("engaged_estimated", NAME, "flag", "1 where engaged_30d is an estimate, since no page told a time."),
)


def rows(events: ir.Table, moment: datetime) -> Columns:
    """Events of a name in the last days."""
    counts: Columns = {
        name: ((events.name == CODE[event]) & within(events.time, moment, days)).sum()
        for name, (event, days, _what) in COUNTS.items()
    }
    return counts | {"unsubscribed": (events.name == CODE[UNSUBSCRIBED]).sum()}


def pages(looked: ir.Table, moment: datetime) -> Columns:
    """The seconds of the last 30 days, told and estimated."""
    lately = within(looked.time, moment, 30)
    return {name: looked[name].sum(where=lately) for name in ("told", "estimate")}


def columns(known: ir.Table, _moment: datetime) -> Columns:
    """The counts, opens per e-mail, and the time on pages."""
    counts: Columns = {name: known[name] for name in (*COUNTS, "unsubscribed")}
    guessed = known.told.isnull() & known.estimate.notnull()
    engaged = {"engaged_30d": guessed.ifelse(known.estimate, known.told), "engaged_estimated": guessed}
    return counts | {"open_share": known.opens_90d / known.emails_90d.nullif(0)} | engaged


COUNTED = {event: max(days for name, days, _what in COUNTS.values() if name == event) for event, *_ in COUNTS.values()}
FAMILY = Family(
    FEATURES, columns, rows=rows, pages=pages, counted=COUNTED | {UNSUBSCRIBED: EVER, PAGE: 30, ENGAGED: 30}
)
