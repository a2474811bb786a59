"""Readiness in detail: BentoML's `/readyz` says whether anything answers, this says what, and what does not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from features.doctor import installed
from features.ledger import LOOK_MS, identities
from features.patience import hurried
from serving.decisions.challenge import age_days, too_old
from serving.decisions.state import State
from serving.experiments.challenges import KINDS
from training.release import Release


def readiness(state: State, now: datetime) -> dict[str, Any]:
    """Releases with their ages, the workspace's hash, what was refused, and which store fails."""
    found = {kind: release for kind in KINDS if (release := getattr(state, kind)) is not None}
    return {
        "releases": {kind: _told(release, now) for kind, release in found.items()},
        "challengers": {
            kind: {**_told(one.release, now), "share": one.told.share, "experiment": one.key}
            for kind, one in state.challengers.items()
        },
        "workspace_hash": state.workspace_hash,
        "version": installed(),
        "time": now.isoformat(),
        "refused": dict(state.refused),
        "degraded": list(_degraded(state, now)),
    }


def _told(release: Release, now: datetime) -> dict[str, Any]:
    return {
        "name": release.name,
        "version": release.version,
        "as_of": release.as_of,
        "age_days": age_days(release, now),
    }


def _degraded(state: State, now: datetime) -> Iterator[str]:
    yield from (old for kind in KINDS if (old := too_old(state, (kind,), now)))
    if state.journal is not None and state.journal.failure:
        yield f"decisions wait for the ledger: {state.journal.failure}"
    if state.ledger is not None:
        try:
            with hurried(LOOK_MS / 1000), state.ledger.read() as connection:
                connection.execute(select(identities)).first()
        except (OSError, SQLAlchemyError) as error:
            yield f"the ledger cannot be read: {' '.join(str(error).split())[:200]}"
