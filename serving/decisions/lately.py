"""Lately: what a customer did that the release does not know.

    in the state        events that left the ledger: the last 90 days one by one, of earlier ones the last of each item
    since the state     live events that wait in the ledger, above the state's sequence

Two queries by index. The ledger is read first: an event that leaves it in between is in the state then.
"""

from __future__ import annotations

from datetime import datetime

from features.events import utc
from features.ledger import Ledger
from features.states.served import state_of
from features.states.state import EPOCH, MICROSECOND, Row, micros, signal_of
from serving.decisions.folded import Did
from serving.decisions.seen import since


def lately(ledger: Ledger, customer: str, known: datetime | None) -> list[Did]:
    """What this customer did with items and was not known at `known`; None: everything that is still told."""
    live = since(ledger, customer)
    stored = state_of(ledger, customer)
    new = [signal_of(row) for row in live if row["sequence"] > stored.sequence and not row["machine"]]
    rows = [*stored.state.rows, *(Row(*one[:4]) for one in (*stored.state.early, *new))]
    after = None if known is None else micros(utc(known))
    return [
        Did(row.item, row.name, EPOCH + row.time * MICROSECOND)
        for row in rows
        if row.item is not None and (after is None or row.known >= after)
    ]
