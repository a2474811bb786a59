"""Any campaign's log: who was given which arm, when, with which probability, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from pydantic import Field

from features.consent import ConsentMap
from features.exposures import CONTROL, ExposureLog, Exposures
from features.imports import moment, readable, relation
from features.table import Feature, FeatureTable
from features.workspace import Frozen, Zone

ROLES = {
    "customer": ("customer", "customer_id", "customerid", "user_id", "household_id", "id"),
    "arm": ("arm", "offer", "treatment", "segment", "variant", "group", "test_group", "test_coupon"),
    "time": ("time", "timestamp", "date", "exposed_at", "sent_at"),
    "probability": ("probability", "propensity"),
    "weight": ("weight",),
}
OUTCOMES = ("visit", "conversion", "converted", "spend", "revenue", "purchase", "outcome", "clicked", "opened")
CONTROLS = ("none", "control", "no e-mail", "no email", "no offer", "holdout", "0", "false", "nothing")


class ExposureMap(Frozen):
    """A log's map. `columns`: role -> the file's column. What is neither a role nor an outcome is a feature."""

    name: str = Field(default="", pattern=r"^[A-Za-z0-9_.-]*$", max_length=64)
    columns: Mapping[str, str] = {}
    outcomes: tuple[str, ...] | None = None
    features: tuple[str, ...] | None = None
    control: str | None = None
    timezone: Zone | None = None  # of times without a zone; default: the workspace's
    consent: ConsentMap = ConsentMap()


def read(path: Path, using: ExposureMap, zone: str = "UTC") -> ExposureLog:
    """The file as an exposure log; roles that the map does not give are guessed from the columns' names.

    `zone` holds for times without one where the map names none.
    """
    with readable(path), duckdb.connect() as connection:
        frame = relation(connection, path).to_arrow_table().to_pandas()
    roles = _roles(path, frame, using)
    arm = _texts(path, frame, roles["arm"])
    control = _control(path, arm, using)
    outcomes = _outcomes(frame, using, roles)
    features = _features(frame, using, [*roles.values(), *outcomes])
    exposures = Exposures(
        arm.where(arm != control, CONTROL).to_numpy(np.str_),
        _numbers(path, frame, roles.get("probability"), np.nan),
        _numbers(path, frame, roles.get("weight"), 1.0),
        _times(path, frame, roles.get("time"), using.timezone or zone),
    )
    customers = _texts(path, frame, roles["customer"]).to_numpy(object) if "customer" in roles else None
    name = using.name or "".join(letter if letter.isalnum() else "-" for letter in path.stem).strip("-")
    results = pd.DataFrame({column: _numbers(path, frame, column, 0.0) for column in outcomes}, index=frame.index)
    return ExposureLog(name, path.name, FeatureTable(*features, customers), exposures, results)


def _roles(path: Path, frame: pd.DataFrame, using: ExposureMap) -> dict[str, str]:
    strange = [role for role in using.columns if role not in ROLES]
    absent = [column for column in using.columns.values() if column not in frame.columns]
    if strange or absent:
        raise ValueError(f"{path}: the map names {strange or absent}; roles are {list(ROLES)}, columns {list(frame)}")
    known = {column.lower().replace(" ", "_"): column for column in frame.columns}
    guessed = {role: known[word] for role, words in ROLES.items() for word in reversed(words) if word in known}
    roles = {**guessed, **using.columns}
    if "arm" not in roles:
        raise ValueError(f"{path}: no column says which arm was given; name it in the map (columns: {{arm: ...}})")
    return roles


def _control(path: Path, arm: pd.Series[str], using: ExposureMap) -> str:
    arms = sorted(set(arm))
    control = using.control or next((one for word in CONTROLS for one in arms if one.lower() == word), None)
    if control not in arms:
        raise ValueError(f"{path}: the arms are {arms[:10]}; which one got no offer? Name it in the map (control: ...)")
    return control


def _outcomes(frame: pd.DataFrame, using: ExposureMap, roles: Mapping[str, str]) -> list[str]:
    if using.outcomes is not None:
        return list(using.outcomes)
    after = [name for name in frame.columns if name.lower() in OUTCOMES or name.lower().endswith("_after")]
    return [name for name in after if name not in roles.values()]


def _features(frame: pd.DataFrame, using: ExposureMap, taken: list[str]) -> tuple[pd.DataFrame, tuple[Feature, ...]]:
    names = using.features if using.features is not None else [name for name in frame.columns if name not in taken]
    columns = {name: _feature(frame[name]) for name in names}
    units = {
        name: "category" if isinstance(column.dtype, pd.CategoricalDtype) else "" for name, column in columns.items()
    }
    described = tuple(Feature(name, "given", units[name], "As the campaign's log gave it.") for name in columns)
    return pd.DataFrame(columns, index=frame.index), described


def _feature(values: Any) -> Any:
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().sum() == values.notna().sum():
        return numbers.astype(np.float64)
    return values.astype("string").astype(object).astype("category")


def _texts(path: Path, frame: pd.DataFrame, column: str) -> pd.Series[str]:
    texts = frame[column].astype("string").str.strip()
    absent = np.flatnonzero(texts.fillna("") == "")
    if len(absent):
        raise ValueError(f"{path}: {column} is absent in row {int(absent[0]) + 1}; every row needs one")
    return texts


def _numbers(
    path: Path, frame: pd.DataFrame, column: str | None, default: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if column is None:
        return np.full(len(frame), default)
    if column not in frame:
        raise ValueError(f"{path}: lacks the column {column!r}; it has {list(frame.columns)}")
    numbers = pd.to_numeric(frame[column], errors="coerce")
    if numbers.isna().any():
        row = int(np.flatnonzero(numbers.isna())[0])
        raise ValueError(f"{path}: {column} == {frame[column].iloc[row]!r} in row {row + 1}; a number is needed")
    return numbers.to_numpy(np.float64)


def _times(
    path: Path, frame: pd.DataFrame, column: str | None, zone: str
) -> np.ndarray[tuple[int], np.dtype[np.datetime64]] | None:
    if column is None:
        return None
    with duckdb.connect() as connection:
        connection.execute(f"SET TimeZone = '{zone}'")
        connection.register("given", pd.DataFrame({"given": frame[column]}))
        times = connection.execute(f"SELECT {moment('given::VARCHAR')} AS time FROM given").df()["time"]
    if times.isna().any():
        row = int(np.flatnonzero(times.isna())[0])
        raise ValueError(f"{path}: {column} == {frame[column].iloc[row]!r} in row {row + 1}; a time is needed")
    return times.to_numpy("datetime64[us]")
