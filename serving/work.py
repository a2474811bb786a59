"""Work: what goes on beside the service, in one process per workspace. A job is a function, and one line in `JOBS`."""

from __future__ import annotations

import fcntl
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from zoneinfo import ZoneInfo

from features.compaction import compact
from features.history import close_days
from features.ledger import Ledger
from features.states.refresh import refresh
from features.workspace import Workspace
from serving.schedule import Refits

PAUSE = 1.0  # seconds between two rounds: what a job keeps fresh is at most this much older
LINGER = 3.0  # seconds in which a service takes what was closed into memory (`serving.watch`)
TOLD = 1_000  # customers: fewer are brought up to date every second, and unsaid
COMPACTED = "compacted"  # the day on which it was done last
Say = Callable[[str], None]


def close(workspace: Workspace, now: datetime) -> str | None:
    """Moves the days that are over in the workspace's zone into the history."""
    moved = close_days(workspace, midnight(now, workspace.settings.timezone), linger=LINGER)
    return f"{moved:,} events of closed days moved into the history" if moved else None


def compacted(workspace: Workspace, now: datetime) -> str | None:
    """Joins small files of the history, once a day."""
    today, path = now.astimezone(ZoneInfo(workspace.settings.timezone)).date().isoformat(), workspace.state / COMPACTED
    if path.exists() and path.read_text(encoding="utf-8") == today:
        return None
    try:
        joined = compact(workspace)
        said = f"{joined:,} files of the history joined" if joined else None
    except OSError as error:  # a disk that is full has no room for the next try a second later
        said = f"compaction, again tomorrow: {' '.join(str(error).split())}"
    path.write_text(today, encoding="utf-8")
    return said


def fresh(workspace: Workspace, now: datetime) -> str | None:
    """Brings the customers' states up to the newest events; many at once are told, as at first and after an import."""
    written = refresh(workspace, now)
    return f"{written:,} customers' features brought up to date" if written >= TOLD else None


# name -> what one round does, and says where it did something. Killed at any point, it loses and doubles nothing.
Job = Callable[[Workspace, datetime], str | None]
JOBS: dict[str, Job] = {"features": fresh, "days": close, "compaction": compacted}


def once(workspace: Workspace, now: datetime) -> list[str]:
    """One round of all jobs, and the trainings that are due; what they said."""
    with _alone(workspace):
        said = [said for job in JOBS.values() if (said := job(workspace, now))]
        return [*said, *Refits().finish(workspace, now)]


def forever(workspace: Workspace, now: Callable[[], datetime], say: Say) -> None:
    """Round after round until SIGTERM; a job whose store fails is said once, and tried again in each round."""
    ended: list[bool] = []

    def end(*_: object) -> None:
        ended.append(True)  # Python drops an exit out of a finalizer: the loop ends all the same
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    Ledger.at(workspace.ledger)  # what can be told at the start is told there
    faults: dict[str, str] = {}
    refits = Refits()
    with _alone(workspace), closing(refits):
        while not ended:
            for name, job in {**JOBS, "refit": refits.look}.items():
                _try(name, job, workspace, now(), say, faults)
            time.sleep(0 if ended else PAUSE)


def midnight(now: datetime, zone: str) -> datetime:
    """When the day of this moment began in this zone."""
    return now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0, fold=0)


def _try(name: str, job: Job, workspace: Workspace, now: datetime, say: Say, faults: dict[str, str]) -> None:
    try:
        said = job(workspace, now)
    except OSError as error:
        fault = f"{name}: {' '.join(str(error).split())}"
        if faults.get(name) != fault:
            say(fault)
        faults[name] = fault
        return
    if faults.pop(name, None):
        say(f"{name}: works again")
    if said:
        say(said)


@contextmanager
def _alone(workspace: Workspace) -> Iterator[None]:
    """One worker per workspace; the system lets go of the lock when its process ends, however that ends."""
    with (workspace.state / "work.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError(f"{workspace.folder}: another `attune work` runs for this workspace") from None
        yield
