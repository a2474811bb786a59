"""BM25: implicit's item neighbours as its users know them, as a comparator.

    weight(u, i)     = w_ui (k1 + 1) / (k1 (1 - b + b |i| / mean |i|) + w_ui) * log(items / (1 + items of u))
    similarity(i, j) = sum over customers u of weight(u, i) weight(u, j)      of each item the `neighbours` largest
    score(u, i)      = sum over the history's items j of w_uj similarity(j, i)

implicit learns the matrix; the answer is ours, since implicit's own breaks filters and the length of an answer. Meant
for any catalogue: time grows with the sum over customers of the squared length of their histories, memory with
items * `neighbours`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from scipy import sparse

from features.interactions import Interactions
from training.recommenders.gram import shortened
from training.recommenders.search import Space, Span
from training.recommenders.similarity_scorer import SimilarityScorer


@dataclass
class Bm25(SimilarityScorer):
    """The defaults are those of implicit's BM25Recommender. `threads`: of the fit, 0 for all cores."""

    name: ClassVar[str] = "bm25"
    search: ClassVar[Space] = {
        "neighbours": Span(10, 500, log=True),
        "k1": Span(0.1, 10.0, log=True),
        "b": Span(0.0, 1.0),
    }
    neighbours: int = 20
    k1: float = 1.2
    b: float = 0.75
    threads: int = 0

    def fit(self, interactions: Interactions) -> Self:
        from implicit.nearest_neighbours import ItemItemRecommender, bm25_weight  # who answers does not need it

        super().fit(interactions)
        weighted = bm25_weight(shortened(interactions).matrix.T, self.k1, self.b).T.tocsr()
        learner = ItemItemRecommender(K=self.neighbours, num_threads=self.threads)
        learner.fit(weighted, show_progress=False)
        self.similarity_ = sparse.csr_matrix(learner.similarity, dtype=np.float32)
        self.similarity_.sort_indices()
        return self
