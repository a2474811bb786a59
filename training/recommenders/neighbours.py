"""Neighbours: items bought together. The normalised item-item Gram matrix, exact.

    similarity(i, j) = sum over customers u of d_ui d_uj |u|^-2a |i|^-b |j|^-b    d: weight^damping, |.|: sum of d
    score(u, i)      = sum over the history's items j of weight_uj similarity(i, j)

a = b = 0.5 is the first-order filter of GF-CF (Shen et al. 2021); the similarity of an item with itself counts `own`
times, so that what a customer buys often can be recommended again. A basket of nobody counts as `basket` customers:
as a whole one it costs known customers accuracy (docs/decisions/0003-baskets-of-nobody.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Self

from scipy import sparse

from features.interactions import Interactions
from training.recommenders.base import Reason
from training.recommenders.gram import gram, normed
from training.recommenders.reasons import because
from training.recommenders.scorer import Places, Scorer, Scores


@dataclass
class Neighbours(Scorer):
    """Item neighbours. `neighbours`: how many are kept per item; few lose recall, 500 up to a sixth of it."""

    name: ClassVar[str] = "neighbours"
    neighbours: int = 5000
    customer_norm: float = 0.5
    item_norm: float = 0.5
    damping: float = 0.5
    own: float = 2.0
    basket: float = 0.3
    similarity_: sparse.csr_matrix = field(init=False, repr=False)

    def fit(self, interactions: Interactions) -> Self:
        super().fit(interactions)
        rows = normed(interactions, self.damping, self.customer_norm, self.item_norm, self.basket)
        self.similarity_ = gram(rows, rows, self.neighbours, own=self.own)
        return self

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:  # noqa: ARG002  # weights carry time
        scores: Scores = (histories.matrix @ self.similarity_).toarray()
        return scores

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:  # noqa: ARG002
        similar = self.similarity_[history.item][:, places].toarray()
        return because(history, places, history.weight[:, None] * similar, kind="customers_also")

    def likeness(self, place: int) -> Scores:
        """How often the two are bought by the same customers, corrected for how common they are."""
        similar: Scores = self.similarity_[place].toarray()[0]
        return similar

    def likeness_among(self, places: Places) -> Scores:
        near: Scores = self.similarity_[places][:, places].toarray()
        return near
