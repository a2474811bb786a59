"""Attribution: the last touch before an order. It describes who was there last, and says nothing of what it changed.

The touch is the last click of the `WITHIN` days before the order, else the last open by a person in them, else none.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from features.events import CLICKED, OPENED
from serving.experiments.exposures import EXPERIENCE_CLICKED

if TYPE_CHECKING:
    import ibis.expr.types as ir

WITHIN = timedelta(days=7)
NO_CHANNEL = "unknown"  # of a touch that names none: it is a touch all the same


def touched(orders: ir.Table, rows: ir.Table, people: ir.Table) -> ir.Table:
    """The orders (`customer`, `order`, `placed`) with channel and campaign of their last touch; null: none."""
    import ibis

    touches = rows.filter(rows.name.isin([CLICKED, EXPERIENCE_CLICKED, OPENED]), ~rows.machine)
    touches = touches.semi_join(people, "customer").select(
        "customer",
        click=touches.name != OPENED,
        touched_at=touches.time,
        touch=touches.message_id,
        touch_channel=touches.channel.fill_null(NO_CHANNEL),
        touch_campaign=touches.campaign,
    )
    near = orders.select("customer", "order", "placed").inner_join(touches, "customer")
    near = near.filter(near.touched_at <= near.placed, near.touched_at >= near.placed - ibis.interval(days=WITHIN.days))
    latest = ibis.window(
        group_by=[near.customer, near.order],
        order_by=[near.click.desc(), near.touched_at.desc(), near.touch.desc()],
    )
    last = near.mutate(rank=ibis.row_number().over(latest))
    last = last.filter(last["rank"] == 0).select("customer", "order", "touch_channel", "touch_campaign")
    found = orders.left_join(last, ["customer", "order"])
    return found.drop("customer_right", "order_right")
