"""Sums: what a measure counts of events, as expressions over the log."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from serving.experiments.metrics import Measure, Metric

if TYPE_CHECKING:
    import ibis.expr.types as ir

DAY = 86_400.0


def events_of(metric: Metric) -> set[str]:
    """The names of the events that a metric asks for."""
    measures = [one for one in (metric.numerator, metric.denominator, *metric.before) if one is not None]
    return {name for one in measures for name in (one.event, one.less) if name is not None}


def is_of(rows: ir.Table, measure: Measure) -> ir.BooleanValue:
    """Whether a row is what the measure counts."""
    wanted = rows.name == measure.event
    wanted = wanted if measure.machines else wanted & ~rows.machine
    for column, value in measure.where.items():
        wanted &= rows[column].fill_null("") == value
    return wanted


def summed(rows: ir.Table, measure: Measure, inside: ir.BooleanValue) -> ir.FloatingValue:
    """What is summed of the rows inside, per group."""
    counted = inside & is_of(rows, measure)
    if measure.sum in ("money", "quantity"):
        amount = (rows.quantity * rows.price if measure.sum == "money" else rows.quantity).fill_null(0.0)
        found = amount.sum(where=counted).fill_null(0.0)
        if measure.less is not None:
            back = inside & is_of(rows, measure.model_copy(update={"event": measure.less}))
            found -= amount.sum(where=back).fill_null(0.0)
        return found.cast("float64")
    if measure.sum == "any":
        return counted.any().fill_null(False).cast("float64")  # noqa: FBT003  # what is filled in
    if measure.distinct is not None:
        count = rows[measure.distinct].coalesce(rows.message_id).nunique(where=counted)
    else:
        count = counted.sum()
    count = count.fill_null(0)
    return (count if measure.at_least is None else count >= measure.at_least).cast("float64")


def interval(span: timedelta) -> Any:
    """So many whole days."""
    import ibis

    return ibis.interval(days=span.days)
