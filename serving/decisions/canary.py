"""Canary: what a release must answer before it answers anybody. Whoever passes is warm.

    recommender   customers it knows, one it does not, a history, an item of a page and of a cart; each for one item,
                  for ten and for many, with items left out
    uplift        customers it knows and one it does not

An answer is right when it has exactly k items while k are allowed, each known, none twice and none left out, with
finite scores, best first; an offer's effect and probability are numbers. It comes in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from math import isfinite
from threading import Thread
from time import thread_time
from typing import Any, cast

import numpy as np

from features.decisions import NOTHING
from serving.decisions.offers import select
from serving.decisions.pace import Patient
from serving.decisions.recommend import basket, recommend, similar
from serving.decisions.requests import BasketRequest, OfferRequest, RecommendRequest, SimilarRequest
from serving.decisions.state import State
from training.recommenders.base import ItemFilter, Recommender
from training.recommenders.guarded import Guarded
from training.release import Release

SECONDS = 2.0  # of the processor, for one answer of a release that is warm; the service itself gives up after 5
PATIENCE = 60.0  # seconds for all of them, also on a busy machine: a model that hangs is let go of
LENGTHS = (1, 10, 100)
NOBODY = "canary"  # a customer whom nobody knows
Call = Callable[[], Any]


class HangsError(ValueError):
    """A model did not answer at all: its thread goes on, so it is not asked again."""


def require_right(state: State, kind: str, now: datetime) -> None:
    """Raises in one line where the state's release of this kind answers wrongly, or not in time."""
    failures: list[Exception] = []
    thread = Thread(target=_run, args=(state, kind, now, failures), name="canary", daemon=True)
    thread.start()
    thread.join(PATIENCE)
    if thread.is_alive():
        raise HangsError(f"it did not answer the canary requests within {PATIENCE:.0f} seconds")
    if failures:
        said = " ".join(str(failures[0]).split())
        raise ValueError(f"it failed the canary requests: {said or type(failures[0]).__name__}") from failures[0]


def _run(state: State, kind: str, now: datetime, failures: list[Exception]) -> None:
    try:
        calls = list(_CALLS[kind](state, now))
        for call in calls:  # what is asked for the first time fills what a model remembers
            call()
        for call in calls:
            _in_time(call)
    except Exception as error:  # noqa: BLE001  # the edge of a thread: whatever a model raises is told by its caller
        failures.append(error)


def _in_time(call: Call) -> None:
    started = thread_time()
    call()
    if (took := thread_time() - started) > SECONDS:
        raise ValueError(f"an answer took {took:.1f} seconds of the processor, at most {SECONDS:.0f} are taken")


def _recommender(state: State, now: datetime) -> Iterator[Call]:
    release, held = state.recommender, _held(state.recommender)
    if release is None or held is None:
        return
    guarded = replace(state, recommender=replace(release, recommender=cast(Recommender, held)), pace=Patient())
    items, moment = held.items_[:: max(1, len(held.items_) // 3)][:3].tolist(), now.replace(tzinfo=None)
    if (known := release.interactions) is not None and len(known.customers):
        some = known.rows(known.customers[[0, len(known.customers) // 2, -1]].tolist())
        without = ItemFilter(excluded=np.array(items, np.str_))
        for k in LENGTHS:
            yield partial(held.recommend_for, some, k, items=without, as_of=moment)
        yield partial(recommend, guarded, RecommendRequest(customer=str(known.customers[0])), NOBODY, now)
    for k in LENGTHS:
        yield partial(recommend, guarded, RecommendRequest(customer=NOBODY, k=k, exclude=items[:1]), NOBODY, now)
        yield partial(recommend, guarded, RecommendRequest(history=items, k=k), NOBODY, now)
    for item in items[:1]:
        yield partial(similar, guarded, SimilarRequest(item=item), NOBODY, now)
        yield partial(basket, guarded, BasketRequest(cart=[item]), NOBODY, now)


def _held(release: Release | None) -> Guarded | None:
    """The release's model, each of its answers checked as those of a user's model are."""
    model: Any = release and release.recommender
    return (
        None if model is None or release is None else Guarded(model, f"{release.name} {release.version}", model.items_)
    )


def _uplift(state: State, now: datetime) -> Iterator[Call]:
    if state.uplift is None:
        return
    stored = state.uplift.effects
    known = [] if stored is None or stored.customers is None else stored.customers[[0, -1]].tolist()
    for customer in (*known, NOBODY):
        yield partial(_offer, state, OfferRequest(customer=customer), now)


def _offer(state: State, request: OfferRequest, now: datetime) -> None:
    decision, answer = select(state, request, NOBODY, now)
    chosen, profit = decision.chosen[0], answer["expected_profit"]
    if chosen != NOTHING and chosen not in {offer.key for offer in state.offers}:
        raise ValueError(f"it chose {chosen!r}, which is no offer of the workspace")
    if not isfinite(profit) or not isfinite(decision.probability):
        raise ValueError(f"of the offer {chosen!r} it expects {profit} with probability {decision.probability}")


_CALLS: dict[str, Callable[[State, datetime], Iterator[Call]]] = {"recommender": _recommender, "uplift": _uplift}
