"""Whose: the customers of new live events, and whose past changed hands with them.

An event on a device belongs to who identified there next, and after an `Alias` two ids are one person (`identity.py`).
A state is folded by the customer that an event names; whoever came to own earlier events gets a new one from the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

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
    nobody = _of_nobody(connection, {row["anonymous"] for _, row in found} - {None})
    told = Whose(nobody=nobody)
    for sequence, row in found:
        customer, device = row["customer"], row["anonymous"]
        if row["name"] == ALIASED:
            told.renewed.update(named_by(row))
        if customer is None:
            told.nobody.update({device} - {None})
            continue
        if device in told.nobody:
            told.renewed.add(customer)
            told.named.add(device)
            told.nobody.discard(device)
        if not row["machine"]:
            told.rows.setdefault(persons.get(customer, customer), []).append((sequence, row))
    told.renewed.update([persons[one] for one in told.renewed if one in persons])
    return told


def _of_nobody(connection: Connection, devices: Iterable[str]) -> set[str]:
    column = devices_of_nobody.c.customer
    return {
        str(one)
        for some in batched(sorted(devices))
        for one in connection.execute(select(column).where(column.in_(some))).scalars()
    }
