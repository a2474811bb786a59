"""Consent: who allowed what. Rows are only ever added; no row means no."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlalchemy import Boolean, Column, Connection, DateTime, String, Table, Text, func, insert, select

from features.events import Events, utc
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
    Column("channel", String(32)),  # null: every channel
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
        for purpose in basis.purposes:
            of_purpose = select(consents.c.customer).where(consents.c.purpose == purpose)
            same = of_purpose.where(consents.c.source == source)
            refused = of_purpose.where(consents.c.granted.is_(False))
            known = set(connection.execute(same.union(refused)).scalars())
            common = {"purpose": purpose, "granted": True, "time": utc(time), "source": source, "proof": basis.proof}
            rows = [common | {"customer": customer} for customer in customers if customer not in known]
            if rows:
                connection.execute(insert(consents), rows)
            added += len(rows)
    return added


def agree_in(
    connection: Connection, customer: str, purposes: Sequence[str], *, source: str, time: datetime, proof: str
) -> None:
    """Writes in the caller's transaction that the customer agreed in person: it holds also after a withdrawal."""
    common = {"customer": customer, "granted": True, "time": utc(time), "source": source, "proof": proof}
    connection.execute(insert(consents), [common | {"purpose": purpose} for purpose in purposes])


def withdraw(ledger: Ledger, customer: str, purposes: Sequence[str], *, source: str, time: datetime) -> None:
    """Writes that the customer no longer agrees."""
    with ledger.write() as connection:
        withdraw_in(connection, customer, purposes, source=source, time=time)


def withdraw_in(
    connection: Connection, customer: str, purposes: Sequence[str], *, source: str, time: datetime, proof: str = ""
) -> None:
    """Writes in the caller's transaction that the customer no longer agrees."""
    common = {"customer": customer, "granted": False, "time": utc(time), "source": source, "proof": proof}
    connection.execute(insert(consents), [common | {"purpose": purpose} for purpose in purposes])


def consented_customers(ledger: Ledger, *, purpose: str, as_of: datetime) -> list[str]:
    """The customers whose last word on this purpose, as of this moment, is yes; sorted."""
    last = (
        select(func.max(consents.c.id))
        .where(consents.c.purpose == purpose, consents.c.time <= utc(as_of))
        .group_by(consents.c.customer)
    )
    query = select(consents.c.customer).where(consents.c.id.in_(last), consents.c.granted)
    with ledger.read() as connection:
        return sorted(connection.execute(query).scalars())


def allows(ledger: Ledger, customer: str, *, purpose: str, as_of: datetime) -> bool:
    """Whether this customer's last word on this purpose, as of this moment, is yes."""
    query = (
        select(consents.c.granted)
        .where(consents.c.customer == customer, consents.c.purpose == purpose, consents.c.time <= utc(as_of))
        .order_by(consents.c.id.desc())
        .limit(1)
    )
    with ledger.read() as connection:
        return bool(connection.execute(query).scalar())


def consented(events: Events, workspace: Workspace, *, purpose: str, as_of: datetime) -> tuple[Events, str]:
    """The events of customers who agreed, and of nobody in particular; and a line on who was left out.

    A row without a customer belongs to somebody all the same when its order names one who did not agree in another row.
    """
    customers = consented_customers(Ledger.at(workspace.ledger), purpose=purpose, as_of=as_of)
    table = events.before(as_of)
    total = int(table.customer.nunique().to_pyarrow().as_py())
    agreed = table.customer.isin(_memtable(customers).customer)
    refused = _orders_of(table, table.customer.notnull() & ~agreed)
    nobody = table.customer.isnull()
    if refused:
        nobody &= table.order_id.isnull() | ~table.order_id.isin(refused)
    kept = Events.of(table.filter(nobody | agreed))
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
