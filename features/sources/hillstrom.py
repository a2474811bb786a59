"""MineThatData e-mail challenge (Hillstrom 2008): a randomised test of two mailings against none, 64,000 customers.

Enters as what it is: no customer ids (the row is the customer) and no times. Outcomes within two weeks of the mail:
visit and conversion (0 or 1) and spend (dollars). Each arm was drawn with probability 1/3.
"""

from __future__ import annotations

from pathlib import Path

import duckdb
import numpy as np
import pandas as pd

from features.exposures import CONTROL, ExposureLog, Exposures
from features.imports import relation
from features.table import Feature, FeatureTable

SOURCE = "hillstrom"
ARMS = {"Mens E-Mail": "mens-email", "Womens E-Mail": "womens-email", "No E-Mail": CONTROL}
OUTCOMES = ("visit", "conversion", "spend")
PROOF = "public data set without any identifier"
FEATURES = (
    Feature("recency", SOURCE, "months", "Months since the last purchase."),
    Feature("history_segment", SOURCE, "category", "Band of what was spent in the past year."),
    Feature("history", SOURCE, "USD", "What was spent in the past year."),
    Feature("mens", SOURCE, "flag", "1 where men's merchandise was bought in the past year."),
    Feature("womens", SOURCE, "flag", "1 where women's merchandise was bought in the past year."),
    Feature("zip_code", SOURCE, "category", "Kind of neighbourhood."),
    Feature("newbie", SOURCE, "flag", "1 for customers of the past twelve months."),
    Feature("channel", SOURCE, "category", "Where was bought in the past year."),
)


def read(path: Path) -> ExposureLog:
    """The file as an exposure log named `hillstrom`."""
    with duckdb.connect() as connection:
        source = relation(connection, path)
        needed = [feature.name for feature in FEATURES] + ["segment", *OUTCOMES]
        missing = [name for name in needed if name not in source.columns]
        if missing:
            raise ValueError(f"{path}: Hillstrom lacks the columns {missing}; it has {source.columns}")
        raw = source.df()
    arm = raw["segment"].astype(str).map(ARMS)
    if arm.isna().any():
        strange = sorted(set(raw["segment"][arm.isna()].astype(str)))[:3]
        raise ValueError(f"{path}: segment has {strange}; it must be one of {list(ARMS)}")
    rows = len(raw)
    exposures = Exposures(arm.to_numpy(np.str_), np.full(rows, 1 / len(ARMS)), np.ones(rows))
    return ExposureLog(SOURCE, SOURCE, FeatureTable(_features(raw, path), FEATURES), exposures, _outcomes(raw, path))


def _features(raw: pd.DataFrame, path: Path) -> pd.DataFrame:
    return pd.DataFrame(
        {
            feature.name: raw[feature.name].astype(str).astype("category")
            if feature.unit == "category"
            else _numbers(raw[feature.name], path)
            for feature in FEATURES
        }
    )


def _outcomes(raw: pd.DataFrame, path: Path) -> pd.DataFrame:
    return pd.DataFrame({name: _numbers(raw[name], path) for name in OUTCOMES})


def _numbers(values: pd.Series[float], path: Path) -> pd.Series[float]:
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.isna().any():
        row = int(np.flatnonzero(numbers.isna())[0])
        raise ValueError(f"{path}: {values.name} == {values.iloc[row]!r} in row {row + 1}; a number is needed")
    return numbers.astype(np.float64)
