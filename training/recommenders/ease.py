"""EASE: a linear item-item model in closed form (Steck 2019).

    P = (X'X + ridge I)^-1        X: customers x items, d_ui = weight^damping
    B = I - P / diag(P)           each item explained by all others; its own weight is 0
    score(u, i) = sum over the history's items j of d_uj B_ji

The inverse costs items^3 and items^2 numbers: it is meant for catalogues up to `densest` items (10,000: some 20 s of
CPU, 1.2 GB). Of a larger one only the items that most customers had are modelled; it has no opinion on the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse

from features.interactions import Interactions
from training.recommenders.base import Reason
from training.recommenders.gram import shortened
from training.recommenders.reasons import because
from training.recommenders.scorer import Places, Scorer, Scores
from training.recommenders.search import Space, Span


@dataclass
class Ease(Scorer):
    """Linear weights between items. `ridge`: larger for more customers; 100 to 1,000 is usual."""

    name: ClassVar[str] = "ease"
    search: ClassVar[Space] = {
        "ridge": Span(10.0, 3000.0, log=True),
        "damping": Span(0.0, 1.0),
    }
    ridge: float = 200.0
    damping: float = 0.5
    densest: int = 10_000
    places_: NDArray[np.int64] = field(init=False, repr=False)  # of the modelled items, sorted
    weights_: NDArray[np.float32] = field(init=False, repr=False)

    def fit(self, interactions: Interactions) -> Self:
        super().fit(interactions)
        buyers = np.bincount(interactions.item, minlength=len(self.items_))
        self.places_ = np.sort(np.argsort(-buyers, kind="stable")[: self.densest])
        X = self._rows(shortened(interactions))
        self.weights_ = closed_form((X.T @ X).toarray(), self.ridge)
        return self

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        scores = np.zeros((len(histories.customers), len(self.items_)), dtype=np.float32)
        scores[:, self.places_] = self._rows(histories) @ self.weights_
        return scores

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:
        terms = self.likeness_between(history.item, places)
        return because(history, places, history.weight[:, None] ** self.damping * terms)

    def likeness(self, place: int) -> Scores:
        """What having this item adds to the score of each."""
        likeness = np.zeros(len(self.items_), dtype=np.float32)
        (row,) = self._modelled(np.array([place])).tolist()
        if row >= 0:
            likeness[self.places_] = self.weights_[row]
        return likeness

    def likeness_between(self, rows: Places, columns: Places) -> Scores:
        likeness = np.zeros((len(rows), len(columns)), dtype=np.float32)
        near, far = self._modelled(rows), self._modelled(columns)
        likeness[np.ix_(near >= 0, far >= 0)] = self.weights_[np.ix_(near[near >= 0], far[far >= 0])]
        return likeness

    def _rows(self, histories: Interactions) -> sparse.csr_matrix:
        """The histories over the modelled items."""
        item = self._modelled(histories.item)
        known = item >= 0
        values = (histories.weight[known] ** self.damping).astype(np.float32)
        shape = (len(histories.customers), len(self.places_))
        return sparse.csr_matrix((values, (histories.customer[known], item[known])), shape=shape)

    def _modelled(self, places: NDArray[np.signedinteger]) -> NDArray[np.int64]:
        """Where these items stand among the modelled ones; -1 where they are not."""
        found = np.minimum(np.searchsorted(self.places_, places), len(self.places_) - 1)
        return np.where(self.places_[found] == places, found, -1).astype(np.int64)


def closed_form(inner: NDArray[np.float32], ridge: float) -> NDArray[np.float32]:
    """The weights of the formula above from X'X, which is overwritten."""
    inner[np.diag_indices_from(inner)] += np.float32(ridge)
    factor, _ = linalg.lapack.spotrf(inner.T, lower=0, overwrite_a=1)
    inverse, fault = linalg.lapack.spotri(factor, lower=0, overwrite_c=1)
    if fault:
        raise ValueError(f"X'X + {ridge} I cannot be inverted; a larger ridge is needed")
    upper = np.triu(inverse)
    weights = upper + np.triu(upper, 1).T
    weights /= -np.diag(weights).copy()
    weights[np.diag_indices_from(weights)] = 0
    return np.ascontiguousarray(weights, dtype=np.float32)
