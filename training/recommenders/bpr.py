"""BPR: factors by which a customer's items stand above others (Rendle and others 2009), learned by implicit.

    x(u, i)     = p_u . y_i + b_i            learned from pairs of an item that u met and one that u did not meet
    p_h         = (sum over the history's items j of share_j y_j) T      share_j: of weight^damping, sums to 1
    T           = the ridge regression of the learned p_u on that mean, over the customers of the fit
    score(h, i) = x(h, i) - the least x(h, .)

Every history is folded in by T, a known customer's too: the artefact holds no customer, and the answer needs no draw.
One thread with one seed gives the same bits; several threads write over each other, and each fit differs a little.
Meant for any catalogue: time grows with pairs * `iterations` * `factors`, memory with (items + customers) * `factors`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
from scipy import linalg

from features.interactions import Interactions
from training.recommenders.base import Reason
from training.recommenders.directions import Matrix, cosines, lengths, shares
from training.recommenders.reasons import because
from training.recommenders.scorer import Places, Scorer, Scores
from training.recommenders.search import Space, Span


@dataclass
class Bpr(Scorer):
    """Pairwise factors. `ridge`: of the regression that folds in, as a share of its mean variance."""

    name: ClassVar[str] = "bpr"
    search: ClassVar[Space] = {
        "learning_rate": Span(0.005, 0.3, log=True),
        "regularization": Span(0.0001, 0.1, log=True),
    }
    factors: int = 64
    learning_rate: float = 0.05
    regularization: float = 0.01
    iterations: int = 100
    damping: float = 0.5
    ridge: float = 0.01
    seed: int = 0
    threads: int = 1
    factors_: Matrix = field(init=False, repr=False)
    bias_: Matrix = field(init=False, repr=False)
    turn_: Matrix = field(init=False, repr=False)

    def fit(self, interactions: Interactions) -> Self:
        from implicit.cpu.bpr import BayesianPersonalizedRanking  # who answers does not need it

        super().fit(interactions)
        learner = BayesianPersonalizedRanking(
            factors=self.factors,
            learning_rate=self.learning_rate,
            regularization=self.regularization,
            iterations=self.iterations,
            num_threads=self.threads,
            random_state=self.seed,
        )
        learner.fit(interactions.matrix, show_progress=False)
        self.factors_ = np.ascontiguousarray(learner.item_factors[:, :-1])
        self.bias_ = np.ascontiguousarray(learner.item_factors[:, -1], dtype=np.float32)  # implicit's last column
        self.turn_ = self._turn(interactions, learner.user_factors[:, :-1])
        return self

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        known = self.popularity_ > 0
        customers: Matrix = self._means(histories) @ self.turn_
        scores: Scores = customers @ self.factors_.T
        scores += self.bias_
        least: Matrix = scores[:, known].min(axis=1, keepdims=True)
        scores -= least
        scores[:, ~known] = 0
        scores[np.diff(histories.starts) == 0] = 0
        return scores

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:
        near = self.factors_[history.item] * shares(history, self.damping).data[:, None]
        return because(history, places, near @ self.turn_ @ self.factors_[places].T)

    def likeness(self, place: int) -> Scores:
        """Whether the factors point the same way: the cosine."""
        cosine: Scores = self.factors_ @ self.factors_[place] / (self._lengths * self._lengths[place])
        return cosine

    def likeness_between(self, rows: Places, columns: Places) -> Scores:
        return cosines(self.factors_[rows], self.factors_[columns])

    @cached_property
    def _lengths(self) -> Matrix:
        """The lengths of the items' factors, made once for a fit or a load."""
        return lengths(self.factors_)

    def _turn(self, interactions: Interactions, learned: Matrix) -> Matrix:
        """From the mean of a history's factors to the factors that were learned for its customer."""
        means = self._means(interactions)
        inner = (means.T @ means).astype(np.float64)
        inner[np.diag_indices_from(inner)] += self.ridge * np.trace(inner) / len(inner)
        turn = linalg.solve(inner, (means.T @ learned).astype(np.float64), assume_a="pos")
        return np.asarray(turn, dtype=np.float32)

    def _means(self, histories: Interactions) -> Matrix:
        means: Matrix = shares(histories, self.damping) @ self.factors_
        return means
