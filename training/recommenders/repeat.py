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

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from features.events import utc
from features.interactions import Interactions
from training.recommenders.base import Reason
from training.recommenders.cycles import DAY, cycles
from training.recommenders.scorer import Places, Scorer, Scores
from training.recommenders.search import Space, Span

NEARLY = 0.8  # of a cycle: from here on an item is said to be due again


@dataclass
class Repeat(Scorer):
    """Personal frequency, recency and the item's own cycle.

    `frequency`: 1 counts purchases, 0 ignores how many. `patience`: what is due just after a purchase; 0 means that
    nobody buys at once again, 1 that the next purchase may come any day.
    """

    name: ClassVar[str] = "repeat"
    search: ClassVar[Space] = {
        "frequency": Span(0.0, 2.0),
        "patience": Span(0.0, 1.0),
    }
    frequency: float = 1.0
    patience: float = 0.75
    cycle_: NDArray[np.float32] = field(init=False, repr=False)

    def fit(self, interactions: Interactions) -> Self:
        super().fit(interactions)
        self.cycle_ = cycles(interactions)
        return self

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        scores = np.zeros((len(histories.customers), len(self.items_)), dtype=np.float32)
        bought = histories.purchases > 0
        item = histories.item[bought]
        often = histories.purchases[bought] ** np.float32(self.frequency)
        due = self._due(histories.last[bought], item, as_of)
        scores[histories.customer[bought], item] = self.chance_[item] * often * due
        return scores

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:
        elapsed = np.zeros(len(self.items_))
        elapsed[history.item] = self._elapsed(history.last, history.item, as_of)
        kinds = np.where(elapsed[places] >= NEARLY, "due_again", "buy_again").tolist()
        return [Reason(kind, (item,)) for kind, item in zip(kinds, self.items_[places].tolist(), strict=True)]

    def _due(
        self, last: NDArray[np.datetime64], item: NDArray[np.int32], as_of: datetime | None
    ) -> NDArray[np.float32]:
        """How due an item is, in (0, 1]; 1 where no time is known."""
        elapsed = self._elapsed(last, item, as_of)
        return due(np.where(np.isnan(elapsed), 1.0, elapsed), self.patience)

    def _elapsed(
        self, last: NDArray[np.datetime64], item: NDArray[np.int32], as_of: datetime | None
    ) -> NDArray[np.float64]:
        """How many of the item's cycles are over since it was bought; NaN where no time is known."""
        if as_of is None:
            return np.full(len(item), np.nan)
        age = np.maximum((np.datetime64(utc(as_of), "us") - last) / DAY, 0)  # NaT gives NaN
        elapsed: NDArray[np.float64] = age / self.cycle_[item]
        return elapsed


def due(elapsed: NDArray[np.float64], patience: float) -> NDArray[np.float32]:
    """Rises from `patience` at 0 to 1 after one cycle, then falls like one over the cycles elapsed; never 0."""
    rising = patience + (1 - patience) * elapsed
    return np.where(elapsed <= 1, rising, 1 / np.maximum(elapsed, 1)).astype(np.float32)
