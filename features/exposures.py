"""Exposures: who was given which arm, with which probability. ExposureLog: a campaign's log, ready to learn from."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.table import Feature, FeatureTable
from features.workspace import Workspace

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

    @cached_property
    def offers(self) -> tuple[str, ...]:
        """The arms that are offers, sorted; without `CONTROL`."""
        return tuple(arm for arm in np.unique(self.arm).tolist() if arm != CONTROL)

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

    def take(self, rows: NDArray[np.intp]) -> ExposureLog:
        """The log of these rows, in this order."""
        outcomes = self.outcomes.iloc[rows].reset_index(drop=True)
        return replace(self, table=self.table.take(rows), exposures=self.exposures.take(rows), outcomes=outcomes)

    def described(self) -> str:
        """In one line: how many rows of each arm, and which outcomes and features."""
        arms, counts = np.unique(self.exposures.arm, return_counts=True)
        counted = ", ".join(f"{arm} {count:,}" for arm, count in zip(arms.tolist(), counts.tolist(), strict=True))
        outcomes = ", ".join(self.outcomes.columns) or "from the event log"
        features = ", ".join(self.table.frame.columns) or "from the event log"
        rows = f"{self.name}: {len(self.exposures):,} exposures ({counted})"
        return f"{rows}; outcomes: {outcomes}; features: {features}"


def save_log(workspace: Workspace, log: ExposureLog) -> None:
    """Keeps the log under its name: Parquet for the rows, JSON for what the columns are."""
    folder = workspace.exposures
    folder.mkdir(exist_ok=True)
    frame = log.table.frame.add_prefix("feature:").assign(
        arm=log.exposures.arm.astype(object), probability=log.exposures.probability, weight=log.exposures.weight
    )
    if log.table.customers is not None:
        frame["customer"] = log.table.customers.astype(object)
    if log.exposures.time is not None:
        frame["time"] = log.exposures.time
    frame = pd.concat([frame, log.outcomes.add_prefix("outcome:")], axis=1)
    facts = {"name": log.name, "source": log.source, "features": [asdict(one) for one in log.table.features]}
    _replace(folder / f"{log.name}.parquet", lambda path: frame.to_parquet(path, index=False))
    _replace(folder / f"{log.name}.json", lambda path: path.write_text(json.dumps(facts, indent=2)))


def read_log(workspace: Workspace, name: str) -> ExposureLog:
    """The log of this name; an error that names the logs there are."""
    if name not in log_names(workspace):
        raise ValueError(f"exposure log == {name!r}, {workspace.folder} has {log_names(workspace)}")
    facts = json.loads((workspace.exposures / f"{name}.json").read_text())
    frame = pd.read_parquet(workspace.exposures / f"{name}.parquet")
    features = tuple(Feature(**one) for one in facts["features"])
    customers = frame["customer"].to_numpy(object) if "customer" in frame else None
    time = frame["time"].to_numpy("datetime64[us]") if "time" in frame else None
    arm, numbers = frame["arm"].to_numpy(np.str_), frame[["probability", "weight"]].to_numpy(np.float64)
    return ExposureLog(
        name=facts["name"],
        source=facts["source"],
        table=FeatureTable(_part(frame, "feature:"), features, customers),
        exposures=Exposures(arm, numbers[:, 0], numbers[:, 1], time),
        outcomes=_part(frame, "outcome:").astype(np.float64),
    )


def log_names(workspace: Workspace) -> list[str]:
    """The names of the logs that were imported, sorted."""
    return sorted(path.stem for path in workspace.exposures.glob("*.json"))


def _part(frame: pd.DataFrame, prefix: str) -> pd.DataFrame:
    columns = [column for column in frame.columns if column.startswith(prefix)]
    return frame[columns].rename(columns=lambda column: column.removeprefix(prefix))


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    temporary = path.with_name(f".{path.name}")
    write(temporary)
    temporary.replace(path)
