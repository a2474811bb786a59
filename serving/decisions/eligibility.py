"""Eligibility: whether the conditions of offers hold for a customer, by what this service has seen of the customer
and by the scores of the uplift release."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from features.conditions import Facts, holds, why
from features.offers import Offer
from serving.decisions.glance import UNREAD, UNREADABLE, Glance
from serving.decisions.state import State
from training.uplift.scores import scores_of


def barred(
    state: State, offers: Sequence[Offer], customer: str | None, who: Glance | None, now: datetime
) -> dict[str, str]:
    """The offers whose condition does not hold for this customer, or cannot be asked, and why."""
    conditions = {offer.key: offer.eligible for offer in offers if offer.eligible is not None}
    if not conditions:
        return {}
    if customer is None or who is None:
        return dict.fromkeys(conditions, "no customer was given")
    if who.unread:
        return dict.fromkeys(conditions, UNREAD)
    if not who.agreed:
        return dict.fromkeys(conditions, "the customer has not agreed to personalisation")
    try:
        rows = state.seen.of_person(state.ledger, who.ids)
    except UNREADABLE:
        return dict.fromkeys(conditions, "what the customer did cannot be read")
    scores = scores_of(state.uplift.effects if state.uplift else None, customer)
    facts = Facts.of(rows, now, scores=scores, catalog=state.catalog)
    return {key: why(one, facts) for key, one in conditions.items() if not holds(one, facts)}
