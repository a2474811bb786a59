"""Offers: the one that earns most by what it causes, or silence; drawn with a known probability."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from statistics import NormalDist
from typing import Any

import numpy as np

from features.assignment import bucket
from features.decisions import HELD, NOTHING, WEIGHED, Decision
from features.holdout import REASON, SALT, held_out
from features.offers import HOLDOUT_SALT
from features.workspace import OfferSettings
from serving.decisions.changes import what_would_change, worth
from serving.decisions.considered import Considered, considered
from serving.decisions.recommend import Answer, facts
from serving.decisions.requests import OfferRequest
from serving.decisions.state import State
from training.policies.base import Choice, Policy, certain
from training.policies.budgeted import Budgeted
from training.policies.epsilon import Epsilon
from training.policies.greedy import Greedy
from training.policies.thompson import Thompson

Z = NormalDist().inv_cdf(0.975)  # the effect's interval is one of 95 %


def select(state: State, request: OfferRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """An offer or nothing: nothing for a customer of the holdout or without a release, else what the policy draws."""
    found = considered(state, request, now)
    policy = _policy(state.settings.offers, found)
    choice = policy.choose(found.options, _rng(decision_id))
    held = _held(state, request, found)
    if held is not None:
        choice = certain(found.options, NOTHING)
    changes = what_would_change(found.weighed)
    asked = {"offers": request.offers, "channel": request.channel, "what_would_change": changes}
    asked |= {WEIGHED: {one.offer.key: one.told() for one in found.weighed}, **({HELD: held} if held else {})}
    asked |= {} if request.features is None else {"features": dict(request.features)}
    decision = Decision(
        decision_id=decision_id,
        kind="offer",
        time=now.replace(tzinfo=None),
        customer=request.customer,
        policy=policy.name,
        workspace_hash=state.workspace_hash,
        fallback=found.fallback,
        context=asked,
        **_chosen(choice, found, state.settings.currency) | ({"reason": REASON} if held == SALT else {}),
        model=None if state.uplift is None else state.uplift.name,
        model_version=None if state.uplift is None else state.uplift.version,
    )
    return decision, _answer(decision, found) | {"what_would_change": changes}


def _held(state: State, request: OfferRequest, found: Considered) -> str | None:
    """The holdout that the customer is in; None: neither in that of everything nor in that of offers."""
    if request.customer is None:
        return None
    if held_out(found.person or request.customer, state.settings.holdout):
        return SALT
    return HOLDOUT_SALT if bucket(HOLDOUT_SALT, request.customer) < state.settings.offers.holdout else None


def quick(state: State) -> bool:
    """Whether an answer waits for nobody: of no offer is counted what is given out."""
    return not any(offer.limited for offer in state.offers)


def light(state: State, request: OfferRequest) -> bool:
    """Whether the answer also costs less than a change to a thread."""
    linear = state.uplift is not None and getattr(state.uplift.uplift, "kind", None) == "linear"
    return quick(state) and (linear or request.features is None)


def _policy(settings: OfferSettings, found: Considered) -> Policy:
    """The policy of `attune.yaml`, with what it needs to know about these offers."""
    if settings.policy == Greedy.name:
        return Greedy()
    if settings.policy == Budgeted.name:
        return Budgeted({one.offer.key: one.charge for one in found.weighed})
    if settings.policy == Thompson.name:
        return Thompson({one.offer.key: one.spread for one in found.weighed})
    return Epsilon(settings.exploration)


def _rng(decision_id: str) -> np.random.Generator:
    """A generator keyed by the decision, so that it can be replayed."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(decision_id.encode()).digest()[:16], "big"))


def _chosen(choice: Choice, found: Considered, currency: str) -> dict[str, Any]:
    """What was chosen among what, with which probability and why."""
    return {
        "options": tuple(replace(option, probability=choice.probabilities[option.key]) for option in found.options),
        "chosen": (choice.key,),
        "probability": choice.probability,
        "reason": _reason(choice, found, currency),
    }


def _reason(choice: Choice, found: Considered, currency: str) -> str:
    nets = worth(found.weighed)
    key, best = choice.key, min(nets, key=lambda one: (-nets[one], one))
    charge = next((one.charge for one in found.weighed if one.offer.key == key), 0.0)
    if key != best:
        kept = "kept out to measure" if choice.probability == 1 else "drawn to learn"
        return f"{kept}: {nets[key]:.2f} {currency} expected, {best} would be {nets[best]:.2f}"
    if not found.weighed:
        return "no offer is eligible"
    if key == NOTHING:
        dear = " and its place in the budget" if any(one.charge for one in found.weighed) else ""
        return f"no offer is expected to earn more than it costs{dear}"
    price = f", {nets[key]:.2f} more than its place in the budget is worth" if charge else ""
    return f"expected to earn {nets[key] + charge:.2f} {currency} more than saying nothing{price}"


def _answer(decision: Decision, found: Considered) -> dict[str, Any]:
    key = decision.chosen[0]
    given = next((one for one in found.weighed if one.offer.key == key), None)
    error = given.error if given and np.isfinite(given.error) else None
    return {
        "offer": None if key == NOTHING else key,
        "name": given.offer.name if given else None,
        "effect": given.effect if given else None,
        "effect_lower": given.effect - Z * error if given and error is not None else None,
        "effect_upper": given.effect + Z * error if given and error is not None else None,
        "cost": given.spend(given.effect) if given else 0.0,
        "expected_profit": given.profit if given else 0.0,
        "code": None,  # is known when the decision is written
        **facts(decision),
    }
