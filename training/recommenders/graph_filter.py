"""Graph filter: the Gram matrix, a low-pass part and a sharpening, in closed form.

    N        = D_u^-1/2 R D_i^-1/2, its Gram matrix N'N = V diag(w) V' + what is left out        (rank `smooth_rank`)
    blurred  = G + smooth * D_i^-1/2 V_r V_r' D_i^1/2        GF-CF's first-order and ideal low-pass filter
    W        = blurred (1 - V (1 - exp(-sharpen w)) V')      heat run backwards: what everybody shares is taken off
    score    = r W = r G + (r A) B'

GF-CF: Shen and others 2021. Sharpening: the idea of BSPM (Choi and others 2023), solved on the decomposition in place
of an integration in steps. The diagonal of G counts `own` times, so that what is bought often can be recommended again.
Meant for catalogues up to about 100,000 items: A and B hold `rank` numbers an item, those of the `smooth_rank` +
`sharpen_rank` directions that matter to the scores of the customers of the log.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from features.interactions import Interactions
from training.recommenders.base import Reason
from training.recommenders.gram import added, gram, gram_times, normed
from training.recommenders.low_rank import decomposed, narrowed
from training.recommenders.reasons import because
from training.recommenders.scorer import Places, Scorer, Scores
from training.recommenders.search import Space, Span

Matrix = NDArray[np.float32]
FEW = 8  # one direction to so many items: with all of them nothing would be filtered


@dataclass
class GraphFilter(Scorer):
    """Item-item weights as a filter."""

    name: ClassVar[str] = "graph-filter"
    search: ClassVar[Space] = {
        "customer_norm": Span(0.2, 0.6),
        "item_norm_to": Span(0.2, 0.6),
        "own": Span(1.0, 8.0, log=True),
        "smooth": Span(0.05, 1.0, log=True),
        "sharpen": Span(0.2, 4.0, log=True),
    }
    customer_norm: float = 0.3
    item_norm_from: float = 0.55
    item_norm_to: float = 0.4
    damping: float = 0.5
    own: float = 2.0
    basket: float = 0.3
    neighbours: int = 2000
    rank: int = 256
    smooth_rank: int = 256
    smooth: float = 0.2
    sharpen_rank: int = 128
    sharpen: float = 1.5
    seed: int = 0
    gram_: sparse.csr_matrix = field(init=False, repr=False)
    from_: Matrix = field(init=False, repr=False)
    to_: Matrix = field(init=False, repr=False)

    def fit(self, interactions: Interactions) -> Self:
        super().fit(interactions)
        left = normed(interactions, self.damping, self.customer_norm, self.item_norm_from, self.basket)
        right = normed(interactions, self.damping, self.customer_norm, self.item_norm_to, self.basket)
        self.gram_ = gram(left, right, self.neighbours, own=self.own)
        whole = partial(gram_times, left, right, own=self.own)
        with threadpool_limits(1, "blas"):  # threads of these short products wait for each other more than they work
            self.from_, self.to_ = self._low_rank(interactions, whole)
        return self

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        scores: Scores = (histories.matrix @ self.from_) @ self.to_.T
        added(histories, self.gram_, scores)
        return scores

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:
        terms = self.gram_[history.item][:, places].toarray() + self.from_[history.item] @ self.to_[places].T
        return because(history, places, history.weight[:, None] * terms)

    def likeness(self, place: int) -> Scores:
        """How often the two are bought by the same customers: the Gram part alone, which no other item sharpens."""
        likeness: Scores = self.gram_[place].toarray()[0]
        return likeness

    def likeness_between(self, rows: Places, columns: Places) -> Scores:
        near: Scores = self.gram_[rows][:, columns].toarray()
        return near

    def _low_rank(self, interactions: Interactions, whole: Callable[[Matrix], Matrix]) -> tuple[Matrix, Matrix]:
        """A and B of the formula above; `whole` is G times some vectors, with nothing cut off."""
        rank = min(max(self.smooth_rank, self.sharpen_rank), max(1, len(self.items_) // FEW))
        values, vectors = decomposed(normed(interactions, self.damping, 0.5, 0.5, self.basket), rank, self.seed)
        low_from, low_to = self._low_pass(interactions, vectors[:, : self.smooth_rank], whole)
        sharp, values = vectors[:, : self.sharpen_rank], values[: self.sharpen_rank]
        blurred = whole(sharp) + low_from @ (low_to.T @ sharp)
        taken: Matrix = blurred * (np.exp(-self.sharpen * values) - 1).astype(np.float32)
        both = np.hstack([low_from, taken]), np.hstack([low_to, sharp]).astype(np.float32)
        return narrowed(*both, interactions.matrix, self.rank)

    def _low_pass(
        self, interactions: Interactions, low: Matrix, whole: Callable[[Matrix], Matrix]
    ) -> tuple[Matrix, Matrix]:
        """The low-pass part, `smooth` times as large as the Gram part in the sum over all customers and items."""
        degree: Matrix = np.sqrt(
            np.bincount(interactions.item, interactions.weight**self.damping, len(self.items_))
        ).astype(np.float32)
        to = low * degree[:, None]
        source = low / np.maximum(degree, np.float32(1e-12))[:, None]
        seen = np.asarray(interactions.matrix.sum(axis=0)).ravel()
        size = (seen @ source) @ to.sum(axis=0)
        share = self.smooth * float(seen @ whole(np.ones((len(seen), 1), np.float32))[:, 0]) / float(size)
        return np.asarray(source * np.float32(share), np.float32), to
