"""Identity: whose an event is. Edges are resolved on read; events are never rewritten.

    one device    view   view   Identify(anna)   view   Identify(bert)   view
    whose         anna   anna   anna             bert   bert             nobody's yet

An event without a customer belongs to who identified next on its device, and to nobody before that is known: as of an
earlier moment it is nobody's. So a shared device merges nobody. Two known ids are one person only after an `Alias`
event said so: from then on both bear the id that it named last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import orjson
from sqlalchemy import Boolean, Column, Connection, DateTime, String, Table, Text, insert, or_, select

from features.ledger import NUMBER, Ledger, metadata

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa

ALIASED = "Alias"
PREVIOUS = "previous_id"  # in the properties of an `Alias` event
NEEDED = ("source", "message_id", "name", "customer", "time", "received_at", "live", "properties")
MAX_ID = 256

alias_rows = Table(
    "aliases",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("previous", String(MAX_ID), nullable=False, index=True),
    Column("customer", String(MAX_ID), nullable=False, index=True),
    Column("device", Boolean, nullable=False),  # the previous id is that of the device, not of a customer
    Column("time", DateTime, nullable=False),  # from when on it is known
    Column("source", String(128), nullable=False),
    Column("message_id", Text, nullable=False),
)


@dataclass(frozen=True, slots=True)
class Alias:
    """From `time` on, what `previous` did was done by `customer`."""

    previous: str
    customer: str
    time: datetime
    device: bool = False


@dataclass(frozen=True)
class Identity:
    """The aliases of a log, oldest first, and whether it has `devices`: rows that name customer and device."""

    aliases: tuple[Alias, ...] = ()
    devices: bool = False

    def __bool__(self) -> bool:
        return bool(self.aliases) or self.devices

    def resolved(self, rows: ir.Table, moment: datetime) -> ir.Table:
        """These rows, all from before the moment, with the customer that each is known by then to belong to."""
        known = self._known(moment)
        rows = _of_devices(rows, ["anonymous"]) if self.devices else rows
        if not known:
            return rows
        edges = _edges((alias, moment) for alias in known).drop("moment")
        return _merged(_of_aliased_devices(rows, edges, []), persons(known))

    def ids(self, moments: pa.Table) -> pa.Table:
        """Every id (`member`) that each of these (`customer`, `moment`) bore at the moment, beside the two.

        Who bore the id of another by then has none.
        """
        import pyarrow as pa

        if not self.aliases:
            return moments.select(["customer", "customer", "moment"]).rename_columns(["member", "customer", "moment"])
        asked, rows = dict[datetime, set[str]](), list[tuple[str, str, datetime]]()
        for customer, moment in zip(*(moments[name].to_pylist() for name in ("customer", "moment")), strict=True):
            asked.setdefault(moment, set()).add(customer)
        for moment, customers in asked.items():
            named = persons(self._known(moment))
            rows += [(one, one, moment) for one in customers - named.keys()]
            rows += [(one, person, moment) for one, person in named.items() if person in customers]
        kinds = {"member": pa.string(), "customer": pa.string(), "moment": pa.timestamp("us")}
        columns = ([row[at] for row in rows] for at in range(len(kinds)))
        return pa.table([pa.array(*one) for one in zip(columns, kinds.values(), strict=True)], list(kinds))

    def resolved_each(self, rows: ir.Table, ids: pa.Table) -> ir.Table:
        """Of rows that each have a `moment` those of these `ids` of the moment, with the customer who bore them.

        Of a device all rows known at the moment are there.
        """
        import ibis

        rows = _of_devices(rows, ["anonymous", "moment"]) if self.devices else rows
        when = ids["moment"].unique().to_pylist()
        edges = _edges((alias, moment) for moment in when for alias in self._known(moment))
        rows = _of_aliased_devices(rows, edges, ["moment"]) if self.aliases else rows
        mine = rows.inner_join(ibis.memtable(ids).rename(person="customer"), [("customer", "member"), "moment"])
        return mine.mutate(customer=mine.person).select(rows.columns)

    def _known(self, moment: datetime) -> list[Alias]:
        return [alias for alias in self.aliases if alias.time < moment]


NO_EDGES = Identity()


def persons(aliases: Iterable[Alias]) -> dict[str, str]:
    """Every id that was merged, and the id that its person bears: the one that the newest alias of them named."""
    above: dict[str, str] = {}  # each id's way to one of its person's, who bears the name
    bears: dict[str, str] = {}

    def top(one: str) -> str:
        while above.setdefault(one, one) != one:
            above[one] = one = above[above[one]]  # half the way next time
        return one

    for alias in aliases:
        above[top(alias.previous)] = top(alias.customer)
        bears[top(alias.customer)] = alias.customer
    return {one: bears[top(one)] for one in list(above)}


def note(connection: Connection, rows: Iterable[Mapping[str, Any]]) -> None:
    """Keeps the edges of these rows' `Alias` events, so that reading need not look for them in the log."""
    found = [edge for row in rows if row["name"] == ALIASED and (edge := _edge(row)) is not None]
    for edge in found:
        same = [alias_rows.c[name] == edge[name] for name in ("source", "message_id")]
        if connection.execute(select(alias_rows.c.id).where(*same)).first() is None:
            connection.execute(insert(alias_rows), [edge])


