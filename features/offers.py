"""Offer: something a customer can be given, with what it costs and what an extra outcome is worth."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pydantic import Field

from features.conditions.grammar import CustomerCondition
from features.workspace import Frozen, read_yaml

FILE = "offers.yaml"


class Offer(Frozen):
    """One offer of `offers.yaml`; money in the workspace's currency.

    `key` is the arm's name in exposure logs. `value`: margin of one extra outcome (for a revenue outcome: of one
    extra unit of revenue). `cost`: of one contact, whatever happens. `channel`: where it can be shown.
    `eligible`: a condition (docs/conditions.md) that must hold for the customer; without one it is for all.
    """

    key: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 _.-]*$", max_length=64)
    name: str
    channel: str = "web"
    value: float = 1.0
    cost: float = Field(default=0.0, ge=0)
    eligible: CustomerCondition | None = None


class OfferFile(Frozen):
    """`offers.yaml`."""

    offers: tuple[Offer, ...] = ()


def read_offers(folder: Path) -> tuple[Offer, ...]:
    """The workspace's offers; none when it has no `offers.yaml`."""
    path = folder / FILE
    offers = read_yaml(path, OfferFile).offers if path.exists() else ()
    keys = [offer.key for offer in offers]
    if repeated := [key for key, count in Counter(keys).items() if count > 1]:
        raise ValueError(f"{path}: the offer keys {repeated} are not unique")
    if "none" in keys:
        raise ValueError(f"{path}: an offer has the key 'none', which means no offer; choose another")
    return offers
