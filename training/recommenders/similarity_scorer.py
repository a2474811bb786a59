"""SimilarityScorer: what models share whose score is a sum of similarities to the history's items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from scipy import sparse

from features.interactions import Interactions
from training.recommenders.base import Reason
from training.recommenders.gram import added
from training.recommenders.reasons import because
from training.recommenders.scorer import Places, Scorer, Scores


@dataclass
class SimilarityScorer(Scorer):
    """A recommender by one item-item matrix. A model learns `similarity_`: from the row's item to the column's."""

    similarity_: sparse.csr_matrix = field(init=False, repr=False)

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        scores: Scores = np.zeros((len(histories.customers), len(self.items_)), dtype=np.float32)
        added(histories, self.similarity_, scores)
        return scores

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:
        similar = self.likeness_between(history.item, places)
        return because(history, places, history.weight[:, None] * similar, kind="customers_also")

    def likeness(self, place: int) -> Scores:
        """How often the two are bought by the same customers, corrected for how common they are."""
        similar: Scores = self.similarity_[place].toarray()[0]
        return similar

    def likeness_between(self, rows: Places, columns: Places) -> Scores:
        near: Scores = self.similarity_[rows][:, columns].toarray()
        return near
