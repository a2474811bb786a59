"""Refresh: new events into the states of their customers, each once.

    live events        read from the ledger by their sequence, above the mark, and folded; `close_days` lets none go
                       that the states have not taken over
    files' events      the history's commits above the mark that are no closed days: the states of their customers are
                       made anew
    who is who         an event that says whose earlier ones were has the states of these customers made anew

Who calls it every few seconds (`attune work`) pays for the customers of the new events, however many there are in all.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime

import orjson
from sqlalchemy import select

from features.events import utc
from features.history import live_events
from features.identity import persons, read_aliases
from features.ledger import Ledger
from features.states.brought import Brought, brought_since
from features.states.rebuild import rebuild_all, rebuild_some
from features.states.state import CustomerState, micros, signal_of
from features.states.store import Mark, Stored, form, read_mark, read_states, write
from features.states.whose import Row, whose
from features.workspace import Workspace

TOGETHER = 2_000  # events in one transaction: whoever records waits for it


def refresh(workspace: Workspace, now: datetime) -> int:
    """Brings the states up to `now`; how many were written. 0 also where another process is at it."""
    ledger = Ledger.at(workspace.ledger)
    with _alone(workspace) as alone:
        if not alone:
            return 0
        with ledger.read() as connection:
            mark = read_mark(connection)
        current = mark is not None and mark.kept == form(workspace.settings.traits)
        new = brought_since(workspace, mark.version) if mark is not None and current else None
        if mark is None or new is None:
            return rebuild_all(workspace, ledger, now)
        after = _brought(workspace, ledger, mark, new, now)
        return len(new.customers) + (_fold(workspace, ledger, after, now) if after else 0)


def _brought(workspace: Workspace, ledger: Ledger, mark: Mark, new: Brought, now: datetime) -> Mark | None:
    """Takes over what files brought."""
    if new.version == mark.version:
        return mark
    after = rebuild_some(workspace, ledger, mark, new.customers, now) if new.customers else mark
    return after and write(ledger, replace(after, version=new.version), {}, nobody=new.devices)


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


def _fold(workspace: Workspace, ledger: Ledger, mark: Mark, now: datetime) -> int:
    """Folds the ledger's events above the mark; how many states were written."""
    touched = 0
    after: Mark | None = mark
    while after is not None:
        found = _above(ledger, after.sequence)
        if not found:
            break
        after, written = _fold_part(workspace, ledger, after, found, now)
        touched += written
    return touched


def _fold_part(
    workspace: Workspace, ledger: Ledger, mark: Mark, found: Sequence[tuple[int, Row]], now: datetime
) -> tuple[Mark | None, int]:
    """Folds these events; the mark then, and how many states were written."""
    last, named = found[-1][0], persons(read_aliases(ledger))
    with ledger.read() as connection:
        told = whose(connection, found, named)
    renewed = rebuild_some(workspace, ledger, mark, sorted(told.renewed), now) if told.renewed else mark
    if renewed is None:
        return None, 0
    with ledger.read() as connection:
        states = read_states(connection, list(told.rows))
    new = {one: _with(states.get(one), rows, last, now, workspace.settings.traits) for one, rows in told.rows.items()}
    after = write(ledger, replace(renewed, sequence=last), new, nobody=told.nobody, named=told.named - told.nobody)
    return after, len(told.renewed | set(new)) if after else 0


def _above(ledger: Ledger, sequence: int) -> list[tuple[int, Row]]:
    """The next events, with their sequences."""
    columns = (live_events.c.sequence, live_events.c.body)
    query = select(*columns).where(live_events.c.sequence > sequence).order_by(live_events.c.sequence).limit(TOGETHER)
    with ledger.read() as connection:
        return [(last, orjson.loads(body)) for last, body in connection.execute(query)]


def _with(
    stored: Stored | None,
    rows: Sequence[tuple[int, Row]],
    last: int,
    now: datetime,
    traits: Sequence[str],
) -> Stored:
    """The state with those of these events that are not in it."""
    before = stored or Stored(CustomerState())
    new = [signal_of(row) for sequence, row in rows if sequence > before.sequence]
    return Stored(before.state.folded(new, micros(utc(now)), traits), max(before.sequence, last))
