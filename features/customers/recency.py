"""Recency: how long ago a customer last did something."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from features.customers.base import Family
from features.customers.days import days_before
from features.events import CLICKED, CODE, OPENED, VIEWED
from features.table import Feature

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.customers.base import Columns

NAME = "recency"
FEATURES = (
    Feature("days_since_event", NAME, "days", "Days since the last event of any kind."),
    Feature("days_since_order", NAME, "days", "Days since the last order; unknown without one."),
    Feature("days_since_view", NAME, "days", "Days since a product was last viewed; unknown without a view."),
    Feature("days_since_open", NAME, "days", "Days since an e-mail was last opened by a person."),
    Feature("days_since_click", NAME, "days", "Days since a link in an e-mail was last clicked by a person."),
)


def rows(events: ir.Table, _moment: datetime) -> Columns:
    """The last time of each kind of event."""
    last = {"view": VIEWED, "open": OPENED, "click": CLICKED}
    kinds = {f"last_{kind}": events.time.max(where=events.name == CODE[name]) for kind, name in last.items()}
    return {"last_event": events.time.max()} | kinds


def orders(placed: ir.Table, _moment: datetime) -> Columns:
    """The time of the last order."""
    return {"last_order": placed.time.max(where=~placed.refund)}


def columns(known: ir.Table, moment: datetime) -> Columns:
    """Days from each last time to the moment."""
    kinds = ("event", "order", "view", "open", "click")
    return {f"days_since_{kind}": days_before(moment, known[f"last_{kind}"]) for kind in kinds}


FAMILY = Family(FEATURES, columns, rows=rows, orders=orders)
