"""Wanted: the items and the offer of a content, by the code that answers their own routes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from features.decisions import NOTHING, Decision, Option
from features.offers import Offer
from features.slots import Wanted
from serving.decisions.offers import select
from serving.decisions.recommend import Answer, basket, recommend, similar
from serving.decisions.requests import BasketRequest, DecideRequest, OfferRequest, RecommendRequest, SimilarRequest
from serving.decisions.state import State


@dataclass(frozen=True)
class Part:
    """What was decided of items or of offers: a decision that is not written, and its answer; or why there is none."""

    kind: str
    decision: Decision | None = None
    answer: Answer | None = None
    fallback: str | None = None

    @property
    def options(self) -> tuple[Option, ...]:
        """What was considered, named as a row of content names it."""
        found = self.decision.options if self.decision else ()
        return tuple(replace(option, key=f"{self.kind}:{option.key}") for option in found)

    @property
    def chosen(self) -> tuple[str, ...]:
        return tuple(f"{self.kind}:{key}" for key in (self.decision.chosen if self.decision else ()))

    @property
    def probability(self) -> float:
        return self.decision.probability if self.decision else 1.0


def items_of(
    state: State, wanted: Wanted | None, request: DecideRequest, decision_id: str, now: datetime, *, default: bool
) -> Part:
    """The items; those of the default content are nobody's own."""
    if wanted is None:
        return Part("item")
    who: dict[str, Any] = {} if default else {"customer": request.customer, "anonymous": request.anonymous}
    own = wanted.said | who
    own |= {"exclude": list(wanted.exclude)} if "exclude" in own else {}
    if wanted.route == "similar" and request.item is not None:
        only = {name: own[name] for name in SimilarRequest.model_fields.keys() & own.keys()}
        alike = SimilarRequest(item=request.item, **only)
        return _part("item", similar(state, alike, decision_id, now))
    if wanted.route == "basket" and request.cart:
        return _part("item", basket(state, BasketRequest(cart=request.cart, **own), decision_id, now))
    found = _part("item", recommend(state, RecommendRequest(**own), decision_id, now))
    if wanted.route == "recommend":
        return replace(found, fallback=None) if default else found  # popular is what was asked for
    lacking = "item" if wanted.route == "similar" else "cart"
    return replace(found, fallback=f"no {lacking} was given for {wanted.route} items: those of recommend")


def offer_of(state: State, offers: Sequence[str], request: DecideRequest, decision_id: str, now: datetime) -> Part:
    """One of the offers, or nothing."""
    if not offers:
        return Part("offer")
    asked = OfferRequest(customer=request.customer, offers=list(offers))
    return _part("offer", select(state, asked, decision_id, now))


def given(state: State, part: Part) -> Offer | None:
    """The offer that was chosen."""
    key = part.decision.chosen[0] if part.decision else NOTHING
    return None if key == NOTHING else next(offer for offer in state.offers if offer.key == key)


def _part(kind: str, decided: tuple[Decision, Any]) -> Part:
    decision, answer = decided
    return Part(kind, decision, answer, decision.fallback)
