"""CustomerState: what families aggregate of one customer, thinned to what they can tell apart.

    rows     the customer's events. Of those that no window counts any more only the first of all and the last of each
             name and item
    orders   one per order or refund, as `combine.orders` makes them
    pairs    per item the lines bought, less those refunded
    told     per trait what was told last
    early    what is not known yet: events of the future, by a clock that is fast

Nothing in it depends on the moment at which it is read: windows, days and early events are looked at then. Times are
microseconds since 1970.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any, NamedTuple, Self

import orjson

from features.customers import FAMILIES
from features.customers.touches import FIRST, TOUCHES, may_touch, touch_of
from features.events import CODE, ENGAGED, IDENTIFIED, ORDERED, REFUNDED

EPOCH, MICROSECOND = datetime(1970, 1, 1), timedelta(microseconds=1)  # noqa: DTZ001  # as the tables keep it
DAY = 86_400_000_000
NOT_SAID: Any = object()
SPARE = 1  # days that a window's rows are kept longer: the clock of whoever reads may be behind
LATELY = {
    ORDERED: 90,
    REFUNDED: 90,
}  # days: what a release of the last quarter has not seen is still there line by line


class Signal(NamedTuple):
    """One event as a state folds it."""

    time: int
    known: int  # the moment after which `Events.before` gives it
    name: str
    item: str | None
    quantity: float | None
    price: float | None
    order: str | None
    properties: str | None  # of traits and touches
    campaign: str | None
    received: int
    source: str
    message: str
    line: int


class Row(NamedTuple):
    """What is kept of an event; a name without a meaning is empty; of time on a page its seconds."""

    time: int
    known: int
    name: str
    item: str | None
    quantity: float | None = None


class OrderKey(NamedTuple):
    """Lines that share it are one order, or one refund of it; `at` where there is no id."""

    order: str | None
    at: int | None
    refund: bool


class Sums(NamedTuple):
    """What an order comes to; negative for a refund."""

    units: float
    value: float
    time: int


@dataclass(frozen=True)
class CustomerState:
    """One customer; the parts are those of the module's text."""

    rows: tuple[Row, ...] = ()
    orders: Mapping[OrderKey, Sums] = field(default_factory=dict)
    pairs: Mapping[str, float] = field(default_factory=dict)
    told: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)  # time, received, source, message, line, value
    early: tuple[Signal, ...] = ()

    def folded(self, signals: Iterable[Signal], as_of: int, traits: Sequence[str]) -> CustomerState:
        """The state with these events and those that are known by now, thinned to what counts from now on."""
        due, early = self._split(signals, as_of)
        rows = [*self.rows, *(_row(one) for one in due)]
        lines = [one for one in due if one.name in (ORDERED, REFUNDED)]
        return CustomerState(
            tuple(_thinned(rows, as_of)) if due else self.rows,
            _orders(self.orders, lines) if lines else self.orders,
            _pairs(self.pairs, lines) if lines else self.pairs,
            _told(self.told, due, traits),
            early,
        )

    def _split(self, signals: Iterable[Signal], as_of: int) -> tuple[list[Signal], tuple[Signal, ...]]:
        due, early = list[Signal](), list[Signal]()
        for one in (*self.early, *signals):
            (due if one.known < as_of else early).append(one)
        return due, tuple(early)

    def packed(self) -> bytes:
        """The state as `unpacked` reads it."""
        orders = [(*key, *sums) for key, sums in self.orders.items()]
        return orjson.dumps((self.rows, orders, self.pairs, self.told, self.early), default=tuple)

    @classmethod
    def unpacked(cls, body: bytes) -> Self:
        """The state that `packed` wrote."""
        rows, orders, pairs, told, early = orjson.loads(body)
        return cls(
            tuple(map(Row._make, rows)),
            {OrderKey._make(one[:3]): Sums._make(one[3:]) for one in orders},
            pairs,
            {trait: tuple(word) for trait, word in told.items()},
            tuple(map(Signal._make, early)),
        )


