"""Expected: what an uplift release says of one customer, offer by offer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite

from features.offers import Offer
from serving.decisions.glance import UNREAD, Glance
from serving.decisions.requests import OfferRequest
from training.release import Release
from training.uplift.base import Effects
from training.uplift.customer_effects import CustomerEffects

UNRELEASED = "no uplift model is released (run `attune promote uplift latest`): nothing can be expected"
MEAN = "the mean effect over all customers"


@dataclass(frozen=True)
class Expected:
    """Per offer the effect and its standard error, the outcome without an offer, and why they are not the customer's.

    `baseline` is None where the release does not say; `ceiling`: no outcome is expected above it.
    """

    effects: Mapping[str, tuple[float, float]]
    baseline: float | None = None
    ceiling: float = float("inf")
    fallback: str | None = None

    def reckons(self, offer: Offer) -> bool:
        """Whether the offer's profit can be told: its effect is known, and who redeems it where that costs."""
        return offer.key in self.effects and (self.baseline is not None or not offer.redemption_cost)


def expected_of(release: Release | None, request: OfferRequest, who: Glance | None) -> Expected:
    """By the request's features, else by what the release holds of the customer, else the mean over all customers."""
    if release is None:
        return Expected({}, fallback=UNRELEASED)
    ceiling = release.baseline.ceiling_ if release.baseline else float("inf")
    if request.features is not None:
        return _live(release, request.features, ceiling)
    stored = release.effects
    if stored is None:
        why = "the release has no customers and no features were given: nothing can be expected"
        return Expected({}, None, ceiling, why)
    row = None if who is None else _row(stored, who.ids)
    if who is not None and row is not None and who.agreed:
        baseline = None if stored.baseline is None else float(stored.baseline[row])
        return Expected(_pairs(stored.effects, row), baseline, ceiling)
    means, spread = stored.effects.effect.mean(axis=0), stored.effects.effect.std(axis=0)
    mean = _pairs(Effects(stored.effects.offers, means[None], spread[None]), 0)
    why = "the customer is not known to the model"
    if row is not None and who is not None:
        why = UNREAD if who.unread else "the customer has not agreed to personalisation"
    baseline = None if stored.baseline is None else float(stored.baseline.mean())
    return Expected(mean, baseline, ceiling, f"{why}: {MEAN}")


def _row(stored: CustomerEffects, ids: Sequence[str]) -> int | None:
    return next((row for one in ids if (row := stored.row(one)) is not None), None)


def _live(release: Release, features: Mapping[str, float | str | None], ceiling: float) -> Expected:
    assert release.uplift is not None  # noqa: S101  # an uplift release has one; this tells the type checker
    baseline = None if release.baseline is None else release.baseline.expected_for(features)
    return Expected(_pairs(release.uplift.effect_for(features), 0), baseline, ceiling)


def _pairs(effects: Effects, row: int) -> dict[str, tuple[float, float]]:
    """Per offer the effect, where it is a number, and its standard error."""
    pairs = zip(effects.effect[row].tolist(), effects.standard_error[row].tolist(), strict=True)
    return {offer: pair for offer, pair in zip(effects.offers, pairs, strict=True) if isfinite(pair[0])}
