"""Glance: what one look at the ledger says of a customer, and what else there is to read.

Most customers did nothing since the release and were shown little: of them nothing further is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

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
UNREAD = "what the customer agreed to cannot be read"
# the word of one who bears one id, as `consent.allows` says it; whoever bears several is asked for there
LOOKS = f"""
       EXISTS (SELECT 1 FROM aliases WHERE previous = WHO OR customer = WHO),
       (SELECT granted FROM consents WHERE customer = WHO AND purpose = '{PURPOSE}' AND time <= ?
           AND address IS NULL AND channel IS NULL AND topic IS NULL ORDER BY id DESC LIMIT 1),
       EXISTS (SELECT 1 FROM events WHERE customer = WHO),
       EXISTS (SELECT 1 FROM customer_states WHERE customer = WHO),
       (SELECT count(*) FROM (SELECT 1 FROM decisions WHERE customer = WHO AND time >= ? LIMIT {LOOKED}) AS newest)
"""
QUERY = f"SELECT {LOOKS.replace('WHO', '?')}"
MANY = f"WITH asked (who) AS (VALUES ALL_OF_THEM) SELECT asked.who, {LOOKS.replace('WHO', 'asked.who')} FROM asked"


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


def glances(state: State, customers: Sequence[str], now: datetime) -> list[Glance]:
    """`glance` at each of at most some thousand customers, by one query for all that bear one id."""
    if state.ledger is None or not customers:
        return [Glance([customer]) for customer in customers]
    once, today = list(dict.fromkeys(customers)), utc(now)
    query = MANY.replace("ALL_OF_THEM", ", ".join(["(?)"] * len(once)))
    try:
        rows = state.ledger.look(query, (*once, today, today - timedelta(days=DAYS)))
        found = {customer: _told(state.ledger, customer, told, today) for customer, *told in rows}
    except UNREADABLE:
        return [Glance([customer], unread=True) for customer in customers]
    return [found[customer] for customer in customers]


def _looked(ledger: Ledger, customer: str, now: datetime) -> Glance:
    given = (customer, customer, customer, now, customer, customer, customer, now - timedelta(days=DAYS))
    return _told(ledger, customer, ledger.look(QUERY, given)[0], now)


def _told(ledger: Ledger, customer: str, told: Sequence[Any], now: datetime) -> Glance:
    aliased, granted, waits, kept, shown = told
    if not aliased:
        return Glance([customer], bool(granted), bool(waits or kept), shown)
    with ledger.read() as connection:
        ids = ids_of(connection, customer)
    return Glance(ids, allows(ledger, customer, purpose=PURPOSE, as_of=now), did=True, shown=LOOKED)
