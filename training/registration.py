"""Registration: a finished training becomes a run and a version, unless the newest version holds just the same.

FOLDER/kept/         `evaluation.json` and what is known about customers: becomes `workspace.runs / run_id`, whole
FOLDER/registered/   `model.json` and `model/`: what MLflow keeps
FOLDER/*.png         pictures for MLflow
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from features.workspace import Workspace
from training import tracking

KEPT, REGISTERED = "kept", "registered"
EVALUATION = "evaluation.json"
AGAIN = ", the same as before"


@dataclass(frozen=True)
class Finished:
    """A training that is done; `example` and `answer` are what the model is asked and says, for its signature."""

    kind: str
    params: Mapping[str, Any]
    fingerprint: str  # of the data it learned from
    metrics: Mapping[str, float]
    example: pd.DataFrame
    answer: pd.DataFrame
    own: Mapping[str, Path] = field(default_factory=dict)  # the user's classes in the model, each with its code
    attempts: Sequence[tracking.Attempted] = ()  # what was tried before


@dataclass(frozen=True)
class Registered:
    """The version that holds a training; `again`: an earlier training of this workspace had left just the same."""

    version: int
    again: bool

    def line(self, kind: str, name: str) -> str:
        return f"registered: {kind} {self.version} ({name}){AGAIN if self.again else ''}"


@contextmanager
def building(workspace: Workspace) -> Iterator[Path]:
    """A folder for what a training leaves, inside the workspace because of its customers; gone after the block."""
    workspace.runs.mkdir(exist_ok=True)
    with TemporaryDirectory(prefix=".building-", dir=workspace.runs) as name:
        yield Path(name)


def register(workspace: Workspace, finished: Finished, folder: Path) -> Registered:
    """A new run and version of what lies in the folder, or this workspace's newest where nothing is different.

    Only the newest counts: `latest` always names what was trained last.
    """
    held = [folder / KEPT, folder / REGISTERED, *finished.own.values()]
    content = tracking.content(held, finished.params)
    here = (one for one in tracking.versions(finished.kind) if tracking.trained_in(workspace.runs, one))
    newest = next(here, None)
    if newest and newest.content == content:
        return Registered(newest.version, again=True)
    place = str(workspace.folder)
    with tracking.start(
        finished.kind, params=finished.params, fingerprint=finished.fingerprint, workspace=place
    ) as run:
        run.log_metrics(finished.metrics)
        run.log_attempts(finished.attempts)
        for path in (folder / KEPT / EVALUATION, *sorted(folder.glob("*.png"))):
            run.log_file(path)
        (folder / KEPT).rename(workspace.runs / run.run_id)
        version = run.register(
            folder / REGISTERED, finished.example, finished.answer, content=content, own=finished.own
        )
    return Registered(version, again=False)
