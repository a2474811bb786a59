"""Retention: customers by the month of their first order, and how many of them ordered again in each month after it.

    first order    customers    month 1    2    3
    2026-01            120          31   22   19      of 120, 31 ordered again in February
    2026-02             90          25   20
    2026-03             80          18

Months are those of the workspace's zone; the last one may not be over. Who ordered before the history began is told by
the first order that it holds.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np

from features.events import ORDERED, utc

if TYPE_CHECKING:
    import ibis.expr.types as ir

MOST = 12  # cohorts, the newest; and months after


def cohorts(events: ir.Table, people: ir.Table, zone: str, now: datetime) -> list[dict[str, Any]]:
    """By month, the oldest first: `cohort`, `customers`, and `again`: per month after it the customers who ordered.

    `people`: the customers who count, a column `customer`. Months in which nobody ordered first are left out.
    """
    orders = events.filter(events.name == ORDERED).semi_join(people, "customer").select("customer", "time").to_pyarrow()
    if not orders.num_rows:
        return []
    times = orders["time"].to_numpy().astype("datetime64[us]")
    starts = _months(times.min().item(), utc(now), ZoneInfo(zone))
    months = np.searchsorted(np.array(starts, "datetime64[us]"), times, side="right") - 1
    who = orders["customer"].combine_chunks().dictionary_encode().indices.to_numpy()
    pairs = np.unique(np.stack([who, months], axis=1), axis=0)
    first = np.full(who.max() + 1, len(starts))
    np.minimum.at(first, pairs[:, 0], pairs[:, 1])
    counts = np.zeros((len(starts), len(starts)), np.int64)
    np.add.at(counts, (first[pairs[:, 0]], pairs[:, 1]), 1)
    some = [month for month in range(len(starts)) if counts[month, month]][-MOST:]
    names = [f"{_local(start, ZoneInfo(zone)):%Y-%m}" for start in starts]
    return [
        {
            "cohort": names[month],
            "customers": int(counts[month, month]),
            "again": counts[month, month + 1 : month + 1 + MOST].tolist(),
        }
        for month in some
    ]


def _months(first: datetime, last: datetime, zone: ZoneInfo) -> list[datetime]:
    """The beginnings of the months from that of the first moment to that of the last, UTC without a zone."""
    begun, found = _local(first, zone).replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0), []
    while utc(begun) <= last:
        found.append(utc(begun))
        begun = begun.replace(year=begun.year + begun.month // 12, month=begun.month % 12 + 1)
    return found


def _local(moment: datetime, zone: ZoneInfo) -> datetime:
    return moment.replace(tzinfo=ZoneInfo("UTC")).astimezone(zone)
