"""Popularity: what everybody buys, lately. The baseline that a personal model has to beat."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from training.recommenders import stored
from training.recommenders.base import ItemFilter, Rankings, Reason
from training.recommenders.topk import aligned, ranked, ranked_others

POPULAR = Reason("popular")


@dataclass
class Popularity:
    """Items by the sum of their weights, which decay with age; the same answer for everyone."""

    name: ClassVar[str] = "popularity"
    items_: NDArray[np.str_] = field(init=False, repr=False)
    popularity_: NDArray[np.float32] = field(init=False, repr=False)

    def fit(self, interactions: Interactions) -> Self:
        self.items_ = stored.learnable(interactions).items
        self.popularity_ = popularity(interactions)
        return self

    def recommend_for(
        self,
        histories: Interactions,
        k: int,
        *,
        items: ItemFilter,
        as_of: datetime | None,  # noqa: ARG002  # the protocol's
    ) -> Rankings:
        return ranked(self._scores, self.popularity_, aligned(histories, self.items_), k, items=items)

    def similar(self, item: str, k: int, *, items: ItemFilter) -> Rankings:
        """The most popular others: this model knows no likeness."""
        return ranked_others(self.items_, self.popularity_, item, k, items=items)

    def reasons(self, histories: Interactions, rankings: Rankings, *, as_of: datetime | None) -> list[list[Reason]]:  # noqa: ARG002
        return [[POPULAR] * len(ids) for ids in rankings.items]

    def save(self, folder: Path) -> None:
        stored.write(folder, self, {"items": self.items_, "popularity": self.popularity_})

    @classmethod
    def load(cls, folder: Path) -> Self:
        parameters, arrays = stored.read(folder)
        model = cls(**parameters)
        model.items_, model.popularity_ = arrays["items"], arrays["popularity"]
        return model

    def _scores(self, histories: Interactions) -> NDArray[np.float32]:
        return np.broadcast_to(self.popularity_, (len(histories.customers), len(self.items_)))


def popularity(interactions: Interactions) -> NDArray[np.float32]:
    """Per item the sum of its decayed weights, as a share of the most popular item's: in [0, 1]."""
    total = np.bincount(interactions.item, interactions.weight, minlength=len(interactions.items))
    return np.asarray(total / max(total.max(), np.finfo(np.float64).tiny), dtype=np.float32)
