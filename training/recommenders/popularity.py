"""Popularity: what everybody buys, lately. The baseline that a personal model has to beat.

    score(i) = sum over customers and baskets u of w_ui 2^(-age_ui / half-life)      age: of the last time, in days

The weights w decay already, by the half-life of the interactions; what is popular changes faster than tastes, so
popularity may have a half-life of its own, on top.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import ClassVar, Self

import numpy as np

from features.events import utc
from features.interactions import Interactions
from training.recommenders.cycles import DAY
from training.recommenders.scorer import Scorer, Scores, popularity


@dataclass
class Popularity(Scorer):
    """Items by the sum of their decayed weights; the same answer for everyone. `half_life_days`: None for no more."""

    name: ClassVar[str] = "popularity"
    half_life_days: float | None = None

    def fit(self, interactions: Interactions) -> Self:
        super().fit(interactions)
        if self.half_life_days is not None:
            self.popularity_ = popularity(recent(interactions, self.half_life_days))
        return self

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        return np.broadcast_to(self.popularity_, (len(histories.customers), len(self.items_)))


def recent(interactions: Interactions, half_life_days: float) -> Interactions:
    """The interactions with weights halved every so many days since the last time; as they are without times."""
    if half_life_days <= 0:
        raise ValueError(f"half_life_days == {half_life_days}, must be > 0 (popularity)")
    log = interactions.bought_together
    if log.as_of is None:
        return log
    age = np.maximum((np.datetime64(utc(log.as_of), "us") - log.last) / DAY, 0)
    fresh = np.where(np.isnat(log.last), 1.0, 0.5 ** (age / half_life_days))
    return replace(log, weight=(log.weight * fresh).astype(np.float32))
