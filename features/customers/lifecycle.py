"""Lifecycle: how long a customer has been here, at which pace, and whether the next order is late."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from features.customers.base import Family
from features.customers.days import days_before, within
from features.table import Feature

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.customers.base import Columns

NAME = "lifecycle"
STAGES = ("new", "active", "at_risk", "lapsed", "loyal")  # a stage's number is its place: new ones come last
NEW, ACTIVE, AT_RISK = 30, 90, 180  # days: a first month, a quarter without an order, two of them
DAY = timedelta(days=1)
LOYAL = 3  # orders in the last two quarters: the least that shows two gaps, so that a pace is seen and not one return
FEATURES = (
    Feature("days_since_first_event", NAME, "days", "Days since the first event of any kind."),
    Feature("days_since_first_order", NAME, "days", "Days since the first order; unknown without one."),
    Feature("days_between_orders", NAME, "days", "Mean days from one order to the next; unknown below two."),
    Feature("overdue", NAME, "ratio", "Days since the last order over the mean days between orders; above 1 is late."),
    Feature(
        "stage",
        NAME,
        "category",
        "new: first order in 30 days; else by the last: active 90 (loyal: 3 orders in 180), at_risk 180, lapsed.",
    ),
    Feature("orders_trend", NAME, "count", "Orders of the last 90 days less those of the 90 days before."),
)


def rows(events: ir.Table, _moment: datetime) -> Columns:
    """The first event."""
    return {"first_event": events.time.min()}


def orders(placed: ir.Table, moment: datetime) -> Columns:
    """First and last order, how many, and how many lately."""
    kept = ~placed.refund
    return {
        "first_order": placed.time.min(where=kept),
        "last_order": placed.time.max(where=kept),
        "orders": kept.sum(),
        "orders_90d": (kept & within(placed.time, moment, 90)).sum(),
        "orders_180d": (kept & within(placed.time, moment, 180)).sum(),
    }


def columns(known: ir.Table, moment: datetime) -> Columns:
    """Ages, the mean gap, the lateness and the trend."""
    since, first = days_before(moment, known.last_order), days_before(moment, known.first_order)
    gap = ((first - since) / (known.orders - 1).nullif(0)).nullif(0.0)
    return {
        "days_since_first_event": days_before(moment, known.first_event),
        "days_since_first_order": first,
        "days_between_orders": gap,
        "overdue": since / gap,
        "stage": _stage(first, since, known.orders_180d),
        "orders_trend": 2 * known.orders_90d - known.orders_180d,
    }


def _stage(first: ir.FloatingValue, last: ir.FloatingValue, orders: ir.IntegerValue) -> ir.Value:
    """The position in `STAGES` by the days since the first and the last order; null without an order."""
    import ibis

    loyal = (last <= ACTIVE) & (orders >= LOYAL)
    return ibis.cases((first <= NEW, 0), (loyal, 4), (last <= ACTIVE, 1), (last <= AT_RISK, 2), (last > AT_RISK, 3))


def stage_of(orders: Sequence[datetime], moment: datetime) -> str | None:
    """The stage of one customer who ordered at these times before the moment; None without an order."""
    if not orders:
        return None
    at = moment.replace(microsecond=0)  # days are whole seconds, as `days_before` has them
    first, last = ((at - time.replace(microsecond=0)) / DAY for time in (min(orders), max(orders)))
    if first <= NEW:
        return "new"
    lately = sum(time >= moment - AT_RISK * DAY for time in orders)
    if last <= ACTIVE:
        return "loyal" if lately >= LOYAL else "active"
    return "at_risk" if last <= AT_RISK else "lapsed"


FAMILY = Family(FEATURES, columns, rows=rows, orders=orders, words={"stage": STAGES})
