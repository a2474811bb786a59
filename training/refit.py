"""Refit: trains again as the workspace says, and lets the new model serve where it is not worse than the champion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime

from features.workspace import Workspace
from training.promotion import promote
from training.registration import AGAIN
from training.release import challenger, current


def refit(workspace: Workspace, kind: str, now: datetime) -> Iterator[str]:
    """A line on the version that was registered, and one on whether it serves and why."""
    trained = _TRAINS[kind](workspace, now)
    yield trained
    if why := _stays(workspace, kind, trained):
        yield f"what was served stays: {why}"
        return
    try:
        yield promote(workspace, kind, "latest")
    except ValueError as error:
        yield f"what was served stays: {error}"


def _stays(workspace: Workspace, kind: str, trained: str) -> str | None:
    """What a person decided is not undone by a clock: a rollback of just this version, a test that runs."""
    if (beside := challenger(workspace, kind)) is not None:
        return f"{kind} {beside.version} is being tried beside {beside.champion}"
    if trained.endswith(AGAIN) and current(workspace, kind) is not None:
        return "there was nothing new to learn from"
    return None


def _recommender(workspace: Workspace, now: datetime) -> str:
    from training.pipelines.recommend import train

    settings = workspace.settings
    trained, _, registered = train(workspace, settings.recommender.models, now=now, seed=settings.seed)
    return registered.line("recommender", trained.model.name)


def _uplift(workspace: Workspace, now: datetime) -> str:
    from training.pipelines.uplift_run import run

    *_, registered = run(workspace, "", "", "", seed=None, as_of=now)
    return registered


_TRAINS: dict[str, Callable[[Workspace, datetime], str]] = {"recommender": _recommender, "uplift": _uplift}
