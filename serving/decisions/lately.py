"""Lately: what a customer did that the release does not know.

    in the states       events that left the ledger: the last 90 days one by one, of earlier ones the last of each item
    since the states    live events that wait in the ledger, above the state's sequence; a device's from before anybody
                        identified on it are in no state

A few queries by index. The ledger is read first: an event that leaves it in between is in the state then.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from features.events import utc
from features.ledger import Ledger
from features.states.served import state_of
from features.states.state import EPOCH, MICROSECOND, Row, micros, signal_of
from serving.decisions.folded import Did
from serving.decisions.seen import since


def lately(ledger: Ledger, ids: Sequence[str], known: datetime | None) -> list[Did]:
    """What this person did with items and was not known at `known`; None: everything that is still told."""
    live = since(ledger, ids[0])
    stored = {one: state_of(ledger, one) for one in ids}
    rows = [
        row for one in stored.values() for row in (*one.state.rows, *(Row(*early[:4]) for early in one.state.early))
    ]
    after = {one: found.sequence for one, found in stored.items()}
    new = [row for row in live if row["sequence"] > after.get(row["named"], 0) and not row["machine"]]
    rows += [Row(*signal_of(row)[:4]) for row in new]
    first = None if known is None else micros(utc(known))
    return [
        Did(row.item, row.name, EPOCH + row.time * MICROSECOND)
        for row in rows
        if row.item is not None and (first is None or row.known >= first)
    ]
