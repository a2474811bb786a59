"""Blend: what a stack of candidates, refit on all rows, says about one offer, and how sure it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from training.uplift.bases import Matrix
from training.uplift.out_of_fold import OutOfFold
from training.uplift.stack import Stack


@dataclass(frozen=True)
class Blend:
    """effect(x) = average + factor (s(x) - centre), s the weighted sum of the candidates' effects.

    Its variance is the sum of two: that of the average, and that of s, a jackknife over the folds: (folds - 1) times
    the squared distance between s of a row and s by models and weights that were learned without the row's fold, as a
    constant and a multiple of (s - centre)^2 (`disagreement`), at least the variance of the factor and what was shrunk
    away squared: both are of the scale of s, on which the folds disagree too. It is not shrunk: what was shrunk away
    may be there. What no candidate sees of a customer is in neither.
    """

    weights: Sequence[float]
    average: float
    average_error: float
    centre: float
    factor: float
    factor_error: float
    disagreement: Sequence[float]

    def answer(self, effects: Matrix) -> tuple[Matrix, Matrix]:
        """Effect and standard error, from the effects of the candidates (rows x candidates)."""
        above = effects @ np.asarray(self.weights, dtype=np.float64) - self.centre
        constant, multiple = self.disagreement
        variance = constant + max(multiple, self.factor_error**2, (1 - self.factor) ** 2) * above**2
        return self.average + self.factor * above, np.sqrt(self.average_error**2 + variance)


def blended(found: OutOfFold, offer: int, stack: Stack, weights: Matrix, effects: Matrix) -> Blend:
    """The blend; `effects` are those of the candidates with a weight, refit, on the rows they learned from."""
    sums = effects @ weights
    centre = float(np.average(sums, weights=found.people))
    average, error = _average(found, offer)
    return Blend(
        weights=weights.tolist(),
        average=average,
        average_error=error,
        centre=centre,
        factor=stack.factor,
        factor_error=stack.error,
        disagreement=_disagreement(sums - centre, stack.sums, found),
    )


def _average(found: OutOfFold, offer: int) -> tuple[float, float]:
    # Of steady scores; how far all scores are from them, beyond their noise, is an error too.
    share = found.people / found.people.sum()
    value, error = _mean(found.steady[:, offer], share, found)
    apart, noise = _mean(found.score[:, offer] - found.steady[:, offer], share, found)
    return value, float(np.sqrt(error**2 + max(apart**2 - noise**2, 0.0)))


def _mean(score: Matrix, share: Matrix, found: OutOfFold) -> tuple[float, float]:
    # Errors are summed per customer first.
    value = float(share @ score)
    return value, float(np.sqrt((np.bincount(found.unit, share * (score - value)) ** 2).sum()))


def _disagreement(refit: Matrix, left_out: Matrix, found: OutOfFold) -> list[float]:
    from scipy.optimize import nnls

    folds = len(np.unique(found.fold))
    root = np.sqrt(found.people)
    columns = np.column_stack([np.ones(len(refit)), refit**2]) * root[:, None]
    scale = np.maximum(np.linalg.norm(columns, axis=0), 1e-300)
    found_, _ = nnls(columns / scale, root * (folds - 1) * (refit - left_out) ** 2)
    return [float(value) for value in found_ / scale]
