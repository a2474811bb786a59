"""Offer: something a customer can be given, with what it costs and what an extra outcome is worth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from features.conditions.bound import bound
from features.conditions.grammar import Condition, CustomerCondition
from features.segments import conditions, read_segments
from features.workspace import Frozen, read_yaml

FILE = "offers.yaml"
HOLDOUT_SALT = "offer-holdout"  # of the hash that says who never gets an offer

Money = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Numbers = TypeVar("Numbers", float, NDArray[np.float64])


class Offer(Frozen):
    """One offer of `offers.yaml`; money in the workspace's currency.

    `key` is the arm's name in exposure logs. `value`: margin of one extra outcome (for a revenue outcome: of one
    extra unit of revenue); below 0 where the outcome is a loss. `cost`: of one contact, whatever happens.
    `redemption_cost`: of one outcome with the offer, also by somebody who would have bought anyway. `channel`: where it
    can be shown. `budget`: money and `stock`: contacts that a plan may use of this offer and the service may give out;
    no limit where not given. `codes`: a text file in a folder of the workspace, one code per line, of which each
    customer gets one; unused for `codes_return_after_days` it is for anybody again, never where that is not given.
    `eligible`: a condition (docs/conditions.md) that must hold for the customer; without one it is for all.
    """

    key: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]*$", max_length=64)
    name: str
    channel: str = "web"
    value: float = Field(default=1.0, allow_inf_nan=False)
    cost: Money = 0.0
    redemption_cost: Money = 0.0
    budget: Money | None = None
    stock: int | None = Field(default=None, ge=0)
    codes: str | None = Field(default=None, pattern=r"^[A-Za-z0-9_-][A-Za-z0-9_.-]*/[A-Za-z0-9_-][A-Za-z0-9_.-]*\.txt$")
    codes_return_after_days: int | None = Field(default=None, gt=0, le=36_500)
    eligible: CustomerCondition | None = None

    @model_validator(mode="after")
    def _returning(self) -> Self:
        if self.codes_return_after_days is not None and self.codes is None:
            raise ValueError(f"the offer {self.key!r} has codes_return_after_days and no codes that could return")
        return self

    @property
    def limited(self) -> bool:
        """Whether what is given out of the offer has to be counted."""
        return any(limit is not None for limit in (self.budget, self.stock, self.codes))

    def spend(self, outcome: Numbers) -> Numbers:
        """The money one contact is expected to take, where this outcome is expected with the offer."""
        return self.cost + self.redemption_cost * outcome

    def profit(self, effect: Numbers, outcome: Numbers) -> Numbers:
        """What one contact is expected to earn more than saying nothing."""
        return effect * self.value - self.spend(outcome)


class OfferFile(Frozen):
    """`offers.yaml`."""

    offers: tuple[Offer, ...] = ()


def read_offers(folder: Path) -> tuple[Offer, ...]:
    """The workspace's offers, with what the segments they name mean; none when it has no `offers.yaml`."""
    path = folder / FILE
    offers = read_yaml(path, OfferFile).offers if path.exists() else ()
    keys = [offer.key for offer in offers]
    if repeated := [key for key, count in Counter(keys).items() if count > 1]:
        raise ValueError(f"{path}: the offer keys {repeated} are not unique")
    if "none" in keys:
        raise ValueError(f"{path}: an offer has the key 'none', which means no offer; choose another")
    segments = conditions(read_segments(folder))
    return tuple(_bound(offer, segments, path) for offer in offers)


def _bound(offer: Offer, segments: Mapping[str, Condition], path: Path) -> Offer:
    if offer.eligible is None:
        return offer
    try:
        return offer.model_copy(update={"eligible": bound(offer.eligible, segments)})
    except ValueError as error:
        raise ValueError(f"{path}: eligible of {offer.key!r}: {error}") from None
