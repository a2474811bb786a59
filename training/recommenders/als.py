"""ALS: implicit matrix factorisation (Hu, Koren, Volinsky 2008) with implicit's native solver.

    confidence c_ui = 1 + alpha w_ui where customer and item met, 1 elsewhere; preference 1 and 0
    customer u      = (Y'Y + Y'(C_u - 1)Y + reg)^-1 Y'C_u p_u       the closed form, for every history at answering
    score(u, i)     = y_i . u = sum over the history's items j of c_uj y_i' W_u y_j      so that it can be explained

The artefact holds the item factors Y and Y'Y: a customer never seen is answered like a known one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Self

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from numpy.typing import NDArray
from scipy import linalg, sparse
from threadpoolctl import threadpool_limits

from features.interactions import Interactions
from training.recommenders import stored
from training.recommenders.base import ItemFilter, Rankings, Reason
from training.recommenders.popularity import popularity
from training.recommenders.reasons import each, reasons_by_contribution
from training.recommenders.topk import aligned, filled, ranked, ranked_others

TINY = np.float32(1e-12)  # the length of an item without factors, so that nothing is divided by 0


@dataclass
class Als:
    """Latent factors of customers and items. `threads`: of the fit, 0 for all cores; the answer is the same."""

    name: ClassVar[str] = "als"
    factors: int = 64
    alpha: float = 30.0  # implicit's own default of 1 is its worst setting; 30 to 100 is right
    regularization: float = 100.0
    iterations: int = 15
    seed: int = 0
    threads: int = 0
    items_: NDArray[np.str_] = field(init=False, repr=False)
    popularity_: NDArray[np.float32] = field(init=False, repr=False)
    factors_: NDArray[np.float32] = field(init=False, repr=False)
    lengths_: NDArray[np.float32] = field(init=False, repr=False)
    gram_: NDArray[np.float32] = field(init=False, repr=False)

    def fit(self, interactions: Interactions) -> Self:
        self.items_ = stored.learnable(interactions).items
        self.popularity_ = popularity(interactions)
        with threadpool_limits(1, "blas"):  # implicit's own threads would fight with those of BLAS
            solver = self._untrained()
            solver.fit(self._confidences(interactions), show_progress=False)
        self._keep(solver.item_factors)
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
        """The items whose factors point the same way: the cosine."""
        place = min(int(np.searchsorted(self.items_, item)), len(self.items_) - 1)
        cosine = self.factors_ @ self.factors_[place] / (self.lengths_ * self.lengths_[place])
        return ranked_others(self.items_, filled(cosine, self.popularity_), item, k, items=items)

    def reasons(self, histories: Interactions, rankings: Rankings, *, as_of: datetime | None) -> list[list[Reason]]:  # noqa: ARG002  # the protocol's
        return reasons_by_contribution(self._contributions, aligned(histories, self.items_), rankings)

    def save(self, folder: Path) -> None:
        stored.write(
            folder, self, {"items": self.items_, "popularity": self.popularity_, "item_factors": self.factors_}
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        parameters, arrays = stored.read(folder)
        model = cls(**parameters)
        model.items_, model.popularity_ = arrays["items"], arrays["popularity"]
        model._keep(arrays["item_factors"])
        return model

    def _untrained(self) -> AlternatingLeastSquares:
        return AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.regularization,
            alpha=1.0,  # the confidences carry it
            iterations=self.iterations,
            num_threads=self.threads,
            random_state=self.seed,
        )

    def _keep(self, factors: NDArray[np.float32]) -> None:
        self.factors_ = np.ascontiguousarray(factors, dtype=np.float32)
        self.lengths_ = np.maximum(np.linalg.norm(self.factors_, axis=1), TINY)
        ridge = self.regularization * np.eye(self.factors, dtype=np.float32)
        self.gram_ = self.factors_.T @ self.factors_ + ridge

    def _confidences(self, interactions: Interactions) -> sparse.csr_matrix:
        matrix = interactions.matrix.copy()
        matrix.data = 1 + np.float32(self.alpha) * matrix.data
        return matrix

    def _scores(self, histories: Interactions) -> NDArray[np.float32]:
        customers = np.stack([self._customer(history) for history in each(histories)])
        scores: NDArray[np.float32] = customers @ self.factors_.T
        return scores

    def _customer(self, history: Interactions) -> NDArray[np.float32]:
        """The factors of one history; zeros for an empty one, which popularity then fills."""
        if not len(history):
            return np.zeros(self.factors, dtype=np.float32)
        near, confidence = self._near(history)
        vector: NDArray[np.float32] = linalg.cho_solve(self._solver(near, confidence), near.T @ confidence)
        return vector

    def _contributions(self, history: Interactions, item: int) -> NDArray[np.float32]:
        """Per pair of one customer's history what it adds to the score of this item."""
        near, confidence = self._near(history)
        toward = linalg.cho_solve(self._solver(near, confidence), self.factors_[item])
        terms: NDArray[np.float32] = confidence * (near @ toward)
        return terms

    def _near(self, history: Interactions) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        confidence = 1 + np.float32(self.alpha) * history.weight
        return self.factors_[history.item], confidence.astype(np.float32)

    def _solver(self, near: NDArray[np.float32], confidence: NDArray[np.float32]) -> tuple[NDArray[np.float32], bool]:
        matrix = self.gram_ + (near * (confidence - 1)[:, None]).T @ near
        factor: tuple[NDArray[np.float32], bool] = linalg.cho_factor(matrix, check_finite=False)
        return factor
