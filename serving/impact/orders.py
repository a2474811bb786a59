"""Orders: what was ordered and given back in the period, as one table that every sum of an impact is made of.

    Order Completed  -> a row per order: 1 order, its money, its margin, in the month in which it was placed
    Order Refunded   -> a row per order and month in which something came back: 0 orders, money and margin below 0
    a decision       -> a row per offer that was given or redeemed: what it cost

Channel and campaign are those of the order's own event, also of what came back of it. `touch_channel` and
`touch_campaign` are the last touch before the order (`attribution`), which only describe. What was ordered in the
`BEFORE` days before the period stands in the month -1: the customers' own past.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pyarrow as pa

from features.catalog import Catalog
from features.events import ORDERED, REFUNDED
from serving.impact.attribution import touched
from serving.impact.period import Period

if TYPE_CHECKING:
    import ibis.expr.types as ir

BEFORE = timedelta(days=90)  # of the customers' own past, as of the standard metrics
EARLIER = -1  # the month of what was before the period
MARGINS = ("cost", "margin")  # columns of the catalogue, money per unit; the first that is there counts
SUMS = ("orders", "revenue", "margin")
DIMENSIONS = ("channel", "campaign", "touch_channel", "touch_campaign")
FACTS = ("customer", "month", *DIMENSIONS, "revenue", "margin", "covered", "gross", "orders", "cost")


def margin_column(catalog: Catalog) -> str | None:
    """The column of the catalogue that says what a unit earns: `cost`, what it costs the shop, or `margin`."""
    import pandas as pd

    for name in MARGINS:
        if name in catalog.frame.columns and pd.to_numeric(catalog.frame[name], errors="coerce").notna().any():
            return name
    return None


def lines(rows: ir.Table, catalog: Catalog | None) -> ir.Table:
    """The lines of orders and refunds, with `money` and `earned` (null where the catalogue does not say)."""
    import ibis
    import pandas as pd

    found = rows.filter(rows.name.isin([ORDERED, REFUNDED]))
    found = found.mutate(
        order=found.order_id.coalesce(found.message_id), money=(found.quantity * found.price).fill_null(0.0)
    )
    column = None if catalog is None else margin_column(catalog)
    if catalog is None or column is None:
        return found.mutate(earned=ibis.null("float64"))
    numbers = pd.to_numeric(catalog.frame[column], errors="coerce")
    given = pa.table(
        {"priced": pa.array(catalog.frame.index, pa.string()), "per_unit": pa.array(numbers, pa.float64())}
    )
    told = found.left_join(ibis.memtable(given), [("item", "priced")])
    each = told.quantity.fill_null(1.0) * told.per_unit
    return told.mutate(earned=told.money - each if column == "cost" else each).drop("priced", "per_unit")


def facts(rows: ir.Table, people: ir.Table, catalog: Catalog, when: Period) -> ir.Table:
    """The columns `FACTS` of the table of the docstring, of these customers, but for what decisions cost."""
    import ibis

    all_lines = lines(rows, catalog).semi_join(people, "customer")
    bought = all_lines.name == ORDERED
    named = {name: all_lines[name].min(where=bought).coalesce(all_lines[name].min()) for name in DIMENSIONS[:2]}
    orders = all_lines.group_by(["customer", "order"]).aggregate(placed=all_lines.time.min(where=bought), **named)
    orders = touched(orders, rows, people)
    signed = all_lines.mutate(at=all_lines.time, sign=(all_lines.name == ORDERED).ifelse(1.0, -1.0)).select(
        "customer", "order", "at", "sign", "money", "earned"
    )
    joined = signed.inner_join(orders, ["customer", "order"])
    moment = (joined.sign > 0).ifelse(joined.placed, joined["at"])
    inside = joined.mutate(moment=moment)
    inside = inside.filter(inside.moment >= when.start - BEFORE, inside.moment < when.until)
    month = (inside.moment < when.start).ifelse(EARLIER, when.month(inside.moment))
    inside = inside.mutate(month=month)
    found = inside.group_by(["customer", "order", "month", "sign", *DIMENSIONS]).aggregate(
        revenue=(inside.sign * inside.money).sum(),
        margin=(inside.sign * inside.earned).sum().fill_null(0.0),
        covered=inside.money.sum(where=inside.earned.notnull()).fill_null(0.0),
        gross=inside.money.sum(),
    )
    return found.select(*FACTS[:-2], orders=(found.sign > 0).cast("float64"), cost=ibis.literal(0.0))
