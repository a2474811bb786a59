"""Then: a ledger of what was known of one person at a moment, for whoever decides again as of it.

events        of the log before the moment, by the order in which they became known
consents, aliases, decisions    the person's rows from before the moment
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, insert, or_, select

from features.consent import consents
from features.decisions import decisions
from features.history import live_events, read_events
from features.identity import alias_rows, ids_of
from features.ledger import Ledger
from features.workspace import Workspace

KNOWN = ("received_at", "customer", "anonymous")  # what a row of the ledger says beside its body
Rows = list[dict[str, Any]]


@contextmanager
def ledger_then(workspace: Workspace, customer: str | None, moment: datetime) -> Iterator[Ledger]:
    """The ledger; it is gone afterwards. `moment`: UTC without a zone."""
    with tempfile.TemporaryDirectory(prefix="then-", dir=workspace.state) as folder:
        then = Ledger.at(f"sqlite:///{folder}/ledger.db")
        try:
            if customer is not None:
                _fill(then, workspace, customer, moment)
            yield then
        finally:
            then.close()


def _fill(then: Ledger, workspace: Workspace, customer: str, moment: datetime) -> None:
    with Ledger.at(workspace.ledger).read() as now:
        ids = ids_of(now, customer, moment)
        said = _rows(now, select(consents).where(consents.c.customer.in_(ids), consents.c.time <= moment))
        either = or_(alias_rows.c.previous.in_(ids), alias_rows.c.customer.in_(ids))
        merged = _rows(now, select(alias_rows).where(either, alias_rows.c.time < moment))
        shown = _rows(now, select(decisions).where(decisions.c.customer.in_(ids), decisions.c.time < moment))
    did = _did(workspace, ids, moment)
    with then.write() as connection:
        for table, rows in ((consents, said), (alias_rows, merged), (decisions, shown), (live_events, did)):
            if rows:
                connection.execute(insert(table), rows)


def _rows(connection: Connection, query: Any) -> Rows:
    return [{str(name): value for name, value in row.items()} for row in connection.execute(query).mappings()]


def _did(workspace: Workspace, ids: Sequence[str], moment: datetime) -> Rows:
    """The person's events as rows of the ledger."""
    rows = read_events(workspace).of_person(ids, moment).to_pyarrow().to_pylist()
    rows.sort(key=lambda row: row["received_at"] if row["live"] else row["time"])
    return [{name: row[name] for name in KNOWN} | {"body": orjson.dumps(row).decode()} for row in rows]
