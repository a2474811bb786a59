"""Asking: for whom content or an arm is decided, and what is known of them: no more than they agreed to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import SQLAlchemyError

from features.conditions import Facts
from features.consent import allows
from serving.decisions.histories import person
from serving.decisions.requests import AssignRequest, DecideRequest
from serving.decisions.state import State
from training.uplift.scores import scores_of


@dataclass(frozen=True)
class Asking:
    """Whose hash draws, and what is known; or why nobody is known, and the content is the default."""

    unit: str = ""
    facts: Facts | None = None
    nobody: str | None = None


def asking(state: State, purpose: str, request: DecideRequest | AssignRequest, now: datetime) -> Asking:
    """The customer, or the visitor on a device; nobody without consent to this purpose."""
    who = request.customer or request.anonymous
    if who is None or state.ledger is None:
        told = "no customer and no anonymous id were given" if who is None else "without a workspace nobody is known"
        return Asking(nobody=told)
    what = "the visitor" if request.customer is None else "the customer"
    try:
        if not allows(state.ledger, who, purpose=purpose, as_of=now):
            return Asking(nobody=f"{what} has not agreed to {purpose}")
        if request.customer is None:
            return Asking(who, Facts.of(state.seen.of_visitor(state.ledger, who), now, catalog=state.catalog))
        return _of_customer(state, request.customer, now)
    except (OSError, RuntimeError, SQLAlchemyError):  # consent that cannot be read is none
        return Asking(nobody=f"what {what} agreed to and did cannot be read")


def _of_customer(state: State, customer: str, now: datetime) -> Asking:
    ids = person(state, customer)
    rows = state.seen.of_person(state.ledger, ids)
    scores = scores_of(state.uplift.effects if state.uplift else None, customer)
    return Asking(ids[0], Facts.of(rows, now, scores=scores, catalog=state.catalog))
