"""FactorScorer: what models share whose score is the product of a customer's and an item's factors.

One history is answered by pruning (`pruned.NormOrder`), a batch by the product of two matrices, alike.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from training.recommenders.base import ItemFilter, Rankings
from training.recommenders.pruned import NormOrder
from training.recommenders.scorer import Scorer, Scores
from training.recommenders.topk import aligned, at_least_1

SMALL = 5_000  # items: below it the whole product is as fast


@dataclass
class FactorScorer(Scorer):
    """A recommender by factors. A model learns `factors_` and says what a history's factors are."""

    factors_: NDArray[np.float32] = field(init=False, repr=False)

    @abstractmethod
    def customers(self, histories: Interactions) -> NDArray[np.float32]:
        """Per history its factors; zeros, which popularity then fills, for an empty one."""

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        scores: Scores = self.customers(histories) @ self.factors_.T
        return scores

    def recommend_for(self, histories: Interactions, k: int, *, items: ItemFilter, as_of: datetime | None) -> Rankings:
        if len(histories.customers) != 1 or len(self.items_) < SMALL:
            return super().recommend_for(histories, k, items=items, as_of=as_of)
        among, without = items.places(self.items_, 0)
        (customer,) = self.customers(aligned(histories, self.items_))
        places, scores = self.norm_order.best(customer, at_least_1(k), among=among, without=without)
        return Rankings((self.items_[places],), (scores,))

    @cached_property
    def norm_order(self) -> NormOrder:
        """The items by the length of their factors, made once for a fit or a load."""
        return NormOrder(self.factors_, self.popularity_)
