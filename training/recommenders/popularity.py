"""Popularity: what everybody buys, lately. The baseline that a personal model has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import numpy as np

from features.interactions import Interactions
from training.recommenders.scorer import Scorer, Scores


@dataclass
class Popularity(Scorer):
    """Items by the sum of their weights, which decay with age; the same answer for everyone."""

    name: ClassVar[str] = "popularity"

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:  # noqa: ARG002  # the same for all
        return np.broadcast_to(self.popularity_, (len(histories.customers), len(self.items_)))
