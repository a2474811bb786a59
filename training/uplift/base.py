"""The protocol of an uplift model, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from features.exposures import Exposures
from features.table import FeatureTable


@dataclass(frozen=True)
class Effects:
    """Per customer (rows) and offer (columns) the expected change of the outcome against no offer.

    In units of the outcome per customer; `standard_error` has the same shape, NaN where a learner has none.
    """

    offers: tuple[str, ...]
    effect: NDArray[np.float64]
    standard_error: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.effect)


class UpliftModel(Protocol):
    """One learner per file; constructed with plain parameters, learned state ends with `_`."""

    name: ClassVar[str]

    def fit(self, table: FeatureTable, exposures: Exposures, outcome: NDArray[np.float64]) -> Self:
        """The model, learned from rows that were exposed to an offer or to none."""
        ...

    def effect(self, table: FeatureTable) -> Effects:
        """The effects for these customers; the model is not changed."""
        ...

    def effect_for(self, values: Mapping[str, float | str | None]) -> Effects:
        """The effects for one customer, given as plain values; None: unknown."""
        ...

    def save(self, folder: Path) -> None:
        """Writes JSON, npz and LightGBM text models that `load` reads; never a pickle."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self: ...
