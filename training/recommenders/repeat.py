"""Repeat: what a customer buys again, when it is due again.

    score(u, i) = chance that a buyer of i buys it again * purchases_ui^frequency * due(age_ui / cycle_i)
    due(x)      = rises from `patience` at x = 0 to 1 at x = 1, then falls as 1 / x and never ends

    cycle of tea: 30 days                       due 1 |     .-*-._
    ann bought it 28 days ago: due                    |  .-'      `--.__
    bob bought it 3 days ago: a little less           |-'               `-----.___
                                                      +-----+--------------------- age / cycle
                                                      0     1

What a customer never bought is filled by popularity.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from features.events import utc
from features.interactions import Interactions
from training.recommenders import stored
from training.recommenders.base import ItemFilter, Rankings, Reason
from training.recommenders.popularity import POPULAR, popularity
from training.recommenders.topk import aligned, ranked, ranked_others

DAY = np.timedelta64(86_400_000_000, "us")
PRIOR = 20.0  # buyers that an item's own chance and cycle are shrunk by, toward those of all items
NEVER = 365.0  # the cycle where nobody ever bought anything twice, in days


@dataclass
class Repeat:
    """Personal frequency, recency and the item's own cycle.

    `frequency`: 1 counts purchases, 0 ignores how many. `patience`: what is due just after a purchase; 0 means that
    nobody buys at once again, 1 that the next purchase may come any day.
    """

    name: ClassVar[str] = "repeat"
    frequency: float = 1.0
    patience: float = 0.75
    items_: NDArray[np.str_] = field(init=False, repr=False)
    popularity_: NDArray[np.float32] = field(init=False, repr=False)
    chance_: NDArray[np.float32] = field(init=False, repr=False)
    cycle_: NDArray[np.float32] = field(init=False, repr=False)

    def fit(self, interactions: Interactions) -> Self:
        self.items_ = stored.learnable(interactions).items
        self.popularity_ = popularity(interactions)
        self.chance_ = chance_of_repeat(interactions)
        self.cycle_ = cycles(interactions)
        return self

    def recommend_for(self, histories: Interactions, k: int, *, items: ItemFilter, as_of: datetime | None) -> Rankings:
        def score(part: Interactions) -> NDArray[np.float32]:
            return self._scores(part, as_of)

        return ranked(score, self.popularity_, aligned(histories, self.items_), k, items=items)

    def similar(self, item: str, k: int, *, items: ItemFilter) -> Rankings:
        """The most popular others: this model knows no likeness."""
        return ranked_others(self.items_, self.popularity_, item, k, items=items)

    def reasons(self, histories: Interactions, rankings: Rankings, *, as_of: datetime | None) -> list[list[Reason]]:  # noqa: ARG002
        pairs = zip(rankings.items, rankings.scores, strict=True)
        return [
            [_reason(item, score) for item, score in zip(ids.tolist(), scores, strict=True)] for ids, scores in pairs
        ]

    def save(self, folder: Path) -> None:
        arrays = {"items": self.items_, "popularity": self.popularity_, "chance": self.chance_, "cycle": self.cycle_}
        stored.write(folder, self, arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        parameters, arrays = stored.read(folder)
        model = cls(**parameters)
        model.items_, model.popularity_ = arrays["items"], arrays["popularity"]
        model.chance_, model.cycle_ = arrays["chance"], arrays["cycle"]
        return model

    def _scores(self, histories: Interactions, as_of: datetime | None) -> NDArray[np.float32]:
        scores = np.zeros((len(histories.customers), len(self.items_)), dtype=np.float32)
        bought = histories.purchases > 0
        item = histories.item[bought]
        often = histories.purchases[bought] ** np.float32(self.frequency)
        due = self._due(histories.last[bought], item, as_of)
        scores[histories.customer[bought], item] = self.chance_[item] * often * due
        return scores

    def _due(
        self, last: NDArray[np.datetime64], item: NDArray[np.int32], as_of: datetime | None
    ) -> NDArray[np.float32]:
        """How due an item is, in (0, 1]; 1 where no time is known."""
        if as_of is None:
            return np.ones(len(item), dtype=np.float32)
        age = np.maximum((np.datetime64(utc(as_of), "us") - last) / DAY, 0)
        elapsed = np.where(np.isnat(last), 1.0, age / self.cycle_[item])
        return due(elapsed, self.patience)


def due(elapsed: NDArray[np.float64], patience: float) -> NDArray[np.float32]:
    """Rises from `patience` at 0 to 1 after one cycle, then falls like one over the cycles elapsed; never 0."""
    rising = patience + (1 - patience) * elapsed
    return np.where(elapsed <= 1, rising, 1 / np.maximum(elapsed, 1)).astype(np.float32)


def chance_of_repeat(interactions: Interactions) -> NDArray[np.float32]:
    """Per item the share of its buyers who bought it again, shrunk toward the share over all items."""
    size = len(interactions.items)
    buyers = np.bincount(interactions.item, interactions.purchases > 0, minlength=size)
    again = np.bincount(interactions.item, interactions.purchases > 1, minlength=size)
    overall = (again.sum() + 1) / (buyers.sum() + 2)  # Laplace: above 0 also where nobody ever came back
    return np.asarray((again + PRIOR * overall) / (buyers + PRIOR), dtype=np.float32)


def cycles(interactions: Interactions) -> NDArray[np.float32]:
    """Per item the mean days between two purchases by one customer, shrunk toward the mean over all items."""
    size = len(interactions.items)
    again = (interactions.purchases > 1) & ~np.isnat(interactions.first) & ~np.isnat(interactions.last)
    days = (interactions.last[again] - interactions.first[again]) / DAY
    gaps = interactions.purchases[again] - 1.0
    total = np.bincount(interactions.item[again], days, minlength=size)
    count = np.bincount(interactions.item[again], gaps, minlength=size)
    overall = days.sum() / gaps.sum() if gaps.sum() and days.sum() else NEVER
    return np.asarray((total + PRIOR * overall) / (count + PRIOR), dtype=np.float32)


def _reason(item: str, score: np.float32) -> Reason:
    return Reason("buy_again", (item,)) if score > 0 else POPULAR
