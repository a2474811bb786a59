"""Seen: what customers did, as far as the conditions of offers and slots ask for it and this service knows.

    the history     rows that one of these conditions can count, held in memory by customer, as of one version of it
    seen since      the live events that wait in the ledger above it: one query by index

Of each customer and event the newest `LOOKED` rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa

from features.conditions.grammar import Condition, Happened, Last, Leaf, Trait, leaves
from features.customers.touches import TOUCHES, said
from features.events import IDENTIFIED, SCHEMA
from features.history import newest_version, read_closed
from features.identity import belongs
from features.ledger import Ledger
from features.past import people
from features.states.store import batched
from features.workspace import Workspace

if TYPE_CHECKING:
    import ibis.expr.types as ir

EVER = datetime.max  # noqa: DTZ901  # UTC without a zone: all that history holds
EVERY = float("inf")
LOOKED = 1_000  # bounds what an answer costs; a condition that counts further is not written
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Closed:
    """Rows of the history, sorted by whose they are."""

    table: pa.Table = field(default_factory=SCHEMA.empty_table)
    whose: str = "customer"  # the column

    def of(self, *ids: str) -> Rows:
        """The rows of these ids."""
        places = [self._places.get(one, (0, 0)) for one in ids]
        return [row for start, count in places for row in self.table.slice(start, count).to_pylist()]

    @cached_property
    def _places(self) -> dict[str, tuple[int, int]]:
        runs = self.table[self.whose].combine_chunks().value_counts()  # in the order of the rows
        counts = runs.field("counts").to_numpy()
        starts = np.cumsum(counts) - counts
        return dict(
            zip(runs.field("values").to_pylist(), zip(starts.tolist(), counts.tolist(), strict=True), strict=True)
        )


@dataclass(frozen=True)
class Seen:
    """What the history holds of customers, and of devices on which nobody identified; the last event that it holds."""

    customers: Closed = field(default_factory=Closed)
    devices: Closed = field(default_factory=partial(Closed, whose="anonymous"))
    sequence: int = 0
    unread: bool = False  # while the ledger is away, which says how far the history goes, nothing is known of anybody

    @classmethod
    def of(cls, workspace: Workspace, conditions: Sequence[Condition]) -> Seen:
        """What these conditions ask of the history; nothing is read where they ask nothing or no day has closed."""
        names = asked(conditions)
        if not names or newest_version(workspace) is None:
            return cls()
        import ibis  # half a second, in each worker before it answers: not before a day has closed

        closed = read_closed(workspace)
        rows = closed.events.before(EVER)
        rows = rows.filter(~rows.machine)
        wanted = rows.name.isin(sorted(names))
        if any(isinstance(leaf, Trait) and leaf.trait in TOUCHES for leaf in _leaves(conditions)):
            wanted |= rows.properties.notnull() & said(rows)
        rows = rows.filter(wanted)

        def newest(rows: ir.Table, whose: str) -> Closed:
            place = ibis.row_number().over(group_by=[whose, "name"], order_by=ibis.desc("time"))
            kept = rows.mutate(place=place).filter(ibis._.place < LOOKED).drop("place")
            return Closed(kept.order_by(whose).to_pyarrow(), whose)

        nobody = rows.filter(rows.customer.isnull(), rows.anonymous.notnull())
        return cls(newest(people(rows), "customer"), newest(nobody, "anonymous"), closed.sequence)

    def of_person(self, ledger: Ledger | None, ids: Sequence[str]) -> Rows:
        """What is known of the person with these ids: live events above the history, and the history's rows.

        Also those of devices on which the person identified since.
        """
        self._require_read()
        since = waiting(ledger, ids, self.devices)
        return [row for row in since if row.get("sequence", EVERY) > self.sequence] + self.customers.of(*ids)

    def of_visitor(self, ledger: Ledger, device: str) -> Rows:
        """The same of nobody on this device: after somebody last identified there."""
        self._require_read()
        return of_device(ledger, device, self.devices.of(device), above=self.sequence)

    def _require_read(self) -> None:
        if self.unread:
            raise OSError("the history was not read yet")


def asked(conditions: Sequence[Condition]) -> set[str]:
    """The names of the events that the conditions look at."""
    parts = list(_leaves(conditions))
    told = {IDENTIFIED for leaf in parts if isinstance(leaf, Trait)}
    counted = [leaf for leaf in parts if isinstance(leaf, Happened)]
    after = {leaf.since.event for leaf in counted if isinstance(leaf.since, Last)}
    return told | after | {leaf.event for leaf in counted}


def _leaves(conditions: Sequence[Condition]) -> Iterator[Leaf]:
    return (leaf for condition in conditions for leaf in leaves(condition))


def waiting(ledger: Ledger | None, ids: Sequence[str], closed: Closed | None = None) -> Rows:
    """The newest live events of the person with these ids that wait in the ledger, with their `sequence`.

    Under any id, and on devices before any; there also what is closed of nobody, which has no sequence.
    """
    if ledger is None:
        return []
    rows = _newest(ledger, _among("customer", ids), ids)
    devices = list({row["anonymous"] for row in rows} - {None})
    if not devices:
        return rows
    whose = f"{_among('customer', ids)} OR {_among('anonymous', devices)}"
    before = [] if closed is None else closed.of(*devices)
    return belongs([*_newest(ledger, whose, [*ids, *devices]), *before], ids)


def waiting_each(ledger: Ledger, customers: Sequence[str]) -> dict[str, Rows]:
    """What `waiting` gives for each of these customers who bear one id, by two queries for all."""
    own = _newest_each(ledger, "customer", customers)
    devices = {who: {row["anonymous"] for row in rows} - {None} for who, rows in own.items()}
    there = _newest_each(ledger, "anonymous", sorted(set().union(*devices.values())))
    return {who: _of_person(who, rows, [there[device] for device in devices[who]]) for who, rows in own.items()}


def _of_person(customer: str, rows: Rows, on_devices: Sequence[Rows]) -> Rows:
    """The newest of the rows under the id and of those on the devices, as far as they are the customer's."""
    if not on_devices:
        return rows
    every = {row["sequence"]: row for some in (rows, *on_devices) for row in some}
    return belongs([every[sequence] for sequence in sorted(every, reverse=True)[:LOOKED]], [customer])


