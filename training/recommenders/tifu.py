"""TIFU-KNN: what a customer bought often and lately, and what customers alike bought (Hu et al. 2020).

    baskets, newest first   a b c | d e f | g         groups of neighbours in time, `groups` at most
    own(u)      = mean over groups g of across^g * mean over its baskets p of within^p * basket
    score(u, i) = alpha * own(u)_i + (1 - alpha) * mean of own(v)_i over the `k` customers v nearest to u

The customers alike are other customers' rows, so they are in no artefact: `beside` gives them to a model that was
fitted, or loaded next to its histories; without them the personal part answers alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.interactions import Interactions
from training.recommenders.base import Reason
from training.recommenders.reasons import POPULAR
from training.recommenders.scorer import Places, Scorer, Scores
from training.recommenders.search import Space, Span
from training.recommenders.topk import aligned

BLOCK = 500  # histories compared with all customers at once


@dataclass
class Tifu(Scorer):
    """The defaults are the paper's for Ta-Feng."""

    name: ClassVar[str] = "tifu"
    search: ClassVar[Space] = {
        "within": Span(0.5, 1.0),
        "across": Span(0.3, 1.0),
        "alpha": Span(0.0, 1.0),
        "k": Span(50, 900, log=True),
    }
    neighbours: ClassVar[Any] = None  # the customers' vectors, sparse; set by `beside` on a copy, never saved
    groups: int = 7
    within: float = 0.9
    across: float = 0.7
    alpha: float = 0.7
    k: int = 300

    def beside(self, interactions: Interactions) -> Self:
        """This model with these customers as neighbours."""
        model = copy(self)
        model.neighbours = self.own(aligned(interactions, self.items_))  # type: ignore[misc]  # of this copy only
        return model

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        own = self.own(histories)
        if self.neighbours is None:
            return np.asarray(own.toarray(), dtype=np.float32)
        parts = [self._mixed(own[at : at + BLOCK], self.neighbours) for at in range(0, own.shape[0], BLOCK)]
        return np.concatenate(parts) if parts else np.zeros(own.shape, dtype=np.float32)

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:
        mine = self.own(history).toarray()[0, places] > 0
        ids = self.items_[places].tolist()
        return [Reason("buy_again", (item,)) if own else POPULAR for own, item in zip(mine, ids, strict=True)]

    def own(self, histories: Interactions) -> sparse.csr_matrix:
        """The personal vectors; without lines a customer's share of purchases per item."""
        lines, shape = histories.lines, (len(histories.customers), len(histories.items))
        if lines is None:
            total = np.maximum(np.bincount(histories.customer, histories.purchases, shape[0]), 1)
            share = (histories.purchases / total[histories.customer]).astype(np.float32)
            return sparse.csr_matrix((share, (histories.customer, histories.item)), shape=shape)
        count = lines.baskets(shape[0])[lines.customer]
        values = self._decayed(count - 1 - lines.basket, count)
        return sparse.csr_matrix((values, (lines.customer, lines.item)), shape=shape)

    def _decayed(self, age: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.float32]:
        """What a basket weighs that is `age` baskets old, of `count` in all."""
        groups = np.minimum(count, self.groups)
        group = age * groups // count
        first, stop = -(-group * count // groups), -(-(group + 1) * count // groups)
        value = self.across**group * self.within ** (age - first) / (groups * (stop - first))
        return np.asarray(value, dtype=np.float32)

    def _mixed(self, own: sparse.csr_matrix, others: sparse.csr_matrix) -> Scores:
        """Own and neighbours' vectors; a customer without a history has no neighbours."""
        k = min(self.k, others.shape[0])
        square = np.asarray(others.multiply(others).sum(axis=1)).ravel()
        distance = square[None, :] - 2 * (own @ others.T).toarray()
        near = np.argpartition(distance, k - 1, axis=1)[:, :k]
        known = np.diff(own.indptr) > 0
        shares = sparse.csr_matrix(
            (np.repeat(known / k, k).astype(np.float32), near.ravel(), np.arange(0, near.size + 1, k)),
            shape=(own.shape[0], others.shape[0]),
        )
        mixed = self.alpha * own + (1 - self.alpha) * (shares @ others)
        return np.asarray(mixed.toarray(), dtype=np.float32)
