"""Lately: what a customer did that the release does not know.

    in the state        events that left the ledger: the last 90 days one by one, of earlier ones the last of each item
    since the state     live events that wait in the ledger, above the state's sequence

Two queries by index. The ledger is read first: an event that leaves it in between is in the state then.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from features.events import utc
from features.ledger import Ledger
from features.states.served import state_of
from features.states.state import EPOCH, MICROSECOND, micros, signal_of
from serving.decisions.folded import Did
from serving.decisions.seen import since


def lately(ledger: Ledger, customer: str, known: datetime | None) -> list[Did]:
    """What this customer did with items and was not known at `known`; None: everything that is still told."""
    live = since(ledger, customer)
    stored = state_of(ledger, customer)
    new = [signal_of(row) for row in live if row["sequence"] > stored.sequence and not row["machine"]]
    early = [one for one in stored.state.early if one.item is not None]
    after = micros(utc(known)) if known is not None else None
    told = [*stored.state.rows, *early, *new]
    return list(_did((one.time, one.known, one.name, one.item) for one in told if after is None or one.known >= after))


def _did(rows: Iterator[tuple[int, int, str, str | None]]) -> Iterator[Did]:
    for time, _known, name, item in rows:
        if item is not None:
            yield Did(item, name, EPOCH + time * MICROSECOND)
