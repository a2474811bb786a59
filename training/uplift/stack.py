"""Stack: weights of several predictions of an effect, and how far their sum is to be believed.

Each prediction is first scaled to its own calibration, drawn towards 1. The weights then minimise the doubly robust
loss of the sum over w >= 0 (the average effect stays as it is). The loss is so noisy that its minimum alone picks what
was lucky: weights are drawn towards a prior, the harder the more noise there is. The prior is by exponential weights
(Leung and Barron 2006), near an even mean where the predictions cannot be told apart and near the best one where they
can.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.uplift.bases import Matrix

SPREAD = 0.2  # standard deviation of a weight about its prior: of .05 to 1 the smallest regret in ten simulated worlds
LEAST = 0.05  # share of the weights below which a prediction is not worth its model
OWN, MOST = 0.3, 2.0  # standard deviation of a prediction's calibration about 1, and the most that it may be
TRUST = 0.1  # of the factor about 1: the scaled predictions' sum is exaggerated where they are all lucky, and rarely
HEAT = 16.0  # temperature of the prior; the 4 of theory picks the lucky ones where effects are weak


@dataclass(frozen=True)
class Stack:
    """`weights` per prediction; `factor`: what is left of the weighted sum, centred, after shrinking to calibration.

    `error`: the standard error of the calibration slope that the factor comes from. `sums`: the weighted sums of the
    rows that were learned from, out of fold, with weights from the other folds.
    """

    weights: Matrix
    factor: float
    error: float
    sums: Matrix


def stacked(score: Matrix, predictions: Matrix, weight: Matrix, fold: NDArray[np.intp], believed: Matrix) -> Stack:
    """The stack of these out-of-fold predictions (rows x candidates); its slope is of weights from other folds.

    `believed`: per candidate how likely it is to be the best, before any outcome, up to a constant.
    """
    from training.metrics.uplift import slope

    centred = centred_in(predictions, weight, fold)
    sums = np.zeros(len(score))
    for number in (folds := np.unique(fold)):
        rows = fold == number
        others = ~rows if len(folds) > 1 else rows  # one fold has no other
        sums[rows] = centred[rows] @ _weights(score[others], centred[others], weight[others], believed)
    found = slope(score, sums, weight)
    factor, error = _factor(found.value, found.standard_error)
    return Stack(_weights(score, centred, weight, believed), factor, error, sums)


def centred_in(predictions: Matrix, weight: Matrix, fold: NDArray[np.intp]) -> Matrix:
    """The predictions less their mean in each fold: what is left tells customers apart, not folds."""
    centred = np.array(predictions, dtype=np.float64)
    for number in np.unique(fold):
        rows = fold == number
        centred[rows] -= np.average(centred[rows], axis=0, weights=weight[rows])
    return centred


def _factor(value: float, error: float) -> tuple[float, float]:
    # The mean after a slope seen with this error, of a normal prior about 1 (Lindley and Smith 1972), within 0 and 1.
    if not np.isfinite(value):
        return 0.0, 0.0  # no spread, nothing to shrink
    seen = TRUST**2 / (TRUST**2 + error**2)
    return float(np.clip(1 + seen * (value - 1), 0.0, 1.0)), error


def _weights(score: Matrix, centred: Matrix, weight: Matrix, believed: Matrix) -> Matrix:
    gram = (centred * weight[:, None]).T @ centred / weight.sum()
    spread = np.sqrt(np.diag(gram))
    used = spread > 1e-9 * max(float(spread.max(initial=0.0)), 1e-300)
    result = np.zeros(centred.shape[1])
    if not used.any():
        return result
    around = score - np.average(score, weights=weight)
    gain = centred[:, used].T @ (weight * around) / weight.sum()
    noise = max(float(np.average(around**2, weights=weight) / weight.sum()), 1e-300)
    result[used] = _drawn(gram[np.ix_(used, used)], gain, noise, believed[used])
    kept = result >= LEAST * result.sum()
    return np.asarray(result * kept * (result.sum() / max(float(result[kept].sum()), 1e-300)))


def _drawn(gram: Matrix, gain: Matrix, noise: float, believed: Matrix) -> Matrix:
    squared, alike = np.diag(gram), noise / OWN**2
    own = np.clip((gain + alike) / (squared + alike), 0.0, MOST)  # so that one that exaggerates can help
    alone = own * (2 * gain - own * squared)  # how much smaller than that of the average effect its loss is
    prior = believed * np.exp((alone - alone.max()) / (HEAT * noise))
    pull = noise / SPREAD**2
    drawn = gram * np.outer(own, own) + pull * np.eye(len(gram))
    return own * _least(drawn, own * gain + pull * prior / prior.sum())


def _least(gram: Matrix, gain: Matrix) -> Matrix:
    """The w >= 0 that minimises w gram w - 2 gain w."""
    from scipy.optimize import nnls

    scale = float(np.trace(gram))
    root = np.linalg.cholesky(gram / scale + 1e-9 * np.eye(len(gram)))
    return np.asarray(nnls(root.T, np.linalg.solve(root, gain / scale))[0])
