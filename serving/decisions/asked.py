"""Asked: what a request comes to: by which history, what may be answered, and what the customer is tired of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from features.decisions import HELD
from features.holdout import REASON, SALT, held_out
from features.interactions import Interactions
from features.placements import POPULAR, Placement
from features.workspace import Bought
from serving.decisions.chain import without
from serving.decisions.fatigue import NONE, tired
from serving.decisions.glance import Glance, glance
from serving.decisions.histories import described, history_of, history_on
from serving.decisions.pace import LetDownError, Waited, asked_of
from serving.decisions.requests import Placed, RecommendRequest, SimilarRequest
from serving.decisions.state import State
from serving.decisions.where import fitting, gone, held
from training.recommenders.base import ItemFilter, Recommender
from training.recommenders.bought import allowed
from training.recommenders.guarded import Guarded
from training.release import Release

NO_PAGE = "no items on the page or in the cart were given"


@dataclass(frozen=True)
class Asked:
    """`lead`: the step that goes by `history`; `why`: why it cannot. `until`: when the time is over, by `monotonic`.

    `apart`: for one of the global holdout, whom only what is popular is answered.
    """

    request: Placed
    placement: Placement
    until: float
    history: Interactions
    why: str | None
    lead: str
    items: ItemFilter
    tired: NDArray[np.str_]
    variety: float
    context: dict[str, Any]
    apart: bool = False

    @property
    def seen(self) -> list[str]:
        """What stands on the page and in the cart."""
        return [] if self.request.context is None else self.request.context.shown

    @property
    def missing(self) -> str | None:
        """Why the first step of the chain has nothing to go by."""
        if self.apart:
            return REASON
        first = self.placement.steps[0]
        if first in ("personal", self.lead):
            return self.why
        return None if first == POPULAR or self.seen else NO_PAGE


def asked_for(
    state: State, request: RecommendRequest, placement: Placement, now: datetime, cart: Sequence[str] = ()
) -> Asked:
    """What is asked for a customer, a device or a history; `cart`: what is completed, and not answered itself."""
    until = monotonic() + placement.budget_ms / 1000
    release, settings = _waiting(state, until), state.settings.recommender
    who = None if request.customer is None else glance(state, request.customer, now)
    alone = request.anonymous is not None and request.customer is None and request.history is None
    history, why = _history(state, release, request, who, now)
    unit = request.anonymous if who is None else who.ids[0]
    apart = unit is not None and held_out(unit, state.settings.holdout)
    mode = request.include_bought or settings.include_bought
    variety = settings.variety if request.variety is None else request.variety
    fits = fitting(state.catalog, request.filter)
    own = [NONE] if apart and mode == "mixed" else history.bought  # what a request filters is no personal matter
    bought = _bought(mode, own, None if release is None else release.recommender)
    items = replace(bought, allowed=fits, excluded=gone(state.catalog))
    bored = tired(state, None if apart else who, history, now)
    bored = bored if fits is None or not len(bored) else bored[np.isin(bored, fits)]
    context = {"include_bought": mode, "variety": variety, "tired": bored.tolist()} | ({HELD: SALT} if apart else {})
    return Asked(
        request,
        placement,
        until,
        history,
        why,
        "session" if alone else "personal",
        without(items, [*request.exclude, *cart, *_seen(request)]),
        bored,
        variety,
        said(state, request) | _own(request) | context,
        apart,
    )


def asked_alike(state: State, request: SimilarRequest, placement: Placement, now: datetime) -> Asked:
    """What is asked for an item's page."""
    items = ItemFilter(fitting(state.catalog, request.filter), gone(state.catalog))
    items = without(items, [*request.exclude, request.item, *_seen(request)])
    until, nobody = monotonic() + placement.budget_ms / 1000, described([], state.settings.interactions, now)
    return Asked(request, placement, until, nobody, None, "similar", items, NONE, 0.0, said(state, request))


def _seen(request: Placed) -> list[str]:
    return [] if request.context is None else request.context.shown


def said(state: State, request: Placed) -> dict[str, Any]:
    """What the decision's row says of the request; refused where a boost asks for what the catalogue does not have."""
    for one in request.boost:
        held(state.catalog, one.where, ())
    found: dict[str, Any] = {"k": request.k, "exclude": request.exclude}
    for name in ("placement", "filter"):
        if (value := getattr(request, name)) is not None:
            found[name] = value
    if request.boost:
        found["boost"] = [one.model_dump() for one in request.boost]
    if request.pinned:
        found["promotions"] = [one.model_dump(exclude_defaults=True) for one in request.pinned]
    if request.context is not None:
        found["context"] = request.context.model_dump(exclude_defaults=True)
    return found


def _own(request: RecommendRequest) -> dict[str, Any]:
    """What else was asked for one: without it the decision could not be made again."""
    if request.history is not None:
        return {"history": [one if isinstance(one, str) else one.model_dump(mode="json") for one in request.history]}
    return {"device": True} if request.customer is None and request.anonymous is not None else {}


def _waiting(state: State, until: float) -> Release | None:
    """The release; the model of a user's own is not waited for longer than there is time."""
    release = state.recommender
    if release is None or not isinstance(release.recommender, Guarded):
        return release
    return replace(release, recommender=cast(Recommender, Waited(state.pace, release.recommender, until)))


def _history(
    state: State, release: Release | None, request: RecommendRequest, who: Glance | None, now: datetime
) -> tuple[Interactions, str | None]:
    if request.anonymous is not None and request.customer is None and request.history is None:
        return history_on(state, release, request.anonymous, now)
    return history_of(state, release, who, request.history, now)


def _bought(mode: Bought, bought: Sequence[NDArray[np.str_]], model: Recommender | None) -> ItemFilter:
    """What may be answered of what was bought; nothing of it where it matters what comes back and no model says so."""
    if model is None:
        return ItemFilter(required_each=bought) if mode == "only" else ItemFilter(excluded_each=bought)
    try:
        return asked_of(model, lambda: allowed(mode, bought, model))
    except LetDownError:
        return ItemFilter(excluded_each=bought)
