"""Time as features see it: days before the moment, and whether something falls into the last days."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ibis.expr.types as ir


def days_before(moment: datetime, time: ir.TimestampValue) -> ir.FloatingValue:
    """Days from `time` to the moment, to the second; null where there is no time."""
    import ibis

    return (seconds(ibis.literal(moment).cast("timestamp")) - seconds(time)) / 86400.0


def seconds(time: ir.TimestampValue) -> ir.IntegerValue:
    """Whole seconds since 1970: the form in which DuckDB and Spark agree."""
    return time.truncate("s").epoch_seconds()


def within(time: ir.TimestampValue, moment: datetime, days: int) -> ir.BooleanValue:
    """Whether it happened in the last `days` days before the moment."""
    return time >= moment - timedelta(days=days)
