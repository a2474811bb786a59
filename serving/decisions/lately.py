"""Lately: what a customer did that the release does not know.

    in the state        events that left the ledger: the last 90 days one by one, of earlier ones the last of each item
    since the state     live events that wait in the ledger, above the state's sequence

Two queries by index. The ledger is read first: an event that leaves it in between is in the state then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from features.events import utc
from features.ledger import Ledger
from features.states.served import state_of, states_each
from features.states.state import EPOCH, MICROSECOND, Row, Signal, micros, signal_of
from features.states.store import Stored
from serving.decisions.folded import Did
from serving.decisions.seen import Rows, of_device, waiting, waiting_each


def lately(ledger: Ledger, ids: Sequence[str], known: datetime | None) -> list[Did]:
    """What the person with these ids, the one that it bears first, did with items and was not known at `known`.

    None: everything that is still told.
    """
    live = waiting(ledger, ids)
    return _new(live, state_of(ledger, ids[0]), known)


def lately_each(ledger: Ledger, known: Mapping[str, datetime | None]) -> dict[str, list[Did]]:
    """What `lately` gives for each of these customers, who bear one id; and since when nothing is known."""
    live, stored = waiting_each(ledger, list(known)), states_each(ledger, list(known))
    return {customer: _new(live[customer], stored[customer], moment) for customer, moment in known.items()}


def _new(live: Rows, stored: Stored, known: datetime | None) -> list[Did]:
    """What is in the state and in the live events above it that was not known yet."""
    new = _signals(row for row in live if row["sequence"] > stored.sequence)
    rows = [*stored.state.rows, *(Row(*one[:5]) for one in (*stored.state.early, *new))]
    after = None if known is None else micros(utc(known))
    return _did(row for row in rows if after is None or row.known >= after)


def visited(ledger: Ledger, device: str) -> list[Did]:
    """What nobody in particular did with items on this device, as far as it waits in the ledger."""
    return _did(Row(*one[:5]) for one in _signals(of_device(ledger, device)))


def _signals(rows: Iterable[dict[str, Any]]) -> list[Signal]:
    return [signal_of(row) for row in rows if not row["machine"]]


def _did(rows: Iterable[Row]) -> list[Did]:
    return [Did(row.item, row.name, EPOCH + row.time * MICROSECOND) for row in rows if row.item is not None]
