"""Happenings: the rows of one customer under one name, which of them are one event, and what they come to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from features.events import ORDERED, REFUNDED

Row = Mapping[str, Any]  # a row of `events.SCHEMA`, as `Event.row()` gives it
ORDERS = (ORDERED, REFUNDED)
PARTS, LARGEST = 10_000, 1e9  # money is added in parts of a cent; a row counts for a thousand million at most
TIME = itemgetter("time")


@dataclass(frozen=True, slots=True)
class Happenings:
    """What happened under one name, oldest first: times, which event each row belongs to, and the rows."""

    times: list[datetime]
    events: list[int]
    rows: list[Row]

    @classmethod
    def of(cls, rows: list[Row]) -> Happenings:
        """The rows in the order of time."""
        ordered, numbers = sorted(rows, key=TIME), dict[tuple[Any, ...], int]()
        events = [numbers.setdefault(one_event(row), len(numbers)) for row in ordered]
        return cls([row["time"] for row in ordered], events, ordered)


NEVER = Happenings([], [], [])


def one_event(row: Row) -> tuple[Any, ...]:
    """What lines of one event share: of an order its id, or the moment where it has none; else the message."""
    if row["name"] not in ORDERS:
        return (row["source"], row["message_id"])
    return (row["order_id"],) if row["order_id"] is not None else (row["time"],)


def worth(row: Row) -> int:
    """Quantity x price in parts of the currency, so that no order of adding matters; an unknown quantity is 1."""
    quantity, price = (row[name] for name in ("quantity", "price"))
    worth = (1.0 if quantity is None else quantity) * (0.0 if price is None else price)
    return 0 if math.isnan(worth) else math.floor(min(max(worth, -LARGEST), LARGEST) * PARTS + 0.5)
