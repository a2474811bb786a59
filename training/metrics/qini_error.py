"""Qini's interval and paired differences without a bootstrap: from each customer's influence on it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.intervals import Influenced
from training.metrics.uplift import PER, Array, Ranking, area


def qini_estimate(ranking: Ranking, unit: NDArray[np.intp]) -> Influenced:
    """Qini and how it changes with the weight of each unit: the infinitesimal jackknife (Jaeckel 1972, Efron 1982).

    Its standard error is what a bootstrap over units goes to with more units, and it is exact in the point.
    """
    value = area(ranking.curve())
    influence = np.bincount(unit[ranking.order], _influence(ranking, value), minlength=int(unit.max()) + 1)
    return Influenced(value, influence.astype(np.float64))


def _influence(ranking: Ranking, value: float) -> Array:
    """Per ranked row: its weight times the derivative of Qini by that weight.

    With sums up to the end of group g, gain(g) = Y_t - Y_c N_t / N_c and N = N_t + N_c at the end:
    Qini = PER U / (N T), T = N_t at the end, U = sum of (gain(g-1) + gain(g)) / 2 x rows of g - gain(end) N / 2.
    """
    treated, outcome, weight = ranking.treated, ranking.outcome, ranking.weight
    given, kept = weight * treated, weight * (1 - treated)
    n_t, n_c, y_t, y_c = (ranking.sums(values) for values in (given, kept, given * outcome, kept * outcome))
    ratio, mean = _divided(n_t, n_c), _divided(y_c, n_c)
    gain, everybody = y_t - y_c * ratio, n_t[-1] + n_c[-1]
    rows = np.diff(n_t + n_c, prepend=0.0)
    share = (rows + np.append(rows[1:], 0.0)) / 2  # of gain(g) in U
    share[-1] -= everybody / 2
    group = np.repeat(np.arange(len(rows)), np.diff(ranking.ends, prepend=-1))
    by_given = outcome * _rest(share)[group] - _rest(share * mean)[group]
    by_kept = outcome * _rest(share * ratio)[group] - _rest(share * ratio * mean)[group]
    middle = (np.append(0.0, gain[:-1]) + gain - gain[-1]) / 2
    change = weight * middle[group] + given * by_given - kept * by_kept
    result: Array = PER * change / (everybody * n_t[-1]) - value * (weight / everybody + given / n_t[-1])
    return result


def _rest(values: Array) -> Array:
    """The sum from each place to the end."""
    result: Array = np.cumsum(values[::-1])[::-1]
    return result


def _divided(values: Array, by: Array) -> Array:
    """0 where nothing is there to divide by."""
    result: Array = np.divide(values, by, out=np.zeros_like(values), where=by > 0)
    return result
