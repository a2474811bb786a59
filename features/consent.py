"""Consent: who allowed what. Rows are only ever added; no row means no.

A row speaks for all channels, topics and addresses, or for the one that it names. The last row that speaks for what is
asked counts. Of a person with several ids, what was said before they were merged counts only where all of them said
yes; what was said since counts for all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import (
    Boolean,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Select,
    String,
    Table,
    Text,
    func,
    insert,
    or_,
    select,
)

from features.erased import erased_among
from features.events import Events, utc
from features.identity import aliases_of, persons, read_aliases
from features.ledger import NUMBER, Ledger, metadata
from features.workspace import Frozen, Workspace

if TYPE_CHECKING:
    import ibis.expr.types as ir

PURPOSES = ("personalisation", "marketing", "analytics", "ads")

consents = Table(
    "consents",
    metadata,
    Column("id", NUMBER, primary_key=True),
    Column("customer", String(256), nullable=False),
    Column("address", String(256)),  # of a message: an e-mail address, a number; null: every one
    Column("channel", String(32)),  # null: every channel
    Column("topic", String(64)),  # of `topics` in attune.yaml; null: every topic
    Column("purpose", String(32), nullable=False),
    Column("granted", Boolean, nullable=False),
    Column("time", DateTime, nullable=False),
    Column("source", String(128), nullable=False),
    Column("proof", Text, nullable=False),
)


@dataclass(frozen=True)
class Basis:
    """On which consent data enters: the purposes its customers agreed to, and what proves it."""

    purposes: tuple[str, ...]
    proof: str

    def __post_init__(self) -> None:
        unknown = [purpose for purpose in self.purposes if purpose not in PURPOSES]
        if unknown:
            raise ValueError(f"consent names {unknown}; the purposes are {list(PURPOSES)}")
        if self.purposes and not self.proof.strip():
            raise ValueError("consent has no proof; say where the customers agreed (--proof, or `proof:` in the map)")


class ConsentMap(Frozen):
    """`consent` in a map: on which basis the data of the file's customers may be used."""

    purposes: tuple[str, ...] = ()
    proof: str = ""

    def basis(self) -> Basis:
        return Basis(self.purposes, self.proof)


def grant(ledger: Ledger, customers: Sequence[str], basis: Basis, *, source: str, time: datetime) -> int:
    """Writes the basis for these customers, once per source and purpose; how many rows were added.

    A customer who ever withdrew a purpose is left as they are: the basis of a file does not answer for them.
    """
    added = 0
    with ledger.write() as connection:
        gone = erased_among(connection, customers)
        for purpose in basis.purposes:
            of_purpose = select(consents.c.customer).where(consents.c.purpose == purpose)
            same = of_purpose.where(consents.c.source == source)
            refused = of_purpose.where(consents.c.granted.is_(False))
            known = set(connection.execute(same.union(refused)).scalars())
            common = {"purpose": purpose, "granted": True, "time": utc(time), "source": source, "proof": basis.proof}
            rows = [common | {"customer": customer} for customer in customers if customer not in known | gone]
            if rows:
                connection.execute(insert(consents), rows)
            added += len(rows)
    return added


@dataclass(frozen=True, slots=True)
class About:
    """What a word is about, beside its purpose: one address, channel or topic of messages, or all of them."""

    address: str | None = None
    channel: str | None = None
    topic: str | None = None

    def spoken_for(self) -> list[ColumnElement[bool]]:
        """The rows that speak for it."""
        asked = asdict(self)
        return [or_(consents.c[name].is_(None), consents.c[name] == asked[name]) for name in asked]


EVERYTHING = About()


def withdraw(ledger: Ledger, customer: str, purposes: Sequence[str], *, source: str, time: datetime) -> None:
    """Writes that the customer no longer agrees."""
    for purpose in purposes:
        say(ledger, customer, purpose, granted=False, source=source, proof="", time=time)


def say(
    ledger: Ledger,
    customer: str,
    purpose: str,
    *,
    granted: bool,
    source: str,
    proof: str,
    time: datetime,
    about: About = EVERYTHING,
) -> None:
    """Adds a customer's own word."""
    with ledger.write() as connection:
        say_in(connection, customer, purpose, granted=granted, source=source, proof=proof, time=time, about=about)


