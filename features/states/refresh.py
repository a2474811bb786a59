"""Refresh: new events into the states of their customers, each once.

    live events        read from the ledger by their sequence, above the mark, and folded; `close_days` lets none go
                       that the states have not taken over
    files' events      the history's commits above the mark that are no closed days: the states of their customers are
                       made anew

Who calls it every few seconds (`attune work`) pays for the customers of the new events, however many there are in all.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import select

from features.events import utc
from features.history import live_events
from features.ledger import Ledger
from features.states.brought import brought_since
from features.states.rebuild import rebuild_all, rebuild_some
from features.states.state import CustomerState, micros, signal_of
from features.states.store import Mark, Stored, form, read_mark, read_states, write
from features.workspace import Workspace

TOGETHER = 2_000  # events in one transaction: whoever records waits for it
Row = dict[str, Any]


def refresh(workspace: Workspace, now: datetime) -> int:
    """Brings the states up to `now`; how many were written. 0 also where another process is at it."""
    ledger = Ledger.at(workspace.ledger)
    with _alone(workspace) as alone:
        if not alone:
            return 0
        with ledger.read() as connection:
            mark = read_mark(connection)
        new = (
            None
            if mark is None or mark.kept != form(workspace.settings.traits)
            else brought_since(workspace, mark.version)
        )
        if mark is None or new is None:
            return rebuild_all(workspace, ledger, now)
        version, customers = new
        if customers:
            after = rebuild_some(workspace, ledger, mark, customers, now)
            mark = after and write(ledger, replace(after, version=version), {})
        elif version != mark.version:
            mark = write(ledger, replace(mark, version=version), {})
        return len(customers) + (_fold(ledger, mark, now, workspace.settings.traits) if mark else 0)


@contextmanager
def _alone(workspace: Workspace) -> Iterator[bool]:
    """Whether no other process of this host refreshes; one of another host is noticed by the mark."""
    with (workspace.state / "states.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def _fold(ledger: Ledger, mark: Mark, now: datetime, traits: Sequence[str]) -> int:
    """Folds the ledger's events above the mark; how many states were written."""
    touched = 0
    while True:
        with ledger.read() as connection:
            rows, last = _above(connection, mark.sequence)
            states = read_states(connection, list(rows))
        if last is None:
            return touched
        new = {customer: _with(states.get(customer), rows[customer], last, now, traits) for customer in rows}
        after = write(ledger, replace(mark, sequence=last), new)
        if after is None:
            return touched
        mark, touched = after, touched + len(new)


def _above(connection: Any, sequence: int) -> tuple[dict[str, list[tuple[int, Row]]], int | None]:
    """The next events by customer, with their sequences, and the last sequence that was looked at."""
    columns = (live_events.c.sequence, live_events.c.body)
    query = select(*columns).where(live_events.c.sequence > sequence).order_by(live_events.c.sequence).limit(TOGETHER)
    rows: dict[str, list[tuple[int, Row]]] = {}
    last = None
    for last, body in connection.execute(query):
        row = orjson.loads(body)
        if row["customer"] is not None and not row["machine"]:
            rows.setdefault(row["customer"], []).append((last, row))
    return rows, last


def _with(
    stored: Stored | None,
    rows: Sequence[tuple[int, Mapping[str, Any]]],
    last: int,
    now: datetime,
    traits: Sequence[str],
) -> Stored:
    """The state with those of these events that are not in it."""
    before = stored or Stored(CustomerState())
    new = [signal_of(row) for sequence, row in rows if sequence > before.sequence]
    return Stored(before.state.folded(new, micros(utc(now)), traits), max(before.sequence, last))
