"""World: the parameters of a simulated shop, frozen and known by a hash."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True)
class World:
    """Every parameter of a shop; changing a shipped one changes its hash and needs a decision note."""

    name: str = "shop"
    items: int = 500
    categories: int = 20
    rank: int = 6  # tastes have this many dimensions
    taste: float = 1.6  # how far tastes pull customers away from what everybody buys
    popularity: float = 0.7  # standard deviation of the items' own appeal
    season: float = 0.8  # amplitude of a category's yearly season, in log appeal
    traffic_season: float = 0.25  # amplitude of the shop's yearly season
    sessions: float = 12.0  # mean sessions in 180 days
    activity: float = 0.7  # standard deviation of a customer's log activity
    views: float = 3.0  # mean views in a session
    cart: float = 0.25  # a view is put into the cart
    order: float = 0.28  # a session with a cart orders it
    repeat: float = 0.6  # a consumable is bought again one cycle later
    cycle_noise: float = 0.15  # standard deviation of the log of a cycle
    price_spread: float = 0.9  # standard deviation of the log of a price
    quantity_tail: float = 2.2  # Pareto exponent of the units on a line
    refund: float = 0.05  # an order's line is returned
    anonymous: float = 0.05  # a session of views only that names nobody
    machine_mail: float = 0.3  # a customer's mailbox opens every mail by machine
    click: float = 0.2  # a human open is clicked
    base: float = 1.75  # scales the rate of the base conversion in the campaign
    offer_effect: float = 1.0  # scales the offers' effects
    experiment_lift: float = 0.1  # relative change of ordering in the experiment's treatment

    def digest(self) -> str:
        """The first 12 hex digits of the SHA-256 of all parameters."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def describe(self) -> str:
        """The world as JSON, with its hash."""
        return json.dumps({"hash": self.digest()} | asdict(self), indent=2)


SHOP = World()
NO_EFFECT = replace(SHOP, name="no-effect", offer_effect=0.0, experiment_lift=0.0)
WORLDS = {world.name: world for world in (SHOP, NO_EFFECT)}


def world_named(name: str) -> World:
    """The shipped world of this name."""
    if name not in WORLDS:
        raise ValueError(f"world == {name!r}, must be one of {sorted(WORLDS)}")
    return WORLDS[name]
