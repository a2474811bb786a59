"""Softmax: factors by which a customer chooses one item among all, a multinomial logit.

    p(i | u)  = exp(b_i + u . v_i) / sum over all items j of exp(b_j + u . v_j)
    maximised = sum over customers and items of n_ui log p(i | u) - regularization / 2 (|U|^2 + |V|^2)
    n_ui      = weight^damping; at damping 0 every item that a customer met counts once
    score     = p(i | u) with b_i as it is lately: tastes stay, what everybody chooses changes with the season

The multinomial likelihood lets items compete for a choice (Liang and others 2018). U and V are solved in turn by
Newton's method, from a correspondence analysis; the u of every history is solved at answering, a known customer's too.
A step costs customers * items * factors^2, some customers at a time: it is meant for catalogues up to `densest` items.
Of a larger one only the items that most customers had are modelled; it has no opinion on the others.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from features.interactions import Interactions
from training.recommenders.base import Reason
from training.recommenders.directions import Matrix, cosines
from training.recommenders.gram import shortened
from training.recommenders.low_rank import decomposed
from training.recommenders.popularity import recent
from training.recommenders.reasons import because
from training.recommenders.scorer import Places, Scorer, Scores
from training.recommenders.search import Space, Span

CELLS = 2_000_000  # probabilities held at once: 8 MB
STEPS = 30  # of Newton at most; from nothing five to ten are taken
STILL = 1e-3  # change of the log of a probability: one more step would change its square
START = 0.5  # of the standard deviation that correspondence analysis gives the factors
STEADY = 1.0  # choices that an item's lately and before are both raised by
TINY = 1e-6  # so that what is shared by all factors can be divided by

Solved = NDArray[np.float64]


@dataclass
class Softmax(Scorer):
    """Probabilities of the next choice. `half_life_days`: of how much everybody chooses an item; None: all of the log.

    `damping`: 0 counts an item once, 1 by its weight.
    """

    name: ClassVar[str] = "softmax"
    search: ClassVar[Space] = {
        "factors": Span(4, 32, log=True),
        "regularization": Span(0.3, 30.0, log=True),
        "damping": Span(0.0, 1.0),
    }
    factors: int = 8
    regularization: float = 3.0
    damping: float = 0.0
    half_life_days: float | None = 30.0
    iterations: int = 15
    densest: int = 10_000
    seed: int = 0
    bias_: Matrix = field(init=False, repr=False)  # of the modelled items, over all of the log
    lately_: Matrix = field(init=False, repr=False)  # what to add to it now
    factors_: Matrix = field(init=False, repr=False)  # 0 for the others
    places_: NDArray[np.int64] = field(init=False, repr=False)  # of the modelled items, sorted

    def fit(self, interactions: Interactions) -> Self:
        super().fit(interactions)
        log = shortened(interactions.bought_together)
        buyers = np.bincount(log.item, minlength=len(self.items_))
        densest = np.argsort(-buyers, kind="stable")[: self.densest]
        self.places_ = np.sort(densest[buyers[densest] > 0])
        counts = self._counts(log)
        self.bias_, factors = self._start(counts)
        customers = np.zeros((counts.shape[0], factors.shape[1]), np.float32)
        for _ in range(self.iterations):
            self.bias_, factors = self._turn(counts, customers, factors)
        self.factors_ = np.zeros((len(self.items_), factors.shape[1]), np.float32)
        self.factors_[self.places_] = factors
        self.lately_ = self._lately(log, customers)
        return self

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        counts, near = self._counts(histories), self.factors_[self.places_]
        scores = np.zeros((len(histories.customers), len(self.items_)), dtype=np.float32)
        for rows in blocks(counts):
            chosen = probabilities(self._customers(counts[rows]), self.bias_ + self.lately_, near)
            chosen[np.diff(counts.indptr[rows.start : rows.stop + 1]) == 0] = 0
            scores[rows, self.places_] = chosen
        return scores

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:
        """At the best u the gradient is 0: regularization u = sum of n_j (v_j - mean), so that u . v_i is a sum."""
        counts, near = self._counts(history), self.factors_[self.places_]
        mean = probabilities(self._customers(counts), self.bias_, near) @ near
        terms = (self.factors_[history.item] - mean) @ (self.factors_[places] - mean).T
        return because(history, places, history.weight[:, None] ** self.damping * terms)

    def likeness(self, place: int) -> Scores:
        """Whether the factors point the same way: the cosine."""
        cosine: Scores = cosines(self.factors_[[place]], self.factors_)[0]
        return cosine

    def likeness_between(self, rows: Places, columns: Places) -> Scores:
        return cosines(self.factors_[rows], self.factors_[columns])

    def _counts(self, histories: Interactions) -> sparse.csr_matrix:
        """n over the modelled items."""
        weight = histories.weight.astype(np.float32) ** np.float32(self.damping)
        counts: sparse.csr_matrix = replace(histories, weight=weight).matrix[:, self.places_]
        return counts

    def _customers(self, counts: sparse.csr_matrix) -> Matrix:
        near = self.factors_[self.places_]
        start = np.zeros((counts.shape[0], near.shape[1]), np.float32)
        return solved(counts, self.bias_, near, self.regularization, start, STEPS)

    def _start(self, counts: sparse.csr_matrix) -> tuple[Matrix, Matrix]:
        """The log of the items' shares, and the factors of a correspondence analysis."""
        total, item = totals(counts)
        share = item / item.sum()
        inverse = sparse.diags(1 / np.sqrt(np.maximum(total, TINY)))
        normal = (inverse @ counts @ sparse.diags(1 / np.sqrt(item))).astype(np.float32)
        _, vectors = decomposed(normal.tocsr(), self.factors + 1, self.seed)
        factors = START * vectors[:, 1:] / np.sqrt(share)[:, None]  # the first says what is popular
        return np.log(share).astype(np.float32), factors.astype(np.float32)

    def _turn(self, counts: sparse.csr_matrix, customers: Matrix, factors: Matrix) -> tuple[Matrix, Matrix]:
        """Bias and factors after a step of the customers, written to their place, and then one of the items.

        The items' curvature is taken item by item: more than the true one, so that the step is never too long.
        """
        width = factors.shape[1] + 1
        slope: Solved = np.zeros((len(factors), width))
        curve: Solved = np.zeros((len(factors), width, width))
        for rows in blocks(counts):
            part = counts[rows]
            customers[rows] = solved(part, self.bias_, factors, self.regularization, customers[rows], 1)
            expected = probabilities(customers[rows], self.bias_, factors)
            expected *= totals(part)[0][:, None].astype(np.float32)
            beside = np.hstack([np.ones((part.shape[0], 1), np.float32), customers[rows]])
            slope += part.T @ beside - expected.T @ beside
            curve += squares(expected.T, beside)
        prior = np.r_[TINY, np.full(width - 1, self.regularization)]
        now = np.hstack([self.bias_[:, None], factors]).astype(np.float64)
        now += np.linalg.solve(curve + np.diag(prior), (slope - prior * now)[:, :, None])[:, :, 0]
        return now[:, 0].astype(np.float32), now[:, 1:].astype(np.float32)

    def _lately(self, log: Interactions, customers: Matrix) -> Matrix:
        """Per item the log of how often it is chosen lately, against what these customers would choose at any time."""
        if self.half_life_days is None:
            return np.zeros_like(self.bias_)
        once = replace(log, weight=log.weight**self.damping)
        counts = recent(once, self.half_life_days).matrix[:, self.places_]
        total, found = totals(counts)
        near, expected = self.factors_[self.places_], np.zeros(len(found))
        for rows in blocks(counts):
            expected += total[rows] @ probabilities(customers[rows], self.bias_, near)
        return np.log((found + STEADY) / (expected + STEADY)).astype(np.float32)