def read_aliases(ledger: Ledger) -> tuple[Alias, ...]:
    """Every edge, in the order in which they came to be known."""
    with ledger.read() as connection:
        rows = connection.execute(select(alias_rows).order_by(alias_rows.c.time, alias_rows.c.id)).all()
    return tuple(map(_alias, rows))


def aliases_of(connection: Connection, customer: str, moment: datetime | None = None) -> list[Alias]:
    """The edges among this customer's ids, oldest first; as a rule nobody has any, which costs one short look."""
    if connection.exec_driver_sql(f"SELECT 1 FROM {alias_rows.name} LIMIT 1").first() is None:
        return []
    found: dict[int, Alias] = {}
    ids, asked = {customer}, set[str]()
    while fresh := ids - asked:
        asked |= fresh
        near = or_(alias_rows.c.previous.in_(fresh), alias_rows.c.customer.in_(fresh))
        for row in connection.execute(select(alias_rows).where(near)):
            if moment is None or row.time < moment:
                found[row.id] = _alias(row)
        ids |= {one for alias in found.values() for one in (alias.previous, alias.customer)}
    return [found[key] for key in sorted(found, key=lambda key: (found[key].time, key))]


def ids_of(connection: Connection, customer: str, moment: datetime | None = None) -> list[str]:
    """Every id of this customer's person, the one that it bears first; the customer alone where nothing was merged."""
    named = persons(aliases_of(connection, customer, moment))
    return sorted(named, key=lambda one: (one != named[one], one)) if named else [customer]


def belongs(rows: Sequence[Mapping[str, Any]], customers: Iterable[str]) -> list[dict[str, Any]]:
    """Of the rows of a few devices, those of these customers: what `Identity` says of a log, for one person."""
    wanted, after = set(customers), dict[str | None, str]()
    kept = []
    for row in sorted(rows, key=lambda row: (row["time"], row["customer"] is not None, row["customer"] or ""))[::-1]:
        if row["customer"] is not None and row["anonymous"] is not None:
            after[row["anonymous"]] = row["customer"]
        whose = row["customer"] or (after.get(row["anonymous"]) if row["anonymous"] is not None else None)
        if whose in wanted:
            kept.append({**row, "customer": whose})
    return kept


def named_by(row: Mapping[str, Any]) -> set[str]:
    """Every id that a row names: its customer, its device and, of an `Alias`, the previous id."""
    edge = _edge(row) if row["name"] == ALIASED else None
    ids = [row["customer"], row["anonymous"], *([edge["previous"]] if edge else [])]
    return {str(one) for one in ids if one is not None}


def _edge(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """What an `Alias` event says; None where it names no two ids."""
    try:
        told = orjson.loads(row["properties"] or "null")
    except orjson.JSONDecodeError:
        return None
    previous = told.get(PREVIOUS) if isinstance(told, dict) else None
    usable = isinstance(previous, str) and 0 < len(previous) <= MAX_ID and "\0" not in previous
    if not usable or row["customer"] in (None, previous):
        return None
    known = max(row["time"], row["received_at"]) if row["live"] else row["time"]
    same = {name: row[name] for name in ("customer", "source", "message_id")}
    return {"previous": previous, "time": known, "device": previous == row["anonymous"], **same}


def _alias(row: Any) -> Alias:
    return Alias(row.previous, row.customer, row.time, row.device)


def _of_devices(rows: ir.Table, by: Sequence[str]) -> ir.Table:
    """Who identified next on the device: rows up to an identified one share the count of those from them on."""
    import ibis

    there = rows.filter(rows.anonymous.notnull())
    order = [there.time, there.customer.notnull(), there.customer]
    ahead = ibis.window(group_by=list(by), order_by=order, preceding=0, following=None)
    counted = there.mutate(ahead=there.customer.count().over(ahead))
    next_one = counted.customer.max().over(ibis.window(group_by=[*by, "ahead"]))
    found = counted.mutate(customer=counted.customer.coalesce(next_one)).drop("ahead")
    return rows.filter(rows.anonymous.isnull()).union(found)


def _edges(known: Iterable[tuple[Alias, datetime]]) -> ir.Table:
    """The last alias of each previous id, of those known at each moment."""
    import ibis
    import pyarrow as pa

    last = {(alias.previous, moment): alias for alias, moment in known}
    columns = {
        "device": pa.array([previous for previous, _ in last], pa.string()),
        "moment": pa.array([moment for _, moment in last], pa.timestamp("us")),
        "until": pa.array([alias.time for alias in last.values()], pa.timestamp("us")),
        "whose": pa.array([alias.customer for alias in last.values()], pa.string()),
    }
    return ibis.memtable(pa.table(columns))


def _of_aliased_devices(rows: ir.Table, edges: ir.Table, by: Sequence[str]) -> ir.Table:
    """What was done until then on a device that an alias names as the previous id, and nobody else identified for."""
    joined = rows.left_join(edges, [("anonymous", "device"), *by])
    mine = joined.customer.isnull() & (joined.time <= joined.until)
    return joined.mutate(customer=mine.ifelse(joined.whose, joined.customer)).select(rows.columns)


def _merged(rows: ir.Table, named: Mapping[str, str]) -> ir.Table:
    import ibis
    import pyarrow as pa

    edges = ibis.memtable(pa.table({"member": list(named), "person": list(named.values())}))
    joined = rows.left_join(edges, rows.customer == edges.member)
    return joined.mutate(customer=joined.person.coalesce(joined.customer)).select(rows.columns)
