"""Features for people: the list of columns with their meaning, a summary of a table, and a file of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from features.consent import consented
from features.customers import FAMILIES
from features.customers.base import MONEY
from features.history import read_events
from features.progress import step
from features.table import Feature, FeatureTable
from features.workspace import Workspace

PURPOSE = "analytics"  # a table that people look at; what a model is trained on asks for its own purpose
FORMATS = (".parquet", ".csv")


def all_features(workspace: Workspace) -> list[Feature]:
    """Every column that this workspace's tables have; a trait's unit shows only in the data."""
    every = [feature for family in FAMILIES.values() for feature in family.features]
    known = [
        replace(feature, unit=workspace.settings.currency) if feature.unit == MONEY else feature for feature in every
    ]
    sentence = "The trait {!r} as last told before the moment."
    return known + [Feature(trait, "profile", "trait", sentence.format(trait)) for trait in workspace.settings.traits]


def listed(features: Sequence[Feature]) -> list[str]:
    """One line per column: name, family, unit and what it means."""
    width = max(len(feature.name) for feature in features)
    return [
        f"{feature.name:{width}}  {feature.family:10}  {feature.unit:8}  {feature.sentence}" for feature in features
    ]


def built(workspace: Workspace, as_of: datetime, now: datetime) -> tuple[FeatureTable, str]:
    """The table of all customers who agree now, also to a look at the past; and the line that says who was left out."""
    events, left_out = consented(read_events(workspace), workspace, purpose=PURPOSE, as_of=now)
    settings = workspace.settings
    with step("Building features"):
        return FeatureTable.build(events, as_of, traits=settings.traits, currency=settings.currency), left_out


def summary(table: FeatureTable) -> list[str]:
    """How many customers, and per column for how many it is known and its middle: the median, or the commonest word."""
    if not len(table):
        return ["0 customers"]
    width = max(len(feature.name) for feature in table.features)
    lines = [f"{len(table):,} customers, {len(table.features)} features as of {table.as_of}"]
    for feature in table.features:
        values = table.frame[feature.name].dropna()
        words = values.dtype == "category"
        middle = "-" if values.empty else str(values.mode().iloc[0]) if words else f"{values.median():,.4g}"
        known = len(values) / len(table)
        lines.append(f"{feature.name:{width}}  known {known:4.0%}  {'mostly' if words else 'median'} {middle}")
    return lines


def require_format(path: Path) -> Path:
    """The path, when a table can be written there."""
    if path.suffix not in FORMATS:
        raise ValueError(f"--out == {str(path)!r}, must end with one of {list(FORMATS)}")
    if not path.parent.is_dir():
        raise ValueError(f"--out == {str(path)!r}, there is no folder {str(path.parent)!r}")
    return path


def write(table: FeatureTable, path: Path) -> None:
    """The table with the customer as first column, as Parquet or CSV; a reader sees the old file or the new one."""
    frame, half = table.to_pandas().reset_index(), path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.suffix == ".csv":
            frame.to_csv(half, index=False)
        else:
            frame.to_parquet(half, index=False)
        half.replace(path)
    finally:
        half.unlink(missing_ok=True)
