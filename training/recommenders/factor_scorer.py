"""FactorScorer: what models share whose score is the product of a customer's and an item's factors.

One history is answered by pruning (`pruned.NormOrder`), and so are a few, and any of very many items. Many histories
of fewer items are answered by the product of two matrices: with the longest items first, which are enough for most.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path
from typing import ClassVar, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from training.recommenders.base import Allowed, ItemFilter, Rankings
from training.recommenders.places import positions
from training.recommenders.pruned import SLACK, NormOrder
from training.recommenders.scorer import Scorer, Scores
from training.recommenders.topk import NEVER, Answers, Block, aligned, at_least_1, best_each, over_blocks

Ranks = NDArray[np.intp]
SMALL = 5_000  # items: below it the whole product is as fast
LARGE = 100_000  # items: from here on pruning is faster for however many histories, at a million 50 times
HEAD = 4_096  # items that many histories are compared with first: a shorter one seldom is among the best ten
SPARED = 8  # where for more than one in so many it may be, all are compared with all items
FEW = 8  # histories: up to them it is faster with fewer items, too


class _Head(NamedTuple):
    """The longest items in the order of their ids, and the length that no other item exceeds."""

    ids: NDArray[np.str_]
    factors: NDArray[np.float32]
    popularity: NDArray[np.float32]
    beyond: float


@dataclass
class FactorScorer(Scorer):
    """A recommender by factors. A model learns `factors_` and says what a history's factors are."""

    quick: ClassVar[bool] = True  # one answer takes a fraction of a millisecond
    factors_: NDArray[np.float32] = field(init=False, repr=False)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The model that `save` wrote, ready to answer."""
        model = super().load(folder)
        _ = model._head
        return model

    @abstractmethod
    def customers(self, histories: Interactions) -> NDArray[np.float32]:
        """Per history its factors; zeros, which popularity then fills, for an empty one."""

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        scores: Scores = self.customers(histories) @ self.factors_.T
        return scores

    def recommend_for(self, histories: Interactions, k: int, *, items: ItemFilter, as_of: datetime | None) -> Rankings:
        size, rows = len(self.items_), len(histories.customers)
        if size < SMALL:
            return super().recommend_for(histories, k, items=items, as_of=as_of)
        at_least_1(k)
        known = aligned(histories, self.items_)
        if size < LARGE and rows > FEW:
            blocks = over_blocks(partial(self._by_head, k), known, items)
        else:
            blocks = [self._alone(self.customers(known), range(rows), k, items if rows == 1 else items.listed())]
        found = [one for block in blocks for one in block]
        return Rankings(tuple(ids for ids, _ in found), tuple(scores for _, scores in found))

    def _by_head(self, k: int, block: Block) -> Answers:
        """The answers of a block, each found among the longest items where no shorter one can be better."""
        rows, allowed = block
        customers, head = self.customers(rows), self._head
        refused = Allowed(allowed.rule, head.ids, len(customers)).refused
        found = best_each(head.ids, customers @ head.factors.T, refused, head.popularity, k)
        last = np.array([scores[-1] if len(scores) == k else NEVER for _, scores in found])
        may = np.flatnonzero(last <= np.linalg.norm(customers, axis=1) * (SLACK * head.beyond))
        if len(may) * SPARED > len(found):
            return best_each(self.items_, customers @ self.factors_.T, allowed.refused, self.popularity_, k)
        for row, one in zip(may.tolist(), self._alone(customers, may.tolist(), k, allowed.rule.listed()), strict=True):
            found[row] = one
        return found

    def _alone(self, customers: NDArray[np.float32], rows: Sequence[int], k: int, rule: ItemFilter) -> Answers:
        order = self.norm_order
        found = [order.search(customers[row], k, *rule.placed(row, order, self._ranks)) for row in rows]
        return [(self.items_[places], scores) for places, scores in found]

    def _ranks(self, ids: NDArray[np.str_]) -> Ranks:
        return self.norm_order.ranks(positions(self.items_, ids))

    @cached_property
    def norm_order(self) -> NormOrder:
        """The items by the length of their factors, made once for a fit or a load."""
        return NormOrder(self.factors_, self.popularity_)

    @cached_property
    def _head(self) -> _Head:
        places, beyond = self.norm_order.longest(HEAD)
        factors = np.ascontiguousarray(self.factors_[places])
        return _Head(self.items_[places], factors, self.popularity_[places], beyond)
