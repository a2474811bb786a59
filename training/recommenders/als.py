"""ALS: implicit matrix factorisation (Hu, Koren, Volinsky 2008) with implicit's native solver.

    confidence c_ui = 1 + alpha w_ui where customer and item met, 1 elsewhere; preference 1 and 0
    customer u      = (Y'Y + Y'(C_u - 1)Y + reg)^-1 Y'C_u p_u       the closed form, for every history at answering
    score(u, i)     = y_i . u = sum over the history's items j of c_uj y_i' W_u y_j      so that it can be explained

The artefact holds the item factors Y and Y'Y + reg: a customer never seen is answered like a known one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from threadpoolctl import threadpool_limits

from features.interactions import Interactions
from training.recommenders.base import Reason
from training.recommenders.directions import cosines, lengths
from training.recommenders.factor_scorer import FactorScorer
from training.recommenders.fold_in import Folded, FoldIn, shaped
from training.recommenders.reasons import POPULAR, Alike, because, because_each
from training.recommenders.scorer import Places, Scores
from training.recommenders.search import Space, Span

if TYPE_CHECKING:
    from implicit.cpu.als import AlternatingLeastSquares


@dataclass
class Als(FactorScorer):
    """Latent factors of customers and items. `threads`: of the fit, 0 for all cores; the answer is the same."""

    name: ClassVar[str] = "als"
    search: ClassVar[Space] = {
        "factors": Span(32, 128, log=True),
        "alpha": Span(1.0, 200.0, log=True),
        "regularization": Span(1.0, 300.0, log=True),
    }
    factors: int = 64
    alpha: float = 30.0  # implicit's own default of 1 is its worst setting; 30 to 100 is right
    regularization: float = 100.0
    iterations: int = 15
    seed: int = 0
    threads: int = 0
    lengths_: NDArray[np.float32] = field(init=False, repr=False)
    gram_: NDArray[np.float32] = field(init=False, repr=False)

    def fit(self, interactions: Interactions) -> Self:
        super().fit(interactions)
        with threadpool_limits(1, "blas"):  # implicit's own threads would fight with those of BLAS
            solver = self._untrained(self.threads)
            solver.fit(self._confidences(interactions), show_progress=False)
        self._keep(solver.item_factors)
        return self

    def customers(self, histories: Interactions) -> NDArray[np.float32]:
        if len(histories.customers) == 1 and len(histories):
            return self._folded(histories).customers()
        return self._folding.customers(histories, self._confidence(histories))

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:
        if not len(history):
            return because(history, places, np.empty((0, len(places))))
        return because(history, places, self._folded(history).toward(places[None])[0])

    def explain_each(
        self, histories: Interactions, places: Sequence[Places], as_of: datetime | None
    ) -> Sequence[Sequence[Reason]]:
        if len(places) == 1:
            return super().explain_each(histories, places, as_of)
        found: list[Sequence[Reason]] = [[POPULAR] * len(some) for some in places]
        confidence, bought = self._confidence(histories), histories.purchases > 0
        for rows, pairs, some in shaped(histories.starts, places):
            item = histories.item[pairs]
            terms = self._folding.folded(item, confidence[pairs]).toward(some)
            said = because_each(Alike(self.items_, item, bought[pairs], some), terms)
            for row, reasons in zip(rows.tolist(), said, strict=True):
                found[row] = reasons
        return found

    def likeness(self, place: int) -> Scores:
        """Whether the factors point the same way: the cosine."""
        cosine: Scores = self.factors_ @ self.factors_[place] / (self.lengths_ * self.lengths_[place])
        return cosine

    def likeness_between(self, rows: Places, columns: Places) -> Scores:
        return cosines(self.factors_[rows], self.factors_[columns])

    @cached_property
    def _folding(self) -> FoldIn:
        """The closed form for histories, made once for a fit or a load."""
        return FoldIn.of(self.factors_, self.gram_)

    def _folded(self, history: Interactions) -> Folded:
        """One customer's history, folded in once: who asks for the answer asks for its reasons next."""
        kept: Folded | None = history.remembered.get(self._folding)
        if kept is None:
            kept = self._folding.folded(history.item[None], self._confidence(history)[None])
            history.remembered[self._folding] = kept
        return kept

    def _untrained(self, threads: int) -> AlternatingLeastSquares:
        from implicit.cpu.als import AlternatingLeastSquares  # who answers does not need it

        return AlternatingLeastSquares(
            factors=self.factors,
            regularization=self.regularization,
            alpha=1.0,  # the confidences carry it
            iterations=self.iterations,
            num_threads=threads,
            random_state=self.seed,
        )

    def _keep(self, factors: NDArray[np.float32]) -> None:
        self.factors_ = np.ascontiguousarray(factors, dtype=np.float32)
        self.lengths_ = lengths(self.factors_)
        ridge = self.regularization * np.eye(self.factors, dtype=np.float32)
        self.gram_ = self.factors_.T @ self.factors_ + ridge

    def _confidences(self, interactions: Interactions) -> sparse.csr_matrix:
        matrix = interactions.matrix.copy()
        matrix.data = 1 + np.float32(self.alpha) * matrix.data
        return matrix

    def _confidence(self, histories: Interactions) -> NDArray[np.float32]:
        return (1 + np.float32(self.alpha) * histories.weight).astype(np.float32)
