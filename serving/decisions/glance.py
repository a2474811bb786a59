"""Glance: what one look at the ledger says of a customer, and what else there is to read.

Most customers did nothing since the release and were shown little: of them nothing further is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from features.consent import allows
from features.events import utc
from features.identity import ids_of
from features.ledger import Ledger
from serving.decisions.state import State

PURPOSE = "personalisation"
DAYS = 30  # how long an answer is remembered that somebody took no notice of
LOOKED = 200  # the customer's newest decisions, of whatever kind: bounds what an answer costs
UNREADABLE = (OSError, RuntimeError, SQLAlchemyError)
# the word of one who bears one id, as `consent.allows` says it; whoever bears several is asked for there
QUERY = f"""
SELECT EXISTS (SELECT 1 FROM aliases WHERE previous = ? OR customer = ?),
       (SELECT granted FROM consents WHERE customer = ? AND purpose = '{PURPOSE}' AND time <= ?
           AND address IS NULL AND channel IS NULL AND topic IS NULL ORDER BY id DESC LIMIT 1),
       EXISTS (SELECT 1 FROM events WHERE customer = ?),
       EXISTS (SELECT 1 FROM customer_states WHERE customer = ?),
       (SELECT count(*) FROM (SELECT 1 FROM decisions WHERE customer = ? AND time >= ? LIMIT {LOOKED}) AS newest)
"""


@dataclass(frozen=True)
class Glance:
    """Every id of the customer's person, the one that it bears first; whether it agreed to personalisation.

    `did`: events of it may wait in the ledger, or a state; `shown`: how many decisions of the last days there may be;
    `unread`: nobody knows.
    """

    ids: Sequence[str]
    agreed: bool = False
    did: bool = False
    shown: int = 0
    unread: bool = False


def glance(state: State, customer: str, now: datetime) -> Glance:
    """What the ledger says now; consent that cannot be read counts as none."""
    if state.ledger is None:
        return Glance([customer])
    try:
        return _looked(state.ledger, customer, utc(now))
    except UNREADABLE:
        return Glance([customer], unread=True)


def _looked(ledger: Ledger, customer: str, now: datetime) -> Glance:
    given = (customer, customer, customer, now, customer, customer, customer, now - timedelta(days=DAYS))
    ((aliased, granted, waits, kept, shown),) = ledger.look(QUERY, given)
    if not aliased:
        return Glance([customer], bool(granted), bool(waits or kept), shown)
    with ledger.read() as connection:
        ids = ids_of(connection, customer)
    return Glance(ids, allows(ledger, customer, purpose=PURPOSE, as_of=now), did=True, shown=LOOKED)
