"""FeatureTable: what is known about each customer as of a moment, one row each."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from numpy.typing import NDArray


@dataclass(frozen=True)
class Feature:
    """One column: its family, unit (`days`, `EUR`, `count`, `share`, `category`, ...) and a sentence on its meaning."""

    name: str
    family: str
    unit: str
    sentence: str


@dataclass(frozen=True)
class FeatureTable:
    """Rows are customers. `frame` holds feature columns only: float64 numbers (NaN: unknown) and pandas categories.

    `customers` is None for logs without ids (row position is the identity); `as_of` is None where time is unknown.
    """

    frame: pd.DataFrame
    features: tuple[Feature, ...]
    customers: NDArray[np.object_] | None = None
    as_of: datetime | None = None

    def __post_init__(self) -> None:
        if list(self.frame.columns) != [feature.name for feature in self.features]:
            raise ValueError(
                f"feature table has the columns {list(self.frame.columns)}, "
                f"described are {[feature.name for feature in self.features]}; each column needs its description"
            )

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: NDArray[np.intp]) -> FeatureTable:
        """The table of these rows, in this order."""
        customers = None if self.customers is None else self.customers[rows]
        return FeatureTable(self.frame.iloc[rows].reset_index(drop=True), self.features, customers, self.as_of)

    def to_pandas(self) -> pd.DataFrame:
        """The features with the customer as index, for a notebook."""
        if self.customers is None:
            return self.frame
        return self.frame.set_axis(pd.Index(self.customers, name="customer"), axis=0)
