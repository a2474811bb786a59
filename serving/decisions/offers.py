"""Offers: the one that earns most by what it causes, or silence; drawn with a known probability."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from features.assignment import bucket
from features.decisions import NOTHING, Decision, Option
from features.offers import Offer
from features.table import Feature, FeatureTable
from serving.decisions.eligibility import barred, without
from serving.decisions.histories import may
from serving.decisions.recommend import Answer, UnavailableError, facts
from serving.decisions.requests import OfferRequest
from serving.decisions.state import State
from training.policies.base import Choice
from training.policies.epsilon import Epsilon
from training.release import Release

HOLDOUT_SALT = "offer-holdout"
NAMED = 5  # offers that an answer names where it says what was left out
Expected = dict[str, tuple[float, float]]  # offer -> effect and its standard error


def select(state: State, request: OfferRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """An offer or nothing. A customer of the holdout gets nothing; the others what the policy draws."""
    if state.uplift is None:
        raise UnavailableError("no uplift model is released; run `attune promote uplift latest`")
    expected, fallback = _effects(state, state.uplift, request, now)
    offers = _candidates(state.offers, request)
    options = [Option(NOTHING, 0.0), *(_option(offer, expected) for offer in offers)]
    options = without(options, barred(state, offers, request.customer, now))
    policy = Epsilon(state.settings.offers.exploration)
    choice = _with_holdout(policy.choose(options, _rng(decision_id)), state, request.customer)
    unknown = [offer.key for offer in offers if offer.key not in expected]
    if unknown:
        fallback = "; ".join(filter(None, [fallback, _not_considered(unknown)]))
    decision = _decision(state, request, choice, options, fallback, decision_id, now)
    return decision, _answer(decision, {offer.key: offer for offer in offers}, expected, options)


def _effects(state: State, release: Release, request: OfferRequest, now: datetime) -> tuple[Expected, str | None]:
    """Per offer the effect and its standard error for this customer, and why they are not the customer's own."""
    if request.features is not None:
        return _live(release, request.features), None
    stored, customer = release.effects, request.customer
    if stored is None:
        return {}, "the release has no customers and no features were given: nothing can be expected"
    row = None if customer is None else stored.row(customer)
    if row is not None and customer is not None and may(state, customer, now):
        pairs = zip(stored.effects.effect[row], stored.effects.standard_error[row], strict=True)
        return dict(zip(stored.effects.offers, ((float(a), float(b)) for a, b in pairs), strict=True)), None
    means, spread = stored.effects.effect.mean(axis=0), stored.effects.effect.std(axis=0)
    expected = {key: (float(means[i]), float(spread[i])) for i, key in enumerate(stored.effects.offers)}
    why = "the customer is not known to the model" if row is None else "the customer has not agreed to personalisation"
    return expected, f"{why}: the mean effect over all customers"


def _live(release: Release, features: Mapping[str, float | str | None]) -> Expected:
    assert release.uplift is not None  # noqa: S101  # an uplift release has one; this tells the type checker
    frame = pd.DataFrame({name: [value] for name, value in features.items()})
    for name, value in features.items():
        frame[name] = frame[name].astype("category") if isinstance(value, str) else frame[name].astype(np.float64)
    described = tuple(Feature(name, "given", "", "") for name in frame.columns)
    effects = release.uplift.effect(FeatureTable(frame, described))
    pairs = zip(effects.effect[0], effects.standard_error[0], strict=True)
    return {key: (float(a), float(b)) for key, (a, b) in zip(effects.offers, pairs, strict=True)}


def _candidates(offers: Sequence[Offer], request: OfferRequest) -> list[Offer]:
    keys = [offer.key for offer in offers]
    unknown = [key for key in request.offers or [] if key not in keys]
    if unknown:
        raise ValueError(f"offers == {unknown}, the workspace has {keys}")
    wanted = [offer for offer in offers if request.offers is None or offer.key in request.offers]
    return [offer for offer in wanted if request.channel is None or offer.channel == request.channel]


def _option(offer: Offer, expected: Expected) -> Option:
    """The offer with its expected profit; not eligible where the model does not know it."""
    if offer.key not in expected:
        return Option(offer.key, None, eligible=False)
    return Option(offer.key, expected[offer.key][0] * offer.value - offer.cost)


def _not_considered(unknown: Sequence[str]) -> str:
    more = f" and {len(unknown) - NAMED:,} more" if len(unknown) > NAMED else ""
    return f"the model does not know the offers {list(unknown[:NAMED])}{more}: not considered"


def _rng(decision_id: str) -> np.random.Generator:
    """A generator keyed by the decision, so that it can be replayed."""
    return np.random.default_rng(int.from_bytes(hashlib.sha256(decision_id.encode()).digest()[:16], "big"))


def _with_holdout(choice: Choice, state: State, customer: str | None) -> Choice:
    """Nothing, for certain, where the hash puts the customer in the holdout; otherwise the policy's choice."""
    if customer is None or bucket(HOLDOUT_SALT, customer) >= state.settings.offers.holdout:
        return choice
    return Choice(NOTHING, {key: float(key == NOTHING) for key in choice.probabilities})


def _decision(
    state: State,
    request: OfferRequest,
    choice: Choice,
    options: Sequence[Option],
    fallback: str | None,
    decision_id: str,
    now: datetime,
) -> Decision:
    release = state.uplift
    assert release is not None  # noqa: S101  # `select` says so; this tells the type checker
    profits = {option.key: option.score for option in options if option.score is not None}
    considered = tuple(replace(option, probability=choice.probabilities[option.key]) for option in options)
    return Decision(
        decision_id=decision_id,
        kind="offer",
        time=now.replace(tzinfo=None),
        customer=request.customer,
        options=considered,
        chosen=(choice.key,),
        probability=choice.probability,
        policy=Epsilon.name,
        model=release.name,
        model_version=release.version,
        workspace_hash=state.workspace_hash,
        reason=_reason(choice, profits, state.settings.currency),
        fallback=fallback,
        context={"offers": request.offers, "channel": request.channel},
    )


def _reason(choice: Choice, profits: Mapping[str, float], currency: str) -> str:
    key, best = choice.key, max(profits, key=lambda one: profits[one])
    if key == best:
        if key == NOTHING:
            return "no offer is expected to earn more than it costs" if len(profits) > 1 else "no offer is eligible"
        return f"expected to earn {profits[key]:.2f} {currency} more than saying nothing"
    kept = "kept out to measure" if choice.probability == 1 else "drawn to learn"
    return f"{kept}: {profits[key]:.2f} {currency} expected, {best} would be {profits[best]:.2f}"


def _answer(
    decision: Decision, offers: Mapping[str, Offer], expected: Expected, options: Sequence[Option]
) -> dict[str, Any]:
    key = decision.chosen[0]
    effect, error = expected.get(key, (None, None))
    profit = next((option.score for option in options if option.key == key), 0.0)
    known = error is not None and np.isfinite(error)
    return {
        "offer": None if key == NOTHING else key,
        "name": offers[key].name if key in offers else None,
        "effect": effect,
        "standard_error": error if known else None,
        "expected_profit": profit,
        **facts(decision),
    }
