"""Families together: one aggregation per grain over the log, joined by customer, then the columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from features.customers import FAMILIES
from features.customers.base import Family
from features.customers.days import seconds
from features.events import CODE, ENGAGED, ORDERED, PAGE, REFUNDED

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.customers.base import Columns

GRAINS = ("rows", "orders", "pairs", "pages")
SESSION = 1800  # seconds without a page view end a session, as web analytics has it; more was not spent on the page


def chosen(names: Sequence[str] | None) -> list[Family]:
    """The families of these names, or all."""
    unknown = [name for name in names or () if name not in FAMILIES]
    if unknown:
        raise ValueError(f"families == {unknown}, known are {list(FAMILIES)}")
    return [FAMILIES[name] for name in (names or FAMILIES)]


def grains(rows: ir.Table) -> dict[str, ir.Table]:
    """What families aggregate, from the rows of a `Past`."""
    return {"rows": rows, "orders": orders(rows), "pairs": pairs(rows), "pages": pages(rows)}


def combined(tables: Mapping[str, ir.Table], moment: datetime, families: Sequence[Family]) -> ir.Table:
    """One row per customer of these grains, with the features of these families."""
    rows = tables["rows"]
    known = rows.group_by("customer").aggregate(**_aggregates(families, "rows", rows, moment))
    for grain in GRAINS[1:]:
        aggregates = _aggregates(families, grain, tables[grain], moment)
        if aggregates:
            known = known.left_join(tables[grain].group_by("customer").aggregate(**aggregates), "customer")
            known = known.drop("customer_right")
    columns: Columns = {}
    for family in families:
        columns |= family.columns(known, moment)
    return known.select("customer", **{name: column.cast("float64") for name, column in columns.items()})


def orders(rows: ir.Table) -> ir.Table:
    """One row per order, and one per refund of it: negative `value` and `units`.

    Lines without an order's id are one order when the same customer made them at the same time.
    """
    import ibis

    lines = rows.filter(rows.name.isin([CODE[ORDERED], CODE[REFUNDED]]))
    refund = lines.name == CODE[REFUNDED]
    quantity = lines.quantity.fill_null(1.0) * ibis.ifelse(refund, -1.0, 1.0)
    lines = lines.select(
        "customer", "time", refund=refund, order=lines.order_id, at=lines.order_id.isnull().ifelse(lines.time, None),
        units=quantity, value=quantity * lines.price.fill_null(0.0),
    )  # fmt: skip
    grouped = lines.group_by("customer", "order", "at", "refund")
    return grouped.aggregate(units=lines.units.sum(), value=lines.value.sum(), time=lines.time.max())


def pairs(rows: ir.Table) -> ir.Table:
    """One row per customer and item: order lines less refunded ones."""
    import ibis

    lines = rows.filter(rows.item.notnull(), rows.name.isin([CODE[ORDERED], CODE[REFUNDED]]))
    bought = ibis.ifelse(lines.name == CODE[REFUNDED], -1.0, 1.0).sum()
    return lines.group_by("customer", "item").aggregate(bought=bought)


def pages(rows: ir.Table) -> ir.Table:
    """One row per page viewed or engaged: the seconds that the page told, and those to the next page of the session."""
    import ibis

    looked = rows.filter(rows.name.isin([CODE[PAGE], CODE[ENGAGED]]))
    viewed = looked.name == CODE[PAGE]
    same = ibis.window(group_by=["customer", "name"], order_by="time")
    gap = seconds(looked.time.lead().over(same)) - seconds(looked.time)
    return looked.select(
        "customer", "time", told=ibis.ifelse(viewed, None, looked.quantity),
        estimate=ibis.ifelse(viewed & (gap <= SESSION), gap, None).cast("float64"),
    )  # fmt: skip


def _aggregates(families: Sequence[Family], grain: str, table: ir.Table, moment: datetime) -> Columns:
    aggregates: Columns = {}
    for family in families:
        aggregates |= getattr(family, grain)(table, moment)
    return aggregates
