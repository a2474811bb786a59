"""Items of a simulated shop, with the parameters that only the truth knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.sources.simulator.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
YEAR = 365.25
MONTH = 30  # days for which a season stands still


@dataclass(frozen=True)
class Items:
    """Appeal, taste factors, category, price and cycle (days; NaN for durables) per item."""

    appeal: Floats
    factors: Floats
    category: Ints
    price: Floats
    cycle: Floats
    peak: Floats  # day of the year at which a category sells best

    @property
    def ids(self) -> list[str]:
        """Item ids in order of position."""
        return [f"item-{position:04d}" for position in range(len(self.appeal))]

    def seasonal(self, world: World, day_of_year: float) -> Floats:
        """Log appeal of every item around a day of the year."""
        wave = np.cos(2 * np.pi * (day_of_year - self.peak[self.category]) / YEAR)
        return np.asarray(self.appeal + world.season * wave)

    def catalog(self) -> pd.DataFrame:
        """What the shop itself knows: the columns of the catalogue."""
        kind = np.where(np.isnan(self.cycle), "durable", "consumable")
        names = [f"{kind[i].title()} {self.category[i]:02d}-{i:04d}" for i in range(len(kind))]
        category = [f"category-{c:02d}" for c in self.category]
        return pd.DataFrame(
            {"item": self.ids, "name": names, "category": category, "price": self.price, "stock": 1000, "kind": kind}
        )

    def truth(self) -> pd.DataFrame:
        """What only the simulator knows of the items."""
        factors = {f"factor_{k}": self.factors[:, k] for k in range(self.factors.shape[1])}
        hidden = {"item": self.ids, "appeal": self.appeal, "cycle_days": self.cycle}
        return pd.DataFrame(hidden | {"season_peak_day": self.peak[self.category]} | factors)


def draw_items(world: World, seed: int) -> Items:
    """The items of a world; they depend on the seed, never on the customers."""
    rng = np.random.default_rng([seed, 0])
    category = np.arange(world.items) % world.categories
    centres = rng.normal(size=(world.categories, world.rank))
    factors = 0.75 * centres[category] + 0.66 * rng.normal(size=(world.items, world.rank))
    price = np.round(18 * np.exp(world.price_spread * rng.normal(size=world.items)), 2)
    cycle = np.clip(28 * np.exp(0.4 * rng.normal(size=world.items)), 10, 75)
    return Items(
        appeal=world.popularity * rng.normal(size=world.items),
        factors=factors / np.sqrt(world.rank),
        category=category,
        price=np.maximum(price, 0.5),
        cycle=np.where(category % 2 == 0, cycle, np.nan),
        peak=rng.uniform(0, YEAR, size=world.categories),
    )
