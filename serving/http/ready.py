"""Readiness: `/readyz` says to anybody whether decisions are answered and what is degraded, by name; `/v1/ready` says
to who may read what answers, and why what does not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime
from time import monotonic
from typing import Any

from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from features.doctor import installed
from features.ledger import LOOK_MS, identities
from features.patience import hurried
from serving.decisions.challenge import age_days, too_old
from serving.decisions.state import State
from serving.experiments.challenges import KINDS
from serving.http.aside import aside
from training.release import Release

FRESH_SECONDS = 1.0  # nobody is asked for a key at `/readyz`: however often it is asked, the ledger is so often


class Probe:
    """What is degraded, by name, as it was at most a second ago."""

    def __init__(self) -> None:
        self._lock, self._asked = asyncio.Lock(), float("-inf")
        self._names: list[str] = []

    async def names(self, state: State, now: datetime) -> list[str]:
        async with self._lock:
            if monotonic() - self._asked > FRESH_SECONDS:
                self._names = await aside(degraded, state, now)
                self._asked = monotonic()
        return self._names


def degraded(state: State, now: datetime) -> list[str]:
    """What is refused, absent or fails, each in two or three words that hold no data."""
    wanted = {"recommender": True, "uplift": bool(state.offers)}
    absent = [f"{kind} absent" for kind in KINDS if wanted[kind] and getattr(state, kind) is None]
    return [*(f"{part} refused" for part in state.refused), *absent, *(name for name, _ in _degraded(state, now))]


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
        "degraded": [why for _, why in _degraded(state, now)],
    }


def _told(release: Release, now: datetime) -> dict[str, Any]:
    return {
        "name": release.name,
        "version": release.version,
        "as_of": release.as_of,
        "age_days": age_days(release, now),
    }


def _degraded(state: State, now: datetime) -> Iterator[tuple[str, str]]:
    """What is degraded by its name, and why."""
    yield from ((f"{kind} too old", old) for kind in KINDS if (old := too_old(state, (kind,), now)))
    if state.journal is not None and state.journal.failure:
        yield "decisions waiting", f"decisions wait for the ledger: {state.journal.failure}"
    if state.ledger is not None:
        try:
            with hurried(LOOK_MS / 1000), state.ledger.read() as connection:
                connection.execute(select(identities)).first()
        except (OSError, SQLAlchemyError) as error:
            yield "ledger away", f"the ledger cannot be read: {' '.join(str(error).split())[:200]}"
