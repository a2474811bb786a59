"""Weighed: one offer as it is weighed for one customer, as a function of the effect it is expected to have."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf, isfinite

from features.offers import Offer


@dataclass(frozen=True)
class Weighed:
    """An offer, what is expected of it, and what a plan charges for the limited means that it takes.

    net(effect) = effect x value - spend - charge; charge = money x spend + contact, 0 without a plan.
    """

    offer: Offer
    effect: float
    error: float  # of the effect; NaN where not known
    baseline: float = 0.0
    ceiling: float = inf
    money: float = 0.0
    contact: float = 0.0

    def spend(self, effect: float) -> float:
        """On contact, and on redemption by those who would have bought anyway too."""
        return self.offer.spend(min(max(self.baseline + effect, 0.0), self.ceiling))

    @property
    def profit(self) -> float:
        """What is expected to be earned more than by saying nothing."""
        return self.effect * self.offer.value - self.spend(self.effect)

    @property
    def charge(self) -> float:
        return self.money * self.spend(self.effect) + self.contact

    @property
    def spread(self) -> float:
        """The standard error of the profit; NaN where that of the effect is."""
        return abs(self.offer.value - self.offer.redemption_cost) * self.error

    def told(self) -> dict[str, float | None]:
        """For the journal, what is expected to be spent and the spread: with the profit, all that a policy goes by."""
        return {"spend": self.spend(self.effect), "spread": self.spread if isfinite(self.spread) else None}

    def net(self, effect: float) -> float:
        return effect * self.offer.value - (1 + self.money) * self.spend(effect) - self.contact

    def effects_at(self, net: float) -> Iterator[float]:
        """The effects at which the offer is worth just this: a straight line between the bounds of the outcome."""
        low, high = -self.baseline, self.ceiling - self.baseline
        value, redeemed = self.offer.value, (1 + self.money) * self.offer.redemption_cost
        lines = ((-inf, low, low, value), (low, high, low, value - redeemed), (high, inf, high, value))
        for start, end, anchor, slope in lines:
            if slope and anchor < inf:
                found = anchor + (net - self.net(anchor)) / slope
                if start <= found <= end:
                    yield found
