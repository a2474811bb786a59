"""Encoder: a FeatureTable as a float matrix, learned from training rows only and kept as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isfinite, nan
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.table import Feature, FeatureTable

Matrix = NDArray[np.float64]
Values = Mapping[str, float | str | None]  # of one customer; None: unknown


@dataclass(frozen=True)
class Encoder:
    """What the training rows said about each column: mean and scale of numbers, the values of categories."""

    columns: tuple[str, ...]
    numbers: Mapping[str, tuple[float, float, bool]]  # mean, scale, whether it was ever unknown
    categories: Mapping[str, tuple[str, ...]]

    @classmethod
    def fit(cls, table: FeatureTable) -> Encoder:
        """The encoder of these training rows."""
        categories = _categories(table.frame)
        names = [name for name in table.frame.columns if name not in categories]
        numbers = {name: _moments(_floats(table.frame[name])) for name in names}
        return cls(tuple(table.frame.columns), numbers, categories)

    @classmethod
    def of_codes(cls, table: FeatureTable) -> Encoder:
        """The same without what only `linear` needs to know about numbers."""
        return cls(tuple(table.frame.columns), {}, _categories(table.frame))

    @property
    def category_positions(self) -> list[int]:
        """Where `codes` holds categories."""
        return [i for i, name in enumerate(self.columns) if name in self.categories]

    @property
    def linear_names(self) -> list[str]:
        """The feature that each column of `linear` comes from."""
        widths = {name: len(values) for name, values in self.categories.items()}
        widths |= {name: 1 + indicated for name, (_, _, indicated) in self.numbers.items()}
        return [name for name in self.columns for _ in range(widths[name])]

    def linear(self, table: FeatureTable) -> Matrix:
        """Standardised numbers (unknown: the mean, with an indicator) and one column per category seen in training."""
        self._check(table)
        parts = [np.empty((len(table), 0))]
        for name in self.columns:
            column = table.frame[name]
            parts.append(self._one_hot(name, column) if name in self.categories else self._standard(name, column))
        return np.hstack(parts)

    def linear_row(self, values: Values) -> Matrix:
        """As `linear`, of one customer's plain values: a table of one row costs a hundred times as much."""
        self._check_names(list(values))
        parts: list[float] = []
        for name in self.columns:
            value = values[name]
            if name in self.categories:
                text = value if isinstance(value, str) else None if value is None else str(float(value))
                parts += [float(said == text) for said in self.categories[name]]
            else:
                mean, scale, indicated = self.numbers[name]
                number = _number(name, value)
                parts.append(0.0 if number is None else (number - mean) / scale)
                parts += [float(number is None)] if indicated else []
        return np.array([parts])

    def codes(self, table: FeatureTable) -> Matrix:
        """Numbers as they are and categories as positions; unknown and unseen are NaN."""
        self._check(table)
        matrix = np.empty((len(table), len(self.columns)), order="F")  # written and read column by column
        for position, name in enumerate(self.columns):
            column = table.frame[name]
            matrix[:, position] = self._code(name, column) if name in self.categories else _numbers(name, column)
        return matrix

    def to_json(self) -> dict[str, Any]:
        return {
            "columns": list(self.columns),
            "numbers": {name: list(value) for name, value in self.numbers.items()},
            "categories": {name: list(value) for name, value in self.categories.items()},
        }

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Encoder:
        numbers = {name: (float(a), float(b), bool(c)) for name, (a, b, c) in raw["numbers"].items()}
        return cls(tuple(raw["columns"]), numbers, {name: tuple(v) for name, v in raw["categories"].items()})

    def _standard(self, name: str, column: pd.Series) -> Matrix:
        mean, scale, indicated = self.numbers[name]
        values = _numbers(name, column)
        unknown = np.isnan(values)
        standard = np.where(unknown, 0.0, (values - mean) / scale)
        return np.column_stack([standard, unknown]) if indicated else standard[:, None]

    def _code(self, name: str, column: pd.Series) -> Matrix:
        codes, values = pd.factorize(column)
        places = pd.Index(self.categories[name], dtype=object).get_indexer(pd.Index(_texts(values), dtype=object))
        known = np.append(np.where(places < 0, np.nan, places), np.nan)  # the last is what factorize calls -1: unknown
        return np.asarray(known[codes], dtype=np.float64)

    def _one_hot(self, name: str, column: pd.Series) -> Matrix:
        codes = self._code(name, column)
        hot: Matrix = (codes[:, None] == np.arange(len(self.categories[name]))[None, :]).astype(np.float64)
        return hot

    def _check(self, table: FeatureTable) -> None:
        self._check_names(list(table.frame.columns))

    def _check_names(self, given: list[str]) -> None:
        if sorted(given) != sorted(self.columns):
            missing = [name for name in self.columns if name not in given]
            extra = [name for name in given if name not in self.columns]
            raise ValueError(
                f"feature table lacks the columns {missing} and has {extra} besides; "
                f"the model was trained on {list(self.columns)} (feature table)"
            )


def one_row(values: Values) -> FeatureTable:
    """One customer's plain values as a table."""
    columns = {
        name: pd.Series([value], dtype="category" if isinstance(value, str) else np.float64)
        for name, value in values.items()
    }
    return FeatureTable(pd.DataFrame(columns), tuple(Feature(name, "given", "", "") for name in values))


def _is_category(column: pd.Series) -> bool:
    return not pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _categories(frame: pd.DataFrame) -> dict[str, tuple[str, ...]]:
    names = [name for name in frame.columns if _is_category(frame[name])]
    return {name: tuple(sorted(set(_texts(pd.factorize(frame[name])[1])))) for name in names}


def _texts(values: Iterable[Any]) -> list[str]:
    return [str(value) for value in values]


def _numbers(name: str, column: pd.Series) -> Matrix:
    try:
        return _floats(column)
    except (TypeError, ValueError):
        raise _no_number(name, next(value for value in column if not isinstance(value, int | float))) from None


def _number(name: str, value: float | str | None) -> float | None:
    """The value; None where it is unknown."""
    try:
        number = nan if value is None else float(value)
    except ValueError:
        raise _no_number(name, value) from None
    return number if isfinite(number) else None


def _no_number(name: str, given: object) -> ValueError:
    return ValueError(f"{name} == {given!r}, must be a number, as it was in training (feature table)")


def _floats(column: pd.Series) -> Matrix:
    values = column.to_numpy(dtype=np.float64, na_value=np.nan)
    finite = np.isfinite(values)
    return values if finite.all() else np.where(finite, values, np.nan)


def _moments(values: Matrix) -> tuple[float, float, bool]:
    known = values[~np.isnan(values)]
    if not len(known):
        return 0.0, 1.0, True
    scale = float(known.std())
    return float(known.mean()), scale if scale > 0 else 1.0, bool(len(known) < len(values))
