"""Recommendations: the model's answer for a history, and what is said about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
from sqlalchemy.exc import SQLAlchemyError

from features.consent import allows
from features.decisions import Decision, Option
from features.interactions import Interactions
from serving.decisions.requests import RecommendRequest, SimilarRequest
from serving.decisions.state import State
from training.recommenders.base import ItemFilter, Rankings, Reason
from training.recommenders.reasons import POPULAR
from training.release import Release

POLICY = "top-k"
Answer = dict[str, Any]


class UnavailableError(Exception):
    """Nothing can be answered: there is no release."""


def recommend(state: State, request: RecommendRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """The best items for a customer or a history; without either, or without consent, what is popular."""
    release = _release(state)
    history, fallback = _history(state, release, request, now)
    bought = None if request.include_bought else [history.items[history.item]]
    items = ItemFilter(excluded=_excluded(state, request.exclude), excluded_each=bought)
    assert release.recommender is not None  # noqa: S101  # `_release` says so; this tells the type checker
    model, moment = release.recommender, now.replace(tzinfo=None)
    rankings = model.recommend_for(history, request.k, items=items, as_of=moment)
    reasons = model.reasons(history, rankings, as_of=moment)[0]
    context = {"k": request.k, "exclude": request.exclude, "include_bought": request.include_bought}
    return _decided(
        state, release, "recommend", request.customer, rankings, reasons, fallback, decision_id, now, context
    )


def similar(state: State, request: SimilarRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """The items most like this one; an unknown item is answered with what is popular."""
    release = _release(state)
    model = release.recommender
    assert model is not None  # noqa: S101  # `_release` says so; this tells the type checker
    items = ItemFilter(excluded=_excluded(state, [*request.exclude, request.item]))
    rankings = model.similar(request.item, request.k, items=items)
    if len(rankings.items[0]):
        alike = Reason("similar", (request.item,))
        reasons = [alike if score > 0 else POPULAR for score in rankings.scores[0]]  # 0 or less: filled by popularity
        fallback = None
    else:
        nobody = _of_items([], now)
        rankings = model.recommend_for(nobody, request.k, items=items, as_of=now.replace(tzinfo=None))
        reasons = model.reasons(nobody, rankings, as_of=now.replace(tzinfo=None))[0]
        fallback = f"the model does not know the item {request.item!r}: what is popular"
    context = {"item": request.item, "k": request.k, "exclude": request.exclude}
    return _decided(state, release, "similar", None, rankings, reasons, fallback, decision_id, now, context)


def _release(state: State) -> Release:
    if state.recommender is None or state.recommender.recommender is None:
        raise UnavailableError("no recommender is released; run `attune promote recommender latest`")
    return state.recommender


def _history(
    state: State, release: Release, request: RecommendRequest, now: datetime
) -> tuple[Interactions, str | None]:
    """The history to answer for, and why it is not the customer's own."""
    if request.history is not None:
        return _of_items(request.history, now), None if request.history else "the history is empty: what is popular"
    if request.customer is None:
        return _of_items([], now), "no customer and no history were given: what is popular"
    known = release.interactions
    if known is None or request.customer not in known.position:
        return _of_items([], now), "the customer is not known to the model: what is popular"
    if not may(state, request.customer, now):
        return _of_items([], now), "the customer has not agreed to personalisation: what is popular"
    return known.rows([request.customer]), None


def may(state: State, customer: str, now: datetime) -> bool:
    """Consent that cannot be read counts as none."""
    if state.ledger is None:
        return False
    try:
        return allows(state.ledger, customer, purpose="personalisation", as_of=now)
    except (OSError, RuntimeError, SQLAlchemyError):
        return False


def _of_items(items: Sequence[str], now: datetime) -> Interactions:
    """A history of one customer who bought each of these items once, now."""
    names = np.unique(np.array(items, dtype=np.str_))
    ones = np.ones(len(names), np.float32)
    moments = np.full(len(names), np.datetime64(now.replace(tzinfo=None), "us"))
    row = np.zeros(len(names), np.int32)
    position = np.arange(len(names), dtype=np.int32)
    return Interactions(np.array([""]), names, row, position, ones, ones, moments, moments)


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
        "buy_again": "bought before, and due again",
        "similar": f"goes with {cited}",
        "popular": "popular now",
    }
    return {"kind": reason.kind, "text": texts.get(reason.kind, reason.kind), "cites": list(reason.cites)}
