"""Neighbours: items bought together. The normalised item-item Gram matrix, exact.

    similarity(i, j) = sum over customers of d_ui d_uj |u|^-2a |i|^-b |j|^-b    d: weight^damping, |.|: sum of d
    score(u, i)      = sum over the history's items j of weight_uj similarity(i, j)

a = b = 0.5 is the first-order filter of GF-CF (Shen et al. 2021); the similarity of an item with itself counts `own`
times, so that what a customer buys often can be recommended again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.interactions import Interactions
from training.recommenders import stored
from training.recommenders.base import ItemFilter, Rankings, Reason
from training.recommenders.popularity import popularity
from training.recommenders.reasons import reasons_by_contribution
from training.recommenders.topk import aligned, filled, ranked, ranked_others

PAIRS = 60_000_000  # similarities kept at most: 480 MB
BLOCK = 2_000_000  # cells of the Gram matrix computed at once


@dataclass
class Neighbours:
    """Item neighbours. `neighbours`: how many are kept per item; few lose recall, 500 up to a sixth of it."""

    name: ClassVar[str] = "neighbours"
    neighbours: int = 5000
    customer_norm: float = 0.5
    item_norm: float = 0.5
    damping: float = 0.5
    own: float = 2.0
    items_: NDArray[np.str_] = field(init=False, repr=False)
    popularity_: NDArray[np.float32] = field(init=False, repr=False)
    similarity_: sparse.csr_matrix = field(init=False, repr=False)

    def fit(self, interactions: Interactions) -> Self:
        self.items_ = stored.learnable(interactions).items
        self.popularity_ = popularity(interactions)
        kept = max(1, min(self.neighbours, PAIRS // len(self.items_)))
        self.similarity_ = gram(self._normed(interactions), kept, own=self.own)
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
        """The items most often bought by the same customers, corrected for how common they are."""
        place = min(int(np.searchsorted(self.items_, item)), len(self.items_) - 1)
        scores = filled(self.similarity_[place].toarray()[0], self.popularity_)
        return ranked_others(self.items_, scores, item, k, items=items)

    def reasons(self, histories: Interactions, rankings: Rankings, *, as_of: datetime | None) -> list[list[Reason]]:  # noqa: ARG002  # the protocol's
        return reasons_by_contribution(self._contributions, aligned(histories, self.items_), rankings)

    def save(self, folder: Path) -> None:
        matrix = self.similarity_
        arrays = {"items": self.items_, "popularity": self.popularity_}
        parts = {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}
        stored.write(folder, self, arrays | parts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        parameters, arrays = stored.read(folder)
        model = cls(**parameters)
        model.items_, model.popularity_ = arrays["items"], arrays["popularity"]
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        model.similarity_ = sparse.csr_matrix(parts, shape=(len(model.items_), len(model.items_)))
        return model

    def _normed(self, interactions: Interactions) -> sparse.csr_matrix:
        damped = interactions.weight.astype(np.float64) ** self.damping
        customers = np.bincount(interactions.customer, damped, minlength=len(interactions.customers))
        items = np.bincount(interactions.item, damped, minlength=len(interactions.items))
        norms = customers[interactions.customer] ** self.customer_norm * items[interactions.item] ** self.item_norm
        shape = (len(interactions.customers), len(interactions.items))
        values = (damped / norms).astype(np.float32)
        return sparse.csr_matrix((values, (interactions.customer, interactions.item)), shape=shape)

    def _scores(self, histories: Interactions) -> NDArray[np.float32]:
        shape = (len(histories.customers), len(self.items_))
        matrix = sparse.csr_matrix((histories.weight, (histories.customer, histories.item)), shape=shape)
        scores: NDArray[np.float32] = (matrix @ self.similarity_).toarray()
        return scores

    def _contributions(self, history: Interactions, item: int) -> NDArray[np.float32]:
        """Per pair of one customer's history what it adds to the score of this item."""
        similar = self.similarity_[history.item][:, [item]].toarray()[:, 0]
        values: NDArray[np.float32] = history.weight * similar
        return values


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
