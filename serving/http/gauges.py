"""Gauges: what each worker says of itself every second. `/metrics` shows what waits as the sum over the workers that
live, and what is old or refused as the most of any of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from prometheus_client import Gauge
from prometheus_client.multiprocess import mark_process_dead

from features.events import utc
from serving.decisions.state import State
from serving.experiments.challenges import KINDS
from serving.marks import PARTS

SECONDS = 1.0  # between two looks
WORKERS = Gauge("attune_workers", "Processes that answer.", multiprocess_mode="livesum")
WAITING = Gauge(
    "attune_waiting",
    "What waits for the ledger: requests with events (intake), decisions (journal).",
    ["queue"],
    multiprocess_mode="livesum",
)
AGE = Gauge(
    "attune_model_age_seconds",
    "Since the moment of which a release knows, the oldest that answers.",
    ["kind"],
    multiprocess_mode="livemax",
)
REFUSED = Gauge(
    "attune_refused",
    "1 where a part of the workspace was refused and the one before answers.",
    ["part"],
    multiprocess_mode="livemax",
)


class Gauges:
    """This worker's gauges, kept up to date by a thread: no request waits for them."""

    def __init__(self, state: Callable[[], State | None], now: Callable[[], datetime]) -> None:
        self._state, self._now = state, now
        self._ended = threading.Event()

    def start(self) -> None:
        """Says at once how things stand, and goes on saying it."""
        forget_dead()
        WORKERS.set(1)
        threading.Thread(target=self._run, name="gauges", daemon=True).start()

    def end(self) -> None:
        """Nothing further is said."""
        self._ended.set()

    def _run(self) -> None:
        while True:
            if (state := self._state()) is not None:
                say(state, self._now())
            if self._ended.wait(SECONDS):
                return


def say(state: State, now: datetime) -> None:
    """Sets the gauges to how things stand."""
    for part in PARTS:
        REFUSED.labels(part).set(part in state.refused)
    for kind in KINDS:
        release = getattr(state, kind)
        if release is not None and release.as_of is not None:
            AGE.labels(kind).set((utc(now) - utc(release.as_of)).total_seconds())
    for queue in ("intake", "journal"):
        waits = getattr(state, queue)
        WAITING.labels(queue).set(0 if waits is None else waits.waiting)


def forget_dead() -> None:
    """Takes away what workers said that were killed: nobody else does before the service starts anew."""
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    for path in Path(folder).glob("gauge_live*_*.db") if folder else ():
        worker = int(path.stem.rpartition("_")[2])
        if not _lives(worker):
            mark_process_dead(worker)  # type: ignore[no-untyped-call]  # the library's own lack of types


def _lives(worker: int) -> bool:
    try:
        os.kill(worker, 0)
    except ProcessLookupError:
        return False
    return True
