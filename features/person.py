"""Person: everything by which a customer is known here, and where rows of it stand in the ledger."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import ColumnElement, MetaData, Table, and_, or_, select

from features.events import IDENTIFIED, MAX_CUSTOMER
from features.history import live_events, read_events
from features.identity import ids_of
from features.ledger import Ledger
from features.workspace import Workspace

if TYPE_CHECKING:
    import ibis.expr.types as ir

EVER = datetime.max  # noqa: DTZ901  # UTC without a zone: everything that is known


@dataclass(frozen=True)
class Person:
    """`ids`: the customer and what was merged with it. `devices`: those on which nobody else identified.

    `shared`: message ids of what it did on other devices before it identified there, by device.
    `addresses`: what it told as its `email`.
    """

    ids: tuple[str, ...]
    devices: tuple[str, ...] = ()
    shared: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Every id that nobody else has."""
        return tuple(dict.fromkeys([*self.ids, *self.devices]))


def person_of(workspace: Workspace, customer: str) -> Person:
    """The person whom this id names; with this id alone where nothing is known of it.

    Raises ValueError where it can be nobody's id.
    """
    if not customer.strip() or len(customer) > MAX_CUSTOMER:
        raise ValueError(f"customer == {customer[:40]!r}, must be an id of 1 to {MAX_CUSTOMER} characters")
    with Ledger.at(workspace.ledger).read() as connection:
        ids = tuple(ids_of(connection, customer))
    events = read_events(workspace)
    mine = events.of_person(ids, EVER)
    told = mine.filter(mine.anonymous.notnull()).select("anonymous", "message_id").distinct().to_pyarrow().to_pylist()
    devices = {*ids, *(row["anonymous"] for row in told)}  # an id may be a device's, of which nobody is known
    others = _others(events.stored(), devices, ids)
    shared: dict[str, list[str]] = {}
    for row in told:
        if row["anonymous"] in others:
            shared.setdefault(row["anonymous"], []).append(row["message_id"])
    there = {device: tuple(sorted(found)) for device, found in shared.items()}
    return Person(ids, tuple(sorted(devices - others)), there, tuple(sorted(_addresses(mine))))


def _addresses(mine: ir.Table) -> set[str]:
    """What the person told as its `email`, as one who is known by the address would bear it."""
    rows = mine.filter(mine.name == IDENTIFIED, mine.properties.contains('"email"')).select("properties").distinct()
    told = [orjson.loads(row) for row in rows.to_pyarrow()["properties"].to_pylist()]
    emails = [one.get("email") for one in told if isinstance(one, dict)]
    return {one for one in emails if isinstance(one, str) and 0 < len(one) <= MAX_CUSTOMER}


def tables_of(ledger: Ledger, person: Person) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Every table of the ledger that names customers, and which of its rows are the person's.

    A table is found by its column `customer`: one that comes later is found too.
    """
    found = MetaData()
    found.reflect(ledger.engine)
    for table in found.sorted_tables:
        if "customer" in table.c:
            yield table, _rows_of(table, person, ledger)


def ledger_rows(ledger: Ledger, person: Person) -> dict[str, list[dict[str, Any]]]:
    """The person's rows by table."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for table, mine in tables_of(ledger, person):
        with ledger.read() as connection:
            found = connection.execute(select(table).where(mine)).mappings()
            rows[str(table.name)] = [{str(name): value for name, value in row.items()} for row in found]
    return rows


def _others(rows: ir.Table, devices: set[str], ids: tuple[str, ...]) -> set[str]:
    """Those of the devices on which somebody else is known to have been."""
    there = rows.filter(rows.anonymous.isin(sorted(devices)), rows.customer.notnull(), ~rows.customer.isin(list(ids)))
    return set(there.select("anonymous").distinct().to_pyarrow()["anonymous"].to_pylist())


def _rows_of(table: Table, person: Person, ledger: Ledger) -> ColumnElement[bool]:
    mine: list[ColumnElement[bool]] = [table.c.customer.in_(person.names)]
    if "previous" in table.c:
        mine.append(table.c.previous.in_(person.names))
    if table.name == live_events.name:
        mine.append(and_(table.c.customer.is_(None), table.c.anonymous.in_(person.devices)))
        mine.append(table.c.sequence.in_(_on_shared(ledger, person)))
    return or_(*mine)


def _on_shared(ledger: Ledger, person: Person) -> list[int]:
    """The live events that the person caused on devices of others too, before it identified there."""
    there = live_events.c.customer.is_(None) & live_events.c.anonymous.in_(person.shared)
    with ledger.read() as connection:
        rows = connection.execute(
            select(live_events.c.sequence, live_events.c.anonymous, live_events.c.body).where(there)
        )
        return [row.sequence for row in rows if orjson.loads(row.body)["message_id"] in person.shared[row.anonymous]]