def of_device(ledger: Ledger, device: str, closed: Sequence[dict[str, Any]] = (), *, above: int = 0) -> Rows:
    """The newest live events of nobody on this device, and of these closed ones: after somebody last identified there.

    Live are those above this `sequence`.
    """
    rows = _newest(ledger, "anonymous = ?", [device])
    named = max((row["time"] for row in rows if row["customer"] is not None), default=datetime.min)  # noqa: DTZ901  # UTC
    every = [*(row for row in rows if row["sequence"] > above), *closed]
    return [row for row in every if row["customer"] is None and row["time"] > named]


def _among(column: str, values: Sequence[str]) -> str:
    return f"{column} IN ({', '.join('?' * len(values))})"


def _newest_each(ledger: Ledger, column: str, values: Sequence[str]) -> dict[str, Rows]:
    """Per value of the column the newest rows."""
    found: dict[str, Rows] = {value: [] for value in values}
    for some in batched(values):
        place = f"row_number() OVER (PARTITION BY {column} ORDER BY sequence DESC) AS place"
        ranked = f"SELECT {column} AS whose, sequence, body, {place} FROM events WHERE {_among(column, some)}"
        query = f"SELECT whose, sequence, body FROM ({ranked}) AS ranked WHERE place <= ? ORDER BY sequence DESC"
        for whose, sequence, body in ledger.look(query, (*some, LOOKED)):
            found[whose].append(_read(sequence, body))
    return found


def _newest(ledger: Ledger, whose: str, values: Sequence[str]) -> Rows:
    query = f"SELECT sequence, body FROM events WHERE {whose} ORDER BY sequence DESC LIMIT ?"
    return [_read(sequence, body) for sequence, body in ledger.look(query, (*values, LOOKED))]


def _read(sequence: int, body: str) -> dict[str, Any]:
    row: dict[str, Any] = orjson.loads(body) | {"sequence": sequence}
    return row | {name: datetime.fromisoformat(row[name]) for name in ("time", "received_at")}
