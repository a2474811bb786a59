"""Recommendations: the model's answer for a history, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np

from features.decisions import Decision, Option
from serving.decisions.histories import described, history_of
from serving.decisions.requests import RecommendRequest, SimilarRequest
from serving.decisions.state import State
from training.recommenders.base import ItemFilter, Rankings, Reason, Recommender
from training.recommenders.bought import allowed
from training.recommenders.reasons import POPULAR
from training.recommenders.variety import recommend_varied
from training.release import Release

POLICY = "top-k"
Answer = dict[str, Any]


class UnavailableError(Exception):
    """Nothing can be answered: there is no release."""


def recommend(state: State, request: RecommendRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """The best items for a customer or a history; without either, or without consent, what is popular."""
    release, model = _released(state)
    history, fallback = history_of(state, release, request.customer, request.history, now)
    mode, moment = request.include_bought or state.settings.recommender.include_bought, now.replace(tzinfo=None)
    items = replace(allowed(mode, history.bought, model), excluded=_excluded(state, request.exclude))
    variety = state.settings.recommender.variety if request.variety is None else request.variety
    rankings = recommend_varied(model, history, request.k, items=items, as_of=moment, variety=variety)
    reasons = model.reasons(history, rankings, as_of=moment)[0]
    context = {"k": request.k, "exclude": request.exclude, "include_bought": mode, "variety": variety}
    return _decided(
        state, release, "recommend", request.customer, rankings, reasons, fallback, decision_id, now, context
    )


def similar(state: State, request: SimilarRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """The items most like this one; an unknown item is answered with what is popular."""
    release, model = _released(state)
    items = ItemFilter(excluded=_excluded(state, [*request.exclude, request.item]))
    rankings = model.similar(request.item, request.k, items=items)
    if len(rankings.items[0]):
        alike = Reason("similar", (request.item,))
        reasons = [alike if score > 0 else POPULAR for score in rankings.scores[0]]  # 0 or less: filled by popularity
        fallback = None
    else:
        nobody = described([], state.settings.interactions, now)
        rankings = model.recommend_for(nobody, request.k, items=items, as_of=now.replace(tzinfo=None))
        reasons = model.reasons(nobody, rankings, as_of=now.replace(tzinfo=None))[0]
        fallback = f"the model does not know the item {request.item!r}: what is popular"
    context = {"item": request.item, "k": request.k, "exclude": request.exclude}
    return _decided(state, release, "similar", None, rankings, reasons, fallback, decision_id, now, context)


def _released(state: State) -> tuple[Release, Recommender]:
    if state.recommender is None or state.recommender.recommender is None:
        raise UnavailableError("no recommender is released; run `attune promote recommender latest`")
    return state.recommender, state.recommender.recommender


def _excluded(state: State, exclude: Sequence[str]) -> np.ndarray[Any, np.dtype[np.str_]]:
    return np.concatenate([state.catalog.out_of_stock, np.array(exclude, dtype=np.str_)])


def _decided(  # noqa: PLR0913, PLR0917  # one decision has this many parts
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
    names, scores = rankings.items[0].tolist(), [float(score) for score in rankings.scores[0]]
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
    others = [state.catalog.name(cited) for cited in reason.cites if cited != item][:2]
    cited = ", ".join(others) or "it before"  # an item may be its own reason
    texts = {
        "because_you_bought": f"because you bought {cited}",
        "because_you_viewed": f"because you looked at {cited}",
        "customers_also": f"customers who chose {cited} also chose it",
        "buy_again": "you bought it before",
        "due_again": "due again: you bought it before",
        "similar": f"goes with {cited}",
        "popular": "popular now",
    }
    return {"kind": reason.kind, "text": texts.get(reason.kind, reason.kind), "cites": list(reason.cites)}
