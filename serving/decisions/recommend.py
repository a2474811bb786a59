"""Recommendations: the model's answer for a history, and what is said about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.decisions import Decision, Option
from features.interactions import Interactions
from serving.decisions.fatigue import tired
from serving.decisions.glance import Glance, glance
from serving.decisions.histories import described, history_of, history_on
from serving.decisions.requests import BasketRequest, BatchRequest, RecommendRequest, SimilarRequest
from serving.decisions.state import State
from serving.decisions.where import fitted, fitting, gone
from training.recommenders import reasons as why
from training.recommenders.base import ItemFilter, Rankings, Reason, Recommender
from training.recommenders.bought import allowed
from training.recommenders.reasons import NEW, POPULAR
from training.recommenders.variety import pooled, recommend_varied, varied
from training.release import Release

POLICY = "top-k"
SHORT = 100  # items: with more of them an answer takes a millisecond
Answer = dict[str, Any]


class UnavailableError(Exception):
    """Nothing can be answered: there is no release."""


def recommend(state: State, request: RecommendRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """The best items for a customer or a history; without either, or without consent, what is popular."""
    release, model = released(state)
    asked = _asked(state, release, model, request, now)
    moment = now.replace(tzinfo=None)

    def ranked(k: int, items: ItemFilter) -> Rankings:
        return recommend_varied(model, asked.history, k, items=items, as_of=moment, variety=asked.variety)

    rankings = _rested(ranked, request.k, asked)
    reasons = model.reasons(asked.history, rankings, as_of=moment)[0]
    return decided(
        state,
        release,
        "recommend",
        request.customer,
        rankings,
        reasons,
        asked.fallback,
        decision_id,
        now,
        asked.context,
    )


def quick(state: State) -> bool:
    """Whether the model answers in a fraction of a millisecond."""
    return state.recommender is not None and getattr(state.recommender.recommender, "quick", False)


def light(state: State, request: RecommendRequest) -> bool:
    """Whether the answer costs less than a change to a thread: a quick model, nothing long, no new condition."""
    variety = state.settings.recommender.variety if request.variety is None else request.variety
    longest = max(len(request.history or ()), len(request.exclude), request.k)
    return quick(state) and not variety and longest <= SHORT and fitted(state.catalog, request.where)


def basket(state: State, request: BasketRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """What completes a cart, never an item of it; where nothing is known to go with it, what is popular."""
    release, model = released(state)
    asked = _asked(state, release, model, request, now)

    def ranked(k: int, items: ItemFilter) -> Rankings:
        pool = model.complete(request.cart, pooled(k, asked.variety), items=items)
        return varied(model, pool, k, variety=asked.variety)

    rankings = _rested(ranked, request.k, asked)
    reasons = model.goes_with(request.cart, rankings)
    alone = all(reason in {POPULAR, NEW} for reason in reasons)
    fallback = (
        "the model knows of nothing allowed that goes with the cart: what is popular" if alone and reasons else None
    )
    context = {"cart": request.cart} | asked.context
    return decided(state, release, "basket", request.customer, rankings, reasons, fallback, decision_id, now, context)


def similar(state: State, request: SimilarRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """The items most like this one; an unknown item is answered with what is popular."""
    release, model = released(state)
    unwanted = np.array([*request.exclude, request.item], np.str_)
    items = ItemFilter(fitting(state.catalog, request.where), gone(state.catalog), [unwanted])
    rankings = model.similar(request.item, request.k, items=items)
    if len(rankings.items[0]):
        alike = Reason("similar", (request.item,))
        filled = why.filled_by(model.chance_of_repeat(rankings.items[0]))
        reasons = [alike if score > 0 else other for score, other in zip(rankings.scores[0], filled, strict=True)]
        fallback = None
    else:
        nobody = described([], state.settings.interactions, now)
        rankings = model.recommend_for(nobody, request.k, items=items, as_of=now.replace(tzinfo=None))
        reasons = model.reasons(nobody, rankings, as_of=now.replace(tzinfo=None))[0]
        fallback = f"the model does not know the item {request.item!r}: what is popular"
    context = {"item": request.item, "k": request.k, "exclude": request.exclude}
    context |= {} if request.where is None else {"where": request.where}
    return decided(state, release, "similar", None, rankings, reasons, fallback, decision_id, now, context)


def released(state: State) -> tuple[Release, Recommender]:
    if state.recommender is None or state.recommender.recommender is None:
        raise UnavailableError("no recommender is released; run `attune promote recommender latest`")
    return state.recommender, state.recommender.recommender


@dataclass(frozen=True)
class _Asked:
    """What a request comes to: for whom, what may be answered, and what the customer is tired of."""

    history: Interactions
    fallback: str | None
    items: ItemFilter
    tired: NDArray[np.str_]
    variety: float
    context: dict[str, Any]


def _asked(state: State, release: Release, model: Recommender, request: RecommendRequest, now: datetime) -> _Asked:
    customer, settings = request.customer, state.settings.recommender
    who = None if customer is None else glance(state, customer, now)
    history, fallback = _history(state, release, request, who, now)
    mode = request.include_bought or settings.include_bought
    variety = settings.variety if request.variety is None else request.variety
    fits = fitting(state.catalog, request.where)
    items = replace(allowed(mode, history.bought, model), allowed=fits, excluded=gone(state.catalog))
    items = _without(items, np.array(request.exclude, np.str_))
    bored = tired(state, who, history, now)
    bored = bored if fits is None or not len(bored) else bored[np.isin(bored, fits)]
    context = context_of(request, mode, variety) | _own(request) | {"tired": bored.tolist()}
    return _Asked(history, fallback, items, bored, variety, context)


def context_of(request: RecommendRequest | BatchRequest, mode: str, variety: float) -> dict[str, Any]:
    """What was asked, as the decision keeps it."""
    context = {"k": request.k, "exclude": request.exclude, "include_bought": mode, "variety": variety}
    return context if request.where is None else context | {"where": request.where}


def _own(request: RecommendRequest) -> dict[str, Any]:
    """What else was asked for one: without it the decision could not be made again."""
    if request.history is not None:
        return {"history": [one if isinstance(one, str) else one.model_dump(mode="json") for one in request.history]}
    return {"device": True} if request.customer is None and request.anonymous is not None else {}


def _history(
    state: State, release: Release, request: RecommendRequest, who: Glance | None, now: datetime
) -> tuple[Interactions, str | None]:
    if request.anonymous is not None and request.customer is None and request.history is None:
        return history_on(state, release, request.anonymous, now)
    return history_of(state, release, who, request.history, now)


def _rested(ranked: Callable[[int, ItemFilter], Rankings], k: int, asked: _Asked) -> Rankings:
    """The k of one ranking, what the customer is tired of behind all the rest: k items while k are allowed."""
    if not len(asked.tired):
        return ranked(k, asked.items)
    fresh = ranked(k, _without(asked.items, asked.tired))
    missing = k - len(fresh.items[0])
    if not missing:
        return fresh
    stale = ranked(missing, replace(asked.items, allowed=asked.tired))
    items, scores = np.concatenate(fresh.items + stale.items), np.concatenate(fresh.scores + stale.scores)
    return Rankings((items,), (scores,))


def _without(items: ItemFilter, ids: NDArray[np.str_]) -> ItemFilter:
    """The filter of this one customer that leaves these out too."""
    if not len(ids):
        return items
    return replace(items, excluded_each=[np.concatenate([*(items.excluded_each or []), ids])])


def decided(  # noqa: PLR0913, PLR0917  # one decision has this many parts
    state: State,
    release: Release,
    kind: str,
    customer: str | None,
    rankings: Rankings,
    reasons: Sequence[Reason],
    fallback: str | None,
    decision_id: str,
    now: datetime,
    context: dict[str, Any],
) -> tuple[Decision, Answer]:
    names, scores = rankings.items[0].tolist(), rankings.scores[0].tolist()
    items = [
        {"item": item, "name": state.catalog.name(item), "score": score, "reason": worded(state, item, reason)}
        for item, score, reason in zip(names, scores, reasons, strict=True)
    ]
    decision = Decision(
        decision_id=decision_id,
        kind=kind,
        time=now.replace(tzinfo=None),
        customer=customer,
        options=tuple(Option(item, score) for item, score in zip(names, scores, strict=True)),
        chosen=tuple(names),
        probability=1.0,
        policy=POLICY,
        model=release.name,
        model_version=release.version,
        workspace_hash=state.workspace_hash,
        reason=items[0]["reason"]["text"] if items else "the filter leaves no item",
        fallback=fallback,
        context=context,
    )
    return decision, {"items": items, **facts(decision)}


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
