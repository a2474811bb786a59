"""Affinity: how wide and how faithful a customer's taste in items is."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from features.customers.base import Family
from features.events import CODE, VIEWED
from features.table import Feature

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.customers.base import Columns

NAME = "affinity"
FEATURES = (
    Feature("items_bought", NAME, "count", "Different items bought and not refunded."),
    Feature("items_viewed", NAME, "count", "Different items viewed."),
    Feature("top_item_share", NAME, "share", "Share of order lines that hold the item bought most."),
    Feature("repeat_share", NAME, "share", "Share of order lines that buy an item again."),
)


def rows(events: ir.Table, _moment: datetime) -> Columns:
    """The different items viewed: from one list per customer, far cheaper than a group for each pair."""
    viewed = events.item.collect(where=events.name == CODE[VIEWED])
    return {"items_viewed": viewed.unique().length()}


def pairs(items: ir.Table, _moment: datetime) -> Columns:
    """Counts over the items that the customer ordered."""
    return {
        "items_bought": (items.bought > 0).sum(),
        "lines_top": items.bought.max(),
        "lines_bought": items.bought.sum(where=items.bought > 0).fill_null(0),
    }


def columns(known: ir.Table, _moment: datetime) -> Columns:
    """The counts, and shares of the lines bought."""
    lines = known.lines_bought.nullif(0)
    return {
        "items_bought": known.items_bought,
        "items_viewed": known.items_viewed,
        "top_item_share": known.lines_top / lines,
        "repeat_share": (lines - known.items_bought) / lines,
    }


FAMILY = Family(FEATURES, columns, rows=rows, pairs=pairs)
