"""Spend: what a customer ordered, what it was worth, and what came back."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from features.customers.base import MONEY, Family
from features.customers.days import within
from features.table import Feature

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.customers.base import Columns

NAME = "spend"
WINDOWS = (30, 90, 365)
FEATURES = (
    Feature("orders", NAME, "count", "Orders ever placed."),
    Feature("orders_90d", NAME, "count", "Orders placed in the last 90 days."),
    Feature("units", NAME, "count", "Units bought, less units refunded."),
    Feature("revenue", NAME, MONEY, "Quantity times price of all orders, less refunds."),
    *(
        Feature(f"revenue_{days}d", NAME, MONEY, f"Revenue of the last {days} days, less refunds of these days.")
        for days in WINDOWS
    ),
    Feature("order_value", NAME, MONEY, "Mean value of an order before refunds; unknown without one."),
    Feature("order_value_max", NAME, MONEY, "Value of the largest order before refunds; unknown without one."),
    Feature("refund_share", NAME, "share", "Refunded value as a share of the value ordered; unknown without any."),
)


def orders(placed: ir.Table, moment: datetime) -> Columns:
    """Counts and sums; a refund's `value` and `units` are negative."""
    kept = ~placed.refund
    windows = {
        f"revenue_{days}d": placed.value.sum(where=within(placed.time, moment, days)).fill_null(0.0) for days in WINDOWS
    }
    return windows | {
        "orders": kept.sum(),
        "orders_90d": (kept & within(placed.time, moment, 90)).sum(),
        "units": placed.units.sum(),
        "revenue": placed.value.sum(),
        "ordered": placed.value.sum(where=kept).fill_null(0.0),
        "order_value_max": placed.value.max(where=kept),
    }


def columns(known: ir.Table, _moment: datetime) -> Columns:
    """The sums as they are, the mean order and the share refunded."""
    same = ("orders", "orders_90d", "units", "revenue", *(f"revenue_{days}d" for days in WINDOWS), "order_value_max")
    return {name: known[name] for name in same} | {
        "order_value": known.ordered / known.orders.nullif(0),
        "refund_share": (known.ordered - known.revenue) / known.ordered.nullif(0.0),
    }


FAMILY = Family(FEATURES, columns, orders=orders)
