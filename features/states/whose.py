"""Whose: the customers of new live events, and whose past changed hands with them.

An event on a device belongs to who identified there next, and after an `Alias` two ids are one person (`identity.py`).
A state is folded by the customer that an event names; whoever came to own earlier events gets a new one from the log.
So does who identified after an event that came late, as far as the ledger still holds what was done on the device.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, select

from features.history import live_events
from features.identity import ALIASED, named_by
from features.states.store import batched, devices_of_nobody

Row = dict[str, Any]


@dataclass(frozen=True)
class Whose:
    """Rows by person, with their sequences; the ids whose states are made anew; devices of nobody, and no longer."""

    rows: dict[str, list[tuple[int, Row]]] = field(default_factory=dict)
    renewed: set[str] = field(default_factory=set)
    nobody: set[str] = field(default_factory=set)
    named: set[str] = field(default_factory=set)


def whose(connection: Connection, found: Sequence[tuple[int, Row]], persons: Mapping[str, str]) -> Whose:
    """Whose these events are, in the order of their sequences; `persons`: of a merged id the one its person bears."""
    unnamed = {row["anonymous"] for _, row in found if row["customer"] is None} - {None}
    named = {row["anonymous"] for _, row in found if row["customer"] is not None} - {None}
    told = Whose(nobody=_of_nobody(connection, unnamed | named))
    after, waiting = _identified(connection, unnamed), _unidentified(connection, told.nobody & named)
    for sequence, row in found:
        customer, device = row["customer"], row["anonymous"]
        if row["name"] == ALIASED:
            told.renewed.update(named_by(row))
        if customer is None:
            later = [one for one in after.get(device, ()) if one[0] >= row["time"]]
            told.renewed.update([who for _, who in sorted(later)[:1]])
            told.nobody.update({device} - {None} if not later else ())
            continue
        if device in told.nobody:
            told.renewed.add(customer)
            if waiting.get(device, "") <= row["time"]:
                told.named.add(device)
                told.nobody.discard(device)
        if not row["machine"]:
            told.rows.setdefault(persons.get(customer, customer), []).append((sequence, row))
    told.renewed.update([persons[one] for one in told.renewed if one in persons])
    return told


def _identified(connection: Connection, devices: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
    """When somebody identified on these devices, as written, and who, as far as it waits in the ledger."""
    times: dict[str, list[tuple[str, str]]] = {}
    for row in _waiting(connection, devices, live_events.c.customer.isnot(None)):
        times.setdefault(row["anonymous"], []).append((row["time"], row["customer"]))
    return times


def _unidentified(connection: Connection, devices: Iterable[str]) -> dict[str, str]:
    """When nobody in particular last did something on these devices, as far as it waits in the ledger."""
    last: dict[str, str] = {}
    for row in _waiting(connection, devices, live_events.c.customer.is_(None)):
        last[row["anonymous"]] = max(row["time"], last.get(row["anonymous"], ""))
    return last


def _waiting(connection: Connection, devices: Iterable[str], which: ColumnElement[bool]) -> Iterator[Row]:
    for some in batched(sorted(devices)):
        query = select(live_events.c.body).where(live_events.c.anonymous.in_(some), which)
        yield from map(orjson.loads, connection.execute(query).scalars())


def _of_nobody(connection: Connection, devices: Iterable[str]) -> set[str]:
    column = devices_of_nobody.c.customer
    return {
        str(one)
        for some in batched(sorted(devices))
        for one in connection.execute(select(column).where(column.in_(some))).scalars()
    }
