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

import numpy as np
from scipy import sparse

from features.interactions import Interactions
from training.recommenders.base import Reason
from training.recommenders.reasons import because
from training.recommenders.scorer import Places, Scorer, Scores

PAIRS = 60_000_000  # similarities kept at most: 480 MB
TINY = 1e-12  # of an item whose baskets do not count, so that nothing is divided by 0
BLOCK = 2_000_000  # cells of the Gram matrix computed at once


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
        kept = max(1, min(self.neighbours, PAIRS // len(self.items_)))
        self.similarity_ = gram(self._normed(interactions), kept, own=self.own)
        return self

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:  # noqa: ARG002  # weights carry time
        scores: Scores = (histories.matrix @ self.similarity_).toarray()
        return scores

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:  # noqa: ARG002
        similar = self.similarity_[history.item][:, places].toarray()
        return because(history, places, history.weight[:, None] * similar)

    def likeness(self, place: int) -> Scores:
        """How often the two are bought by the same customers, corrected for how common they are."""
        similar: Scores = self.similarity_[place].toarray()[0]
        return similar

    def _normed(self, interactions: Interactions) -> sparse.csr_matrix:
        log = interactions.bought_together
        nobody = log.customer >= len(interactions.customers)
        counts = np.where(nobody, self.basket, 1.0)
        damped = log.weight.astype(np.float64) ** self.damping
        customers = np.bincount(log.customer, damped, minlength=len(log.customers))
        items = np.bincount(log.item, counts * damped, minlength=len(log.items))
        norms = customers[log.customer] ** self.customer_norm * np.maximum(items[log.item], TINY) ** self.item_norm
        values = (np.sqrt(counts) * damped / norms).astype(np.float32)
        shape = (len(log.customers), len(log.items))
        return sparse.csr_matrix((values, (log.customer, log.item)), shape=shape)


def gram(normed: sparse.csr_matrix, kept: int, *, own: float) -> sparse.csr_matrix:
    """Similarity of all items with all, computed a block of rows at a time; per item the `kept` most similar.

    The diagonal is multiplied by `own`.
    """
    items = normed.shape[1]
    transposed = normed.T.tocsr()
    rows = max(1, BLOCK // items)
    blocks = []
    for start in range(0, items, rows):
        block = (transposed[start : start + rows] @ normed).tocsr()
        blocks.append(_most_similar(block, kept) if block.nnz else block)
    matrix = sparse.vstack(blocks, format="csr", dtype=np.float32)
    matrix.setdiag(matrix.diagonal() * np.float32(own))
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def _most_similar(block: sparse.csr_matrix, kept: int) -> sparse.csr_matrix:
    """The block with the `kept` largest values of each row; ties at the edge by position."""
    lengths = np.diff(block.indptr)
    if lengths.max() <= kept:
        return block
    row = np.repeat(np.arange(block.shape[0]), lengths)
    order = np.lexsort((block.indices, -block.data, row))
    rank = np.arange(block.nnz) - np.repeat(block.indptr[:-1], lengths)
    chosen = order[rank < kept]
    return sparse.csr_matrix((block.data[chosen], (row[chosen], block.indices[chosen])), shape=block.shape)
