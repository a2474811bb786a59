"""Found: what a chain finds for a request, promotions among it, and in words why it is not the model's own."""

from __future__ import annotations

from dataclasses import replace

from features.placements import POPULAR
from serving.decisions.asked import Asked
from serving.decisions.chain import PINNED, Chain, Found, without
from serving.decisions.pinned import fitting_only, named, promotion, shown
from serving.decisions.state import State
from training.recommenders.reasons import LISTED
from training.recommenders.reasons import POPULAR as BOUGHT

WORDS = {
    "personal": "what the customer's own history says",
    "session": "what this visit says",
    "similar": "what goes with the page",
    "popular-in-category": "what is popular in the category",
    POPULAR: "what is popular",
    LISTED.kind: "the catalogue in its order",
}


def found_by(state: State, asked: Asked, chain: Chain, unit: str) -> tuple[Found, float]:
    """The items with the promotions that the unit's draws say, and the probability that these are shown."""
    request = asked.request
    if not request.pinned:
        return _rested(chain, request.k, asked), 1.0
    promotions = []
    for one in request.pinned:
        most, items = len(one.positions), asked.items
        if one.where is None:
            allowed = named(one, state.catalog, items)
        else:
            allowed = chain.answered(most, fitting_only(one, state.catalog, items)).items
        promotions.append(promotion(one, allowed, unit))
    base = _rested(chain, request.k + sum(len(one.items) for one in promotions), asked)
    return shown(base, promotions, request.k)


def _rested(chain: Chain, k: int, asked: Asked) -> Found:
    """The k of one chain, what the customer is tired of behind all the rest: k items while k are allowed."""
    if not len(asked.tired):
        return chain.answered(k, asked.items)
    fresh = chain.answered(k, without(asked.items, asked.tired))
    missing = k - len(fresh.items)
    return fresh.and_(chain.answered(missing, replace(asked.items, allowed=asked.tired))) if missing else fresh


def told(whys: list[str | None], found: Found) -> str | None:
    """Why the answer is not the model's own, and what it is; None where nothing is said against it."""
    said = "; ".join(filter(None, whys))
    if not said:
        return None
    own = [pair for pair in zip(found.steps, found.reasons, strict=True) if pair[0] != PINNED]
    step, reason = own[0] if own else (POPULAR, BOUGHT)
    return f"{said}: {WORDS[LISTED.kind if reason is LISTED else step]}"