def say_in(
    connection: Connection,
    customer: str,
    purpose: str,
    *,
    granted: bool,
    source: str,
    proof: str,
    time: datetime,
    about: About = EVERYTHING,
) -> None:
    """The same in the caller's transaction; of one who was erased nothing is kept."""
    if purpose not in PURPOSES:
        raise ValueError(f"purpose == {purpose!r}, must be one of {list(PURPOSES)}")
    word = {"purpose": purpose, "granted": granted, "time": utc(time), "source": source, "proof": proof}
    if not erased_among(connection, [customer]):
        connection.execute(insert(consents), {"customer": customer, **word, **asdict(about)})


def consented_customers(ledger: Ledger, *, purpose: str, as_of: datetime) -> list[str]:
    """The customers whose last word on this purpose, as of this moment, is yes; sorted, each with all its ids."""
    last = (
        select(func.max(consents.c.id))
        .where(consents.c.purpose == purpose, consents.c.time <= utc(as_of), *EVERYTHING.spoken_for())
        .group_by(consents.c.customer)
    )
    query = select(consents.c.customer).where(consents.c.id.in_(last), consents.c.granted)
    merged = persons(alias for alias in read_aliases(ledger) if alias.time < utc(as_of))
    firsts = sorted(set(merged.values()))
    with ledger.read() as connection:
        alone = set(connection.execute(query).scalars()) - merged.keys()
        agreed = {one for one in firsts if _allows(connection, one, purpose, utc(as_of), EVERYTHING)}
    return sorted(alone | {one for one, person in merged.items() if person in agreed})


def allows(ledger: Ledger, customer: str, *, purpose: str, as_of: datetime, about: About = EVERYTHING) -> bool:
    """Whether this customer's last word on this purpose, as of this moment, is yes."""
    with ledger.read() as connection:
        return _allows(connection, customer, purpose, utc(as_of), about)


def _allows(connection: Connection, customer: str, purpose: str, moment: datetime, about: About) -> bool:
    edges = aliases_of(connection, customer, moment)
    spoken = select(consents.c.granted).where(
        consents.c.purpose == purpose, consents.c.time <= moment, *about.spoken_for()
    )
    if not edges:
        return bool(_last(connection, spoken.where(consents.c.customer == customer)))
    named = persons(edges)
    since = spoken.where(consents.c.customer.in_(named), consents.c.time >= edges[-1].time)
    word = _last(connection, since)
    if word is not None:
        return word
    customers = named.keys() - {edge.previous for edge in edges if edge.device}
    return all(_last(connection, spoken.where(consents.c.customer == one)) for one in customers)


def _last(connection: Connection, spoken: Select[Any]) -> bool | None:
    word: bool | None = connection.execute(spoken.order_by(consents.c.id.desc()).limit(1)).scalar()
    return word


def consented(events: Events, workspace: Workspace, *, purpose: str, as_of: datetime) -> tuple[Events, str]:
    """The events of customers who agreed, and of nobody in particular; and a line on who was left out.

    A row without a customer belongs to somebody all the same when its order names one who did not agree in another row.
    """
    customers = consented_customers(Ledger.at(workspace.ledger), purpose=purpose, as_of=as_of)
    table, among = events.before(as_of), _memtable(customers).customer
    total = int(table.customer.nunique().to_pyarrow().as_py())
    refused = _orders_of(table, table.customer.notnull() & ~table.customer.isin(among))

    def agreed(rows: ir.Table) -> ir.BooleanValue:
        nobody = rows.customer.isnull()
        if refused:
            nobody &= rows.order_id.isnull() | ~rows.order_id.isin(refused)
        return nobody | rows.customer.isin(among)

    kept = events.kept(as_of, agreed)
    present = int(kept.before(as_of).customer.nunique().to_pyarrow().as_py())
    return kept, left_out(total, total - present, purpose)


def _orders_of(table: ir.Table, refused: ir.BooleanValue) -> list[str]:
    """The orders that have both rows without a customer and rows of one who did not agree; as a rule there are none."""
    unnamed = table.filter(table.customer.isnull(), table.order_id.notnull()).select("order_id").distinct()
    both = unnamed.semi_join(table.filter(refused), "order_id")
    return [str(order) for order in both.order_id.to_pyarrow().to_pylist()]


def left_out(total: int, without: int, purpose: str) -> str:
    """The line that says how many customers were left out, and why."""
    return f"consent: {without:,} of {total:,} customers left out (no consent to {purpose})"


def _memtable(customers: Sequence[str]) -> ir.Table:
    import ibis

    return ibis.memtable(pa.table({"customer": pa.array(customers, pa.string())}))
