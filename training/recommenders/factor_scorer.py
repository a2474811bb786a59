"""FactorScorer: what models share whose score is the product of a customer's and an item's factors.

One history is answered by pruning (`pruned.NormOrder`), and so are a few, and any of very many items; many histories
of fewer items by the product of two matrices, alike.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from training.recommenders.base import ItemFilter, Rankings
from training.recommenders.places import positions
from training.recommenders.pruned import NormOrder
from training.recommenders.scorer import Scorer, Scores
from training.recommenders.topk import aligned, at_least_1

Ranks = NDArray[np.intp]
SMALL = 5_000  # items: below it the whole product is as fast
LARGE = 100_000  # items: from here on pruning is faster for however many histories, at a million 50 times
FEW = 8  # histories: up to them it is faster with fewer items, too


@dataclass
class FactorScorer(Scorer):
    """A recommender by factors. A model learns `factors_` and says what a history's factors are."""

    quick: ClassVar[bool] = True  # one answer takes a fraction of a millisecond
    factors_: NDArray[np.float32] = field(init=False, repr=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that `save` wrote, ready to answer."""
        model = super().load(folder)
        _ = model.norm_order
        return model

    @abstractmethod
    def customers(self, histories: Interactions) -> NDArray[np.float32]:
        """Per history its factors; zeros, which popularity then fills, for an empty one."""

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        scores: Scores = self.customers(histories) @ self.factors_.T
        return scores

    def recommend_for(self, histories: Interactions, k: int, *, items: ItemFilter, as_of: datetime | None) -> Rankings:
        size, rows = len(self.items_), len(histories.customers)
        if size < SMALL or (size < LARGE and rows > FEW):
            return super().recommend_for(histories, k, items=items, as_of=as_of)
        at_least_1(k)
        factors = self.customers(aligned(histories, self.items_))
        rule, order = items if rows == 1 else items.listed(), self.norm_order
        found = [order.search(one, k, *rule.placed(row, order, self._ranks)) for row, one in enumerate(factors)]
        return Rankings(tuple(self.items_[places] for places, _ in found), tuple(scores for _, scores in found))

    def _ranks(self, ids: NDArray[np.str_]) -> Ranks:
        return self.norm_order.ranks(positions(self.items_, ids))

    @cached_property
    def norm_order(self) -> NormOrder:
        """The items by the length of their factors, made once for a fit or a load."""
        return NormOrder(self.factors_, self.popularity_)
