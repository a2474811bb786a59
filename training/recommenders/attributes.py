"""Attributes: what a catalogue says about its items, as columns of numbers that need no vocabulary.

item  name            category  price  colour        words, and whole values with their column's name, are hashed:
tea1  Green tea 100g  tea       4.90   green    ->   green tea 100g  category=tea  colour=green  name=...
                                                     each times 1 + log(items / those that have it), a row of length 1
                                                     beside them arcsinh(price), standardised, 0 where unknown
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api.types import is_numeric_dtype
from scipy import sparse

IGNORED = "stock"  # says when, not what
FAR = 3.0  # standard deviations: what is farther is a slip of the keyboard as often as an item
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Attributes:
    """How attributes become columns: learned from one catalogue, applied to any other."""

    rarity: NDArray[np.float32]  # per hashed column
    numeric: NDArray[np.str_]  # names of the columns that hold numbers
    centre: NDArray[np.float32]
    spread: NDArray[np.float32]

    @classmethod
    def of(cls, frame: pd.DataFrame, width: int) -> Self:
        """Learned from a catalogue's rows; `width` columns are hashed into."""
        having = np.bincount(_hashed(frame, width).indices, minlength=width)
        # A word of no item so far tells nothing, and must not make the others of its item look small.
        rarity = np.where(having > 0, np.log((1 + len(frame)) / (1 + having)) + 1, 0)
        numeric = [str(name) for name in frame.columns if is_numeric_dtype(frame[name]) and name != IGNORED]
        values = _numbers(frame, numeric)
        known = np.maximum((~np.isnan(values)).sum(axis=0), 1)
        centre = np.nansum(values, axis=0) / known
        spread = np.sqrt(np.nansum((values - centre) ** 2, axis=0) / known)
        parts = [np.asarray(part, np.float32) for part in (rarity, centre, np.where(spread > 0, spread, 1))]
        return cls(parts[0], np.array(numeric, dtype=np.str_), *parts[1:])

    def matrix(self, frame: pd.DataFrame) -> sparse.csr_matrix:
        """Rows of the catalogue x columns; a column that this catalogue lacks is unknown."""
        if not len(frame):
            return sparse.csr_matrix((0, len(self.rarity) + len(self.numeric)), dtype=np.float32)
        from sklearn.preprocessing import normalize  # who answers rarely needs it

        words = normalize(_hashed(frame, len(self.rarity)).multiply(self.rarity[None, :]).tocsr())
        apart = (_numbers(frame, self.numeric.tolist()) - self.centre) / self.spread
        numbers = np.clip(np.nan_to_num(apart), -FAR, FAR)
        return sparse.hstack([words, sparse.csr_matrix(numbers)], format="csr", dtype=np.float32)


def _hashed(frame: pd.DataFrame, width: int) -> sparse.csr_matrix:
    """1 where an item has a word or a value."""
    if not len(frame):
        return sparse.csr_matrix((0, width), dtype=np.float32)
    from sklearn.feature_extraction import FeatureHasher

    hasher = FeatureHasher(width, input_type="string", alternate_sign=False, dtype=np.float32)
    found: sparse.csr_matrix = hasher.transform(_tokens(frame))
    found.data[:] = 1
    return found


def _tokens(frame: pd.DataFrame) -> list[list[str]]:
    """Per item its words and values, each once."""
    told = [str(name) for name in frame.columns if not is_numeric_dtype(frame[name])]
    columns = [frame[name].tolist() for name in told]
    return [sorted(set(_said(told, row))) for row in zip(*columns, strict=True)] if told else [[]] * len(frame)


def _said(names: list[str], row: tuple[object, ...]) -> Iterator[str]:
    for name, value in zip(names, row, strict=True):
        if isinstance(value, str) and value:
            yield f"{name}={value.lower()}"
            yield from re.findall(r"\w+", value.lower())


def _numbers(frame: pd.DataFrame, names: list[str]) -> Numbers:
    """Items x columns, on a scale like the logarithm's that holds 0 and negative numbers; NaN where unknown."""
    values = np.full((len(frame), len(names)), np.nan)
    for place, name in enumerate(names):
        if name in frame.columns:
            values[:, place] = pd.to_numeric(frame[name], errors="coerce").to_numpy(np.float64, na_value=np.nan)
    values[np.isinf(values)] = np.nan
    return np.asarray(np.arcsinh(values), dtype=np.float64)
