"""Orders: how many each customer kept and when, as the models of lifetime value read it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from serving.experiments.sums import DAY, events_of, interval, is_of, summed

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from serving.experiments.values import Columns

CENT = 0.005  # what is left of an order and is less than half a cent is nothing


def orders(done: ir.Table, one: Columns) -> ir.Table:
    """Per customer the orders of the window that were kept, days until the last, and what they brought."""
    kept = _kept(done.filter(done.time >= done["first"]), one)
    number, last, money = one.purchases
    return kept.group_by("customer").aggregate(
        **{number: kept.count().cast("float64"), last: kept.day.max().cast("float64"), money: kept.money.sum()}
    )


def history(done: ir.Table, one: Columns) -> ir.Table:
    """Per customer who had ordered before the first exposure the orders after her first, days from it to the last of
    them, and to the end of the window.
    """
    kept = _kept(done, one)
    number, last, age = one.purchases
    found = kept.group_by("customer").aggregate(orders=kept.count(), start=kept.day.min(), end=kept.day.max())
    return found.filter(found.start < 0).select("customer", **{
        number: (found.orders - 1).cast("float64"),
        last: (found.end - found.start).cast("float64"),
        age: (float(one.window.days) - found.start).cast("float64"),
    })  # fmt: skip


def _kept(rows: ir.Table, one: Columns) -> ir.Table:
    """The orders until the end of the window that were kept: customer, money, and day from the first exposure.

    What was given back of an order by then is taken off it; one that nothing is left of, or that was free, counts as
    none. A refund that names no order of these counts for none of them.
    """
    measure = one.metric.numerator
    inside = rows.filter(
        rows.time < rows["first"] + interval(one.window), rows.name.isin(sorted(events_of(one.metric)))
    )
    bought = is_of(inside, measure)
    each = inside.group_by("customer", order=inside.order_id.coalesce(inside.message_id)).aggregate(
        money=summed(inside, measure, bought.notnull()),
        day=((inside.time.epoch_seconds() - inside["first"].epoch_seconds()) / DAY).min(where=bought),
    )
    return each.filter(each.day.notnull() & (each.money >= CENT))