def signal_of(row: Mapping[str, Any]) -> Signal:
    """The signal of a row of `events.SCHEMA`, its times as times or as text."""
    time, received = micros(row["time"]), micros(row["received_at"])
    return Signal(
        time,
        max(time, received) if row["live"] else time,
        row["name"],
        row["item"],
        row["quantity"],
        row["price"],
        row["order_id"],
        row["properties"] if row["name"] == IDENTIFIED or may_touch(row) else None,
        row["campaign"],
        received,
        row["source"],
        row["message_id"],
        row["line"],
    )


def micros(moment: datetime | str) -> int:
    """Microseconds since 1970 of a moment without a zone."""
    return ((datetime.fromisoformat(moment) if isinstance(moment, str) else moment) - EPOCH) // MICROSECOND


def kept_days() -> dict[str, int]:
    """How many days every event of a name is kept."""
    days = dict(LATELY)
    for family in FAMILIES.values():
        for name, count in family.counted.items():
            days[name] = max(count, days.get(name, 0))
    return days


KEPT = kept_days()


def _row(signal: Signal) -> Row:
    meant = signal.name in CODE
    name, item = (signal.name, signal.item) if meant else ("", None)
    return Row(signal.time, signal.known, name, item, signal.quantity if name == ENGAGED else None)


def _thinned(rows: Sequence[Row], as_of: int) -> list[Row]:
    """Every row that a window still counts; of the others the first and the last of each name and item."""
    since = {name: as_of - (days + SPARE) * DAY for name, days in KEPT.items()}
    kept, last = [], dict[tuple[str, str | None], Row]()
    ordered = sorted(rows, key=itemgetter(0))
    for row in ordered:
        if row.time >= since.get(row.name, as_of):
            kept.append(row)
        else:
            last[row.name, row.item] = row
    first, old = ordered[0], list(last.values())
    there = last.get((first.name, first.item)) is first or (kept and kept[0] is first)
    return [*old, *kept] if there else [first, *old, *kept]


def _orders(known: Mapping[OrderKey, Sums], lines: Iterable[Signal]) -> dict[OrderKey, Sums]:
    orders = dict(known)
    for line in lines:
        refund = line.name == REFUNDED
        key = OrderKey(line.order, line.time if line.order is None else None, refund)
        units = (1.0 if line.quantity is None else line.quantity) * (-1.0 if refund else 1.0)
        before = orders.get(key, Sums(0.0, 0.0, line.time))
        value = before.value + units * (line.price or 0.0)
        orders[key] = Sums(before.units + units, value, max(before.time, line.time))
    return orders


def _pairs(known: Mapping[str, float], lines: Iterable[Signal]) -> dict[str, float]:
    pairs = dict(known)
    for line in lines:
        if line.item is not None:
            pairs[line.item] = pairs.get(line.item, 0.0) + (-1.0 if line.name == REFUNDED else 1.0)
    return pairs


def _says(signal: Signal, properties: Mapping[str, Any], trait: str) -> Any:
    """What the signal says of the trait; `NOT_SAID` where it does not."""
    if trait in TOUCHES:
        return touch_of(signal._asdict(), trait) or NOT_SAID
    return properties.get(trait, NOT_SAID) if signal.name == IDENTIFIED else NOT_SAID


def _told(
    known: Mapping[str, tuple[Any, ...]], signals: Iterable[Signal], traits: Sequence[str]
) -> dict[str, tuple[Any, ...]]:
    """Per trait the word that was told last, of the first touches first; of two at one time that of the later message,
    as in `profile.latest`."""
    told = dict(known)
    for one in signals:
        if not traits or one.properties is None:
            continue
        properties = orjson.loads(one.properties)
        for trait in traits if isinstance(properties, dict) else ():
            value = _says(one, properties, trait)
            word = (one.time, one.received, one.source, one.message, one.line, value)
            if value is not NOT_SAID and (trait not in told or (word[:5] < told[trait][:5]) == (trait in FIRST)):
                told[trait] = word
    return told
