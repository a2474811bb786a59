"""Rows: events of one chunk as plain arrays, until they become a table of the events' schema."""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features import events
from features.sources.simulator.items import Floats, Ints

SOURCE = "simulator"
EXPERIMENT_VIEWED = "Experiment Viewed"
NAMES = (
    *(events.VIEWED, events.ADDED, events.ORDERED, events.REFUNDED),
    *(events.DELIVERED, events.OPENED, events.CLICKED, events.IDENTIFIED, EXPERIMENT_VIEWED),
)
CODE = {name: code for code, name in enumerate(NAMES)}
DAY = 86_400_000_000  # microseconds


@dataclass(frozen=True)
class Rows:
    """One entry per event line; -1 stands for null in `item`, `order`, `mail` and `text`."""

    name: Ints
    customer: Ints
    time: Floats  # days since the start
    item: Ints
    quantity: Floats
    order: Ints  # lines of one order share it, and their message
    mail: Ints  # number of the week's mail
    text: Ints  # position of the properties
    machine: NDArray[np.bool_]
    anonymous: Ints  # number of an unknown device: its customer stays unnamed in the log

    def __len__(self) -> int:
        return len(self.name)

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_]) -> Rows:
        """These rows."""
        return Rows(**{field.name: getattr(self, field.name)[index] for field in fields(self)})


def rows(name: str, customer: Ints, time: Floats, **given: NDArray[np.generic]) -> Rows:
    """Rows of one event name; columns not given are null."""
    count = len(customer)
    empty = {column: np.full(count, -1, dtype=np.int64) for column in ("item", "order", "mail", "text", "anonymous")}
    defaults = empty | {"quantity": np.full(count, np.nan), "machine": np.zeros(count, dtype=bool)}
    return Rows(name=np.full(count, CODE[name]), customer=customer, time=time, **(defaults | given))


def joined(parts: list[Rows]) -> Rows:
    """All rows, in order of the parts."""
    names = [field.name for field in fields(Rows)]
    return Rows(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


@dataclass(frozen=True)
class Labels:
    """What the numbers of a chunk's rows stand for."""

    chunk: int
    start: datetime
    customers: list[str]
    items: list[str]
    prices: Floats
    texts: list[str]


def table(chunk: Rows, labels: Labels) -> pa.Table:
    """The rows by time, in the events' schema."""
    chunk = chunk.take(np.lexsort((chunk.order, chunk.time)))
    message, line = _messages(chunk)
    time = pa.array(np.datetime64(labels.start, "us") + (chunk.time * DAY).astype("timedelta64[us]"))
    count, mail = len(chunk), chunk.mail >= 0
    columns = {
        "source": _repeat(SOURCE, count),
        "message_id": _numbered(f"{labels.chunk}-", message),
        "line": pa.array(line, pa.int32()),
        "name": _named(chunk.name, list(NAMES)),
        "customer": _named(np.where(chunk.anonymous < 0, chunk.customer, -1), labels.customers),
        "anonymous": _numbered(f"device-{labels.chunk}-", chunk.anonymous),
        "time": time,
        "original_time": pa.nulls(count, pa.string()),
        "received_at": time,
        "live": pa.array(np.zeros(count, dtype=bool)),
        "item": _named(chunk.item, labels.items),
        "quantity": pa.array(chunk.quantity, mask=np.isnan(chunk.quantity)),
        "price": pa.array(labels.prices[chunk.item], mask=chunk.item < 0),
        "order_id": _numbered(f"order-{labels.chunk}-", chunk.order),
        "channel": _named(mail.astype(np.int64), ["web", "email"]),
        "campaign": _numbered("newsletter-", chunk.mail),
        "machine": pa.array(chunk.machine),
        "properties": _named(chunk.text, labels.texts),
    }
    return pa.table([columns[name] for name in events.COLUMNS], schema=events.SCHEMA)


def _messages(chunk: Rows) -> tuple[Ints, Ints]:
    """Message and line per row: the lines of an order stand together and share a message."""
    same = (chunk.order[1:] == chunk.order[:-1]) & (chunk.order[1:] >= 0) & (chunk.name[1:] == CODE[events.ORDERED])
    first = np.concatenate([[True], ~(same & (chunk.name[1:] == chunk.name[:-1]))])[: len(chunk)]
    message = np.cumsum(first) - 1
    line = np.arange(len(chunk)) - np.flatnonzero(first)[message]
    return message, line


def _named(codes: Ints, names: list[str]) -> pa.Array:
    return pa.array(names, pa.string()).take(pa.array(codes, mask=codes < 0))


def _numbered(prefix: str, numbers: Ints) -> pa.Array:
    text = pa.array(numbers, mask=numbers < 0).cast(pa.string())
    return pc.binary_join_element_wise(prefix, text, "")


def _repeat(text: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(text), count)
