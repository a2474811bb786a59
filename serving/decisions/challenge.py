"""Challenge: which customers a challenger answers, and what their decisions say about it.

Both arms are decisions of the same routes: the row of each customer's names its arm, so the journal is the test's log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from features.assignment import arm
from features.decisions import HELD, Decision
from features.events import utc
from features.holdout import SALT
from serving.decisions.shadow import Again
from serving.decisions.state import State
from serving.experiments.challenges import CHALLENGER, KINDS
from serving.experiments.exposures import ARMS
from training.release import Release

DECIDES = {"recommend": ("recommender",), "basket": ("recommender",), "similar": ("recommender",), "offer": ("uplift",)}
Answer = dict[str, Any]


def answering(state: State, customer: str | None) -> State:
    """The state that answers this customer: with challengers where the hash says so; always the same for one.

    What a challenger answers is to be `stocked` first: that is a look at the ledger.
    """
    if not state.challengers or customer is None:
        return state
    kinds = tuple(kind for kind, drawn in _arms(state, customer).items() if drawn == CHALLENGER)
    return state.variants[kinds] if kinds else state


def answering_each(state: State, customers: Sequence[str]) -> list[tuple[State, list[int]]]:
    """The states that answer these customers, as `answering` says it, each with the places of its own."""
    if not state.challengers:
        return [(state, list(range(len(customers))))]
    places: dict[tuple[str, ...], list[int]] = {}
    for place, customer in enumerate(customers):
        kinds = tuple(kind for kind, drawn in _arms(state, customer).items() if drawn == CHALLENGER)
        places.setdefault(kinds, []).append(place)
    return [(state.variants[kinds] if kinds else state, mine) for kinds, mine in places.items()]


def noted(state: State, by: State, decision: Decision, answer: Answer, now: datetime) -> tuple[Decision, Answer]:
    """What `by` decided and answers, with the arms that it belongs to, and said to be of an old model where it is.

    Whoever is of the global holdout is answered by neither arm.
    """
    if decision.model is None:
        return decision, answer
    kinds = DECIDES.get(decision.kind, KINDS)
    if state.challengers and decision.customer is not None and decision.context.get(HELD) != SALT:
        drawn = _arms(state, decision.customer)
        arms = {state.challengers[kind].key: one for kind, one in drawn.items() if kind in kinds}
        decision = replace(decision, context={**decision.context, ARMS: arms}) if arms else decision
    if old := too_old(by, kinds, now):
        fallback = "; ".join(filter(None, (decision.fallback, old)))
        return replace(decision, fallback=fallback), {**answer, "fallback": fallback}
    return decision, answer


def shadowed(state: State, decision: Decision, again: Again) -> None:
    """Lets a challenger that answers nobody decide the same, beside it."""
    if not state.challengers or state.shadow is None or decision.model is None:
        return
    for kind in DECIDES.get(decision.kind, KINDS):
        one = state.challengers.get(kind)
        if one is not None and not one.told.share:
            state.shadow.follow(state.variants[kind,], one.key, decision, again)


def too_old(state: State, kinds: Sequence[str], now: datetime) -> str | None:
    """That a release of these kinds is older than attune.yaml allows, in words."""
    limit = state.settings.max_model_age_days
    if limit is None:
        return None
    for release in (state.recommender, state.uplift):
        if release is not None and release.kind in kinds and (days := age_days(release, now) or 0) > limit:
            return f"the {release.kind} {release.version} is {days} days old, max_model_age_days is {limit}"
    return None


def age_days(release: Release, now: datetime) -> int | None:
    """Since when the release knows nothing new; None where it does not say."""
    return None if release.as_of is None else (utc(now) - utc(release.as_of)).days


def _arms(state: State, customer: str) -> dict[str, str]:
    """Per kind the customer's arm, where a challenger of the kind answers anybody."""
    tests = {kind: one.experiment for kind, one in state.challengers.items()}
    return {
        kind: drawn
        for kind, test in tests.items()
        if test is not None and (drawn := arm(test.salted, customer, test.arms)) is not None
    }
