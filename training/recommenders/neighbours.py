"""Neighbours: items bought together. The normalised item-item Gram matrix, exact.

    similarity(i, j) = sum over customers u of d_ui d_uj |u|^-2a |i|^-b |j|^-b    d: weight^damping, |.|: sum of d
    score(u, i)      = sum over the history's items j of weight_uj similarity(i, j)

a = b = 0.5 is the first-order filter of GF-CF (Shen et al. 2021); the similarity of an item with itself counts `own`
times, so that what a customer buys often can be recommended again. A basket of nobody counts as `basket` customers:
as a whole one it costs known customers accuracy (docs/decisions/0003-baskets-of-nobody.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

from features.interactions import Interactions
from training.recommenders.gram import gram, normed
from training.recommenders.search import Space, Span
from training.recommenders.similarity_scorer import SimilarityScorer


@dataclass
class Neighbours(SimilarityScorer):
    """Item neighbours. `neighbours`: how many are kept per item; few lose recall, 500 up to a sixth of it."""

    name: ClassVar[str] = "neighbours"
    search: ClassVar[Space] = {
        "customer_norm": Span(0.0, 1.0),
        "item_norm": Span(0.0, 1.0),
        "damping": Span(0.0, 1.0),
        "own": Span(0.0, 8.0),
    }
    neighbours: int = 5000
    customer_norm: float = 0.5
    item_norm: float = 0.5
    damping: float = 0.5
    own: float = 2.0
    basket: float = 0.3

    def fit(self, interactions: Interactions) -> Self:
        super().fit(interactions)
        rows = normed(interactions, self.damping, self.customer_norm, self.item_norm, self.basket)
        self.similarity_ = gram(rows, rows, self.neighbours, own=self.own)
        return self