def probabilities(customers: Matrix, bias: Matrix, factors: Matrix) -> Matrix:
    """p of the formula above, customers x items."""
    value: Matrix = customers @ factors.T
    value += bias
    value -= value.max(axis=1, keepdims=True)
    np.exp(value, out=value)
    value /= value.sum(axis=1, keepdims=True)
    return value


def solved(
    counts: sparse.csr_matrix, bias: Matrix, factors: Matrix, regularization: float, start: Matrix, steps: int
) -> Matrix:
    """The best u of every row. A step that changes log p by d is cut to log(1 + d): it never fails to climb.

    Newton's method for generalised self-concordant functions: Sun and Tran-Dinh 2019.
    """
    total, target = totals(counts)[0][:, None], counts @ factors
    customers, prior = start.astype(np.float64), regularization * np.eye(factors.shape[1])
    for _ in range(steps):
        chosen = probabilities(customers.astype(np.float32), bias, factors)
        mean = (chosen @ factors).astype(np.float64)
        slope = target - total * mean - regularization * customers
        curve = squares(chosen, factors) - mean[:, :, None] * mean[:, None, :]
        step = np.linalg.solve(total[:, :, None] * curve + prior, slope[:, :, None])[:, :, 0]
        far = np.ptp(step.astype(np.float32) @ factors.T, axis=1)[:, None]
        customers += step * np.log1p(far) / np.maximum(far, TINY)
        if far.max() < STILL:
            break
    return customers.astype(np.float32)


def squares(weights: Matrix, rows: Matrix) -> Solved:
    """Per row of the weights the weighted sum of the rows' outer products."""
    width = rows.shape[1]
    first, second = np.triu_indices(width)
    flat = weights @ (rows[:, first] * rows[:, second])
    found = np.empty((len(flat), width, width))
    found[:, first, second] = flat
    found[:, second, first] = flat
    return found


def totals(counts: sparse.csr_matrix) -> tuple[Solved, Solved]:
    """The sums of the rows and of the columns."""
    return counts.sum(axis=1, dtype=np.float64).A1, counts.sum(axis=0, dtype=np.float64).A1


def blocks(counts: sparse.csr_matrix) -> Iterator[slice]:
    """Runs of rows with `CELLS` probabilities each."""
    rows, size = counts.shape[0], max(1, CELLS // counts.shape[1])
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))
