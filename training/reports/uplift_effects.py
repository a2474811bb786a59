"""The effect in a group of customers, its error summed per customer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.metrics.uplift import Estimate, Trial


def clustered(trial: Trial, unit: NDArray[np.intp]) -> Estimate:
    """The average effect, its error from the sums per customer."""
    value, influence = 0.0, np.zeros(len(trial.outcome))
    for sign, rows in ((1.0, trial.treated), (-1.0, ~trial.treated)):
        mean = float(np.average(trial.outcome[rows], weights=trial.weight[rows]))
        share = trial.weight[rows] / trial.weight[rows].sum()
        influence[rows] = sign * share * (trial.outcome[rows] - mean)
        value += sign * mean
    return Estimate(value, float(np.sqrt((np.bincount(unit, influence) ** 2).sum())))
