"""What kill -9 costs: 50 times, at random points, of the service and of the worker that closes days, under writes.

    python -m benchmarks ingest-kill [--seed N]

Eight connections send batches of 100 all the time and send again what was not acknowledged. The worker's clock is two
days ahead, so that all that arrives is closed at once. After each kill of both the store is opened and everything is
read: `lost` are acknowledged events that are not there, `doubled` those that are there twice; targets 0 and 0, with
`kills` = 50 and `acknowledged` at least 100,000.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.sending import BATCH, Sender, batches, message
from benchmarks.served import Served, free_port, quiet
from features.history import newest_version, read_events
from features.keys import SEND, create
from features.ledger import Ledger
from features.workspace import Workspace
from features.workspace import create as create_workspace

KILLS = 50
MARK = "kill"
AHEAD = timedelta(days=2)  # by so much the worker's clock is ahead
LONGEST = 2.0  # seconds of writing before a kill
APART = 0.2  # seconds at most between the two kills
LEAST = 20  # batches acknowledged before a kill: 50 times that is what must be acknowledged in all


@dataclass
class Writing:
    """Batches that are sent until it is told to stop; which were acknowledged."""

    sender: Sender
    acknowledged: list[int] = field(default_factory=list)
    sent: int = 0
    stopped: bool = False

    def run(self) -> None:
        self.sender.send(self._bodies(), self.acknowledged.append)

    def _bodies(self) -> Iterator[bytes]:
        while not self.stopped:
            self.sent += 1
            yield from batches(_numbers(self.sent - 1), MARK)


def figures(seed: int) -> dict[str, Any]:
    """The figures; `seed` draws when and in which order is killed."""
    quiet()
    with tempfile.TemporaryDirectory(prefix="attune-kill-") as name:
        workspace = create_workspace(Path(name) / "shop")
        key = create(Ledger.at(workspace.ledger), "shop", SEND, datetime.now(UTC))
        return _killed(workspace, Writing(Sender(free_port(), key)), np.random.default_rng(seed))


def _killed(workspace: Workspace, writing: Writing, rng: np.random.Generator) -> dict[str, Any]:
    thread = threading.Thread(target=writing.run)
    thread.start()
    rounds = [_round(workspace, writing, rng, number) for number in range(KILLS)]
    served = Served.start(workspace, port=writing.sender.port)
    writing.stopped = True
    thread.join()
    served.stop()
    lost, doubled, stored = _found(workspace, list(writing.acknowledged))
    version = newest_version(workspace)
    return {
        "lost": lost + sum(one["lost"] for one in rounds),
        "doubled": doubled + sum(one["doubled"] for one in rounds),
        "kills": len(rounds),
        "acknowledged": len(writing.acknowledged) * BATCH,
        "stored": stored,
        "sent_again": writing.sender.again,
        "least_in_flight": min(one["in_flight"] for one in rounds),
        "history_versions": version.version() + 1 if version else 0,
    }


def _round(workspace: Workspace, writing: Writing, rng: np.random.Generator, number: int) -> dict[str, int]:
    """One kill of both, and what was there afterwards."""
    before = len(writing.acknowledged)
    worker = subprocess.Popen([sys.executable, "-m", "benchmarks.ingest_kill", str(workspace.folder)])
    served = Served.start(workspace, port=writing.sender.port)
    while len(writing.acknowledged) < before + LEAST:
        time.sleep(0.01)
    time.sleep(rng.uniform(0, LONGEST))
    in_flight = writing.sent - len(writing.acknowledged)
    victims: list[Callable[[], None]] = [served.kill, worker.kill]
    for place in rng.permutation(2):
        victims[place]()
        time.sleep(rng.uniform(0, APART))
    worker.wait(timeout=30)
    lost, doubled, stored = _found(workspace, list(writing.acknowledged))
    found = {"lost": lost, "doubled": doubled, "in_flight": in_flight}
    print(f"kill {number + 1}/{KILLS}: {found}, {stored:,} stored", file=sys.stderr)
    return found


def _found(workspace: Workspace, acknowledged: list[int]) -> tuple[int, int, int]:
    """How many acknowledged events are absent, how many are there twice, and how many there are."""
    Ledger.at(workspace.ledger).close()
    ids = read_events(workspace).before(datetime.max).message_id.to_pyarrow()  # noqa: DTZ901  # UTC without a zone
    expected = pa.array([message(number, MARK) for place in acknowledged for number in _numbers(place)], pa.string())
    absent = pc.invert(pc.is_in(expected, ids.combine_chunks()))
    return pc.sum(absent).as_py() or 0, len(ids) - len(ids.unique()), len(ids)


def _numbers(place: int) -> range:
    return range(place * BATCH, (place + 1) * BATCH)


def _work(folder: Path) -> None:
    """The worker, which makes no pause between its rounds."""
    from serving import work

    work.PAUSE = 0.0
    work.forever(Workspace.open(folder), lambda: datetime.now(UTC) + AHEAD, lambda _: None)


if __name__ == "__main__":
    _work(Path(sys.argv[1]))
