"""Recommendations: the items that the steps of a chain find for a request, and what is said about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from features.decisions import HELD, Decision, Option
from features.holdout import REASON
from features.placements import POPULAR
from serving.decisions.asked import asked_alike, asked_for
from serving.decisions.boosted import factors
from serving.decisions.chain import PINNED, Found
from serving.decisions.found import found_by, told
from serving.decisions.placed import placed
from serving.decisions.requests import BasketRequest, Placed, RecommendRequest, SimilarRequest
from serving.decisions.state import State
from serving.decisions.steps import Steps
from serving.decisions.where import fitted
from training.recommenders import reasons as why
from training.recommenders.base import Reason

POLICY = "top-k"
SHORT = 100  # items: with more of them an answer takes a millisecond
UNHEARD = "the model knows of nothing allowed that goes with the cart"
FILTERED = "the filter leaves no item"
UNKNOWN = "no item is known: import a log or a catalogue"
Answer = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """What one route found: its items, the probability that just these are shown, and why they are not the model's."""

    kind: str
    customer: str | None
    request: Placed
    context: dict[str, Any]
    found: Found
    probability: float
    fallback: str | None


def recommend(state: State, request: RecommendRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """The best items for a customer, a device, a history or a page; without any, or without consent, the popular."""
    asked = asked_for(state, *placed(state, request), now)
    steps = Steps(state, asked, now)
    found, chance = found_by(state, asked, steps.chain(), _unit(request, decision_id))
    said = told([found.failed or asked.missing] if state.recommender is None else [asked.missing, found.failed], found)
    result = Result("recommend", request.customer, asked.request, asked.context, found, chance, said)
    return decided(state, result, decision_id, now)


def basket(state: State, request: BasketRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """What completes a cart, never an item of it; where nothing is known to go with it, what is popular."""
    asked = asked_for(state, *placed(state, request), now, request.cart)
    asked.context["cart"] = request.cart
    chain = Steps(state, asked, now).completing(request.cart)
    found, chance = found_by(state, asked, chain, _unit(request, decision_id))
    alone = UNHEARD if found.items and not set(found.steps) - {POPULAR, PINNED} else None
    said = told([asked.missing, found.failed] if asked.apart else [found.failed or alone], found)
    result = Result("basket", request.customer, asked.request, asked.context, found, chance, said)
    return decided(state, result, decision_id, now)


def similar(state: State, request: SimilarRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """The items most like this one; an unknown item is answered with what is popular."""
    asked = asked_alike(state, *placed(state, request), now)
    asked.context["item"] = request.item
    found, chance = found_by(state, asked, Steps(state, asked, now).alike(request.item), decision_id)
    result = Result("similar", None, asked.request, asked.context, found, chance, told([found.failed], found))
    return decided(state, result, decision_id, now)


def quick(state: State) -> bool:
    """Whether the model answers in a fraction of a millisecond."""
    return state.recommender is not None and getattr(state.recommender.recommender, "quick", False)


def light(state: State, request: RecommendRequest) -> bool:
    """Whether the answer costs less than a change to a thread: a quick model, nothing long, no new condition."""
    if request.placement is not None:
        if request.placement not in state.placements:
            return False
        request, _ = placed(state, request)
    if request.boost or request.pinned or request.context:
        return False
    variety = state.settings.recommender.variety if request.variety is None else request.variety
    longest = max(len(request.history or ()), len(request.exclude), request.k)
    return quick(state) and not variety and longest <= SHORT and fitted(state.catalog, request.filter)


def _unit(request: RecommendRequest, decision_id: str) -> str:
    """Whose draw it is: of nobody in particular each decision's own."""
    return request.customer or request.anonymous or decision_id


def decided(state: State, result: Result, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """The decision on what was found, and what is answered."""
    found, release = result.found, state.recommender
    items = _items(state, result.request, found)
    context = result.context | {"steps": found.answered}
    if result.request.pinned:
        context["pinned"] = {one.key: one.key in found.pinned.values() for one in result.request.pinned}
    decision = Decision(
        decision_id=decision_id,
        kind=result.kind,
        time=now.replace(tzinfo=None),
        customer=result.customer,
        options=tuple(Option(item, score) for item, score in zip(found.items, found.scores, strict=True)),
        chosen=found.items,
        probability=result.probability,
        policy=POLICY,
        model=None if release is None else release.name,
        model_version=None if release is None else release.version,
        workspace_hash=state.workspace_hash,
        reason=_reason(state, context, items, now),
        fallback=result.fallback,
        context=context,
    )
    return decision, {"items": items, **facts(decision)}


def _reason(state: State, context: Mapping[str, Any], items: Sequence[Answer], now: datetime) -> str:
    """Why the first item; or why there is none, or none of the customer's own."""
    if items:
        return REASON if HELD in context else str(items[0]["reason"]["text"])
    return UNKNOWN if state.recommender is None and not state.popular.knows(state.catalog, now) else FILTERED


def _items(state: State, request: Placed, found: Found) -> list[Answer]:
    rows = zip(found.items, found.scores, found.reasons, found.steps, strict=True)
    items = [
        {
            "item": item,
            "name": state.catalog.name(item),
            "score": score,
            "reason": worded(state, item, reason),
            "step": step,
        }
        for item, score, reason, step in rows
    ]
    if request.boost or request.pinned:
        _moved(state, request, found, items)
    return items


def _moved(state: State, request: Placed, found: Found, items: list[Answer]) -> None:
    """Adds to the reasons which promotion put an item there, and by which factor it was moved."""
    by = factors(state.catalog, request.boost, np.array(found.items, np.str_)).tolist()
    for one, factor in zip(items, by, strict=True):
        if one["item"] in found.pinned:
            one["reason"]["pinned"] = found.pinned[one["item"]]
        elif factor != 1:
            one["reason"]["boosted"] = factor
            one["reason"]["text"] += ", put forward by the shop" if factor > 1 else ", put back by the shop"


def facts(decision: Decision) -> Answer:
    """What every answer says about its decision."""
    return {
        "decision_id": decision.decision_id,
        "reason": decision.reason,
        "policy": decision.policy,
        "probability": decision.probability,
        "model": decision.model,
        "model_version": decision.model_version,
        "workspace_hash": decision.workspace_hash,
        "fallback": decision.fallback,
    }


def worded(state: State, item: str, reason: Reason) -> Answer:
    """The reason for a person: its kind, a text, and the items it cites."""
    others = [cited for cited in reason.cites if cited != item][: why.NAMED]
    text = why.worded(reason.kind, [state.catalog.name(one) for one in others])
    return {"kind": reason.kind, "text": text, "cites": list(reason.cites)}
