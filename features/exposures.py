"""Exposures: who was given which arm, with which probability. ExposureLog: a campaign's log, ready to learn from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.table import FeatureTable

CONTROL = "none"  # the name of the arm that got no offer, in every log


@dataclass(frozen=True)
class Exposures:
    """Arm, probability, weight and time per row; row i belongs to row i of the FeatureTable beside it.

    `arm`: the offer's key, or `CONTROL`. `probability`: of the arm that was given; NaN where unknown.
    `weight`: how many customers a row stands for. `time`: UTC, or None for logs that have none.
    """

    arm: NDArray[np.str_]
    probability: NDArray[np.float64]
    weight: NDArray[np.float64]
    time: NDArray[np.datetime64] | None = None

    def __post_init__(self) -> None:
        if not len(self.arm) == len(self.probability) == len(self.weight):
            raise ValueError(
                f"exposures have {len(self.arm)} arms, {len(self.probability)} probabilities and "
                f"{len(self.weight)} weights; one of each per row is needed"
            )

    def __len__(self) -> int:
        return len(self.arm)

    @property
    def offers(self) -> list[str]:
        """The arms that are offers, sorted; without `CONTROL`."""
        return sorted(set(self.arm.tolist()) - {CONTROL})

    def take(self, rows: NDArray[np.intp]) -> Exposures:
        """The exposures of these rows, in this order."""
        time = None if self.time is None else self.time[rows]
        return Exposures(self.arm[rows], self.probability[rows], self.weight[rows], time)


@dataclass(frozen=True)
class ExposureLog:
    """A campaign's log: features as of the exposure, exposures, and outcomes by name (float columns, one row each).

    `source` names where it came from; `customers` of the table is None where the log names none.
    """

    name: str
    source: str
    table: FeatureTable
    exposures: Exposures
    outcomes: pd.DataFrame
