"""Limits: what of an offer's codes, stock and budget is left, and taking from it together with the decision's row.

    considered    one query for the counts of the limited offers, and per pool one for a code, all by index
    chosen        looked at again under the ledger's write lock; the count goes up, the code is bound to the customer
                  and the decision's row is written in one transaction: kill -9 leaves all of it or nothing

Where another worker took the last in between, the customer is decided again without the offer. An offer without limits
takes nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from features.codes import code_for, give
from features.decisions import Decision
from features.events import utc
from features.offers import Offer
from features.spending import Spending, add, spending_of
from serving.decisions.state import State


class UsedUpError(Exception):
    """Nothing is left of the chosen offer."""


def used_up(state: State, offers: Sequence[Offer], customer: str | None, now: datetime) -> dict[str, str]:
    """The offers of which this customer can be given nothing more, and why."""
    limited = [offer for offer in offers if offer.limited]
    if not limited:
        return {}
    if state.ledger is None:
        return {offer.key: "without a workspace nobody counts what is given out" for offer in limited}
    try:
        with state.ledger.read() as connection:
            so_far = spending_of(connection, [offer.key for offer in limited])
            whys = {offer.key: _why(connection, offer, so_far[offer.key], customer, utc(now)) for offer in limited}
    except (OSError, RuntimeError, SQLAlchemyError):
        return {offer.key: "what was given out cannot be read" for offer in limited}
    return {key: why for key, why in whys.items() if why is not None}


def taken(state: State, decision: Decision) -> Offer | None:
    """The limited offer that was chosen, or None."""
    key = _offer(decision)
    return next((offer for offer in state.offers if offer.key == key and offer.limited), None)


def next_code(state: State, offer: Offer, customer: str | None, now: datetime) -> str | None:
    """The code that the customer would be given now, for a text that names it; None where there is none to read."""
    if offer.codes is None or customer is None or state.ledger is None:
        return None
    try:
        with state.ledger.read() as connection:
            return code_for(connection, offer.key, customer, utc(now))
    except (OSError, RuntimeError, SQLAlchemyError):
        return None


def take(connection: Connection, state: State, decision: Decision) -> dict[str, str]:
    """Counts the contact of the chosen offer; the code that the customer gets, where it has codes.

    The caller holds the write lock and writes the decision's row.
    """
    offer, customer = taken(state, decision), decision.customer
    if offer is None:
        return {}
    so_far = spending_of(connection, [offer.key])[offer.key]
    if why := _why(connection, offer, so_far, customer, decision.time):
        raise UsedUpError(why)
    add(connection, offer.key, Spending(contacts=1, spent=offer.cost))
    if offer.codes is None or customer is None:
        return {}
    code = code_for(connection, offer.key, customer, decision.time)
    assert code is not None  # noqa: S101  # `_why` has seen it; this tells the type checker
    if decision.context.get("code", code) != code:
        raise UsedUpError("the code that a text names was given to another meanwhile")
    give(connection, code, offer, customer, decision.time, of_revenue=_of_revenue(state))
    return {"code": code}


def _offer(decision: Decision) -> str | None:
    """The offer that was chosen, alone or as a part of content."""
    if decision.kind == "offer":
        return decision.chosen[0]
    chosen: str | None = decision.context["offer"] if decision.kind == "decide" else None
    return chosen


def _why(connection: Connection, offer: Offer, so_far: Spending, customer: str | None, now: datetime) -> str | None:
    """Why nothing can be given; None where something can."""
    if why := so_far.used_up(offer):
        return why
    if offer.codes is None:
        return None
    if customer is None:
        return "a code needs a customer and none was given"
    return None if code_for(connection, offer.key, customer, now) else "no code is left"


def _of_revenue(state: State) -> bool:
    """Whether the model's outcome is an amount, of each unit of which a redemption costs."""
    baseline = None if state.uplift is None else state.uplift.baseline
    return baseline is not None and baseline.ceiling_ > 1
