"""Beside: what `serving` also measures: events that come in meanwhile, the time until ready, a worker's memory."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from statistics import median

from benchmarks.sending import BATCH, Sender, batches
from benchmarks.served import Served
from benchmarks.serving_targets import WORKERS, bento
from features.keys import SEND, create
from features.ledger import Ledger
from features.workspace import Workspace

EVENTS_A_SECOND = 2_000
WORKER = "_bentoml_impl.worker.service"
STARTS = 3


@contextmanager
def ingesting(workspace: Workspace, port: int, rate: int = EVENTS_A_SECOND) -> Iterator[None]:
    """Events come in, by a process of its own, while the block runs."""
    key = create(Ledger.at(workspace.ledger), "shop", SEND, datetime.now(UTC))
    words = [sys.executable, "-m", "benchmarks.serving_beside", str(port), key, str(rate)]
    process = subprocess.Popen(words)
    try:
        time.sleep(1)  # until it has begun
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def bodies(rate: int) -> Iterator[bytes]:
    """Batches at the rate."""
    number, started = 0, time.time()
    while True:
        yield from batches(range(number, number + BATCH), f"b{started}")
        number += BATCH
        time.sleep(max(0.0, started + number / rate - time.time()))


def ready_ratio(workspace: Workspace) -> float:
    """Seconds until our service answers over those of an empty one, started in turns."""
    arrays = workspace.folder / "arrays"
    starts = (lambda: Served.start(workspace, workers=WORKERS), lambda: bento("Empty", arrays))
    pairs = [tuple(map(_seconds, starts)) for _ in range(STARTS)]
    return median(ours for ours, _ in pairs) / median(empty for _, empty in pairs)


def private_share(served: Served, workspace: Workspace) -> float:
    """What a worker holds alone beyond an empty one's, over the bytes of the releases."""
    empty = bento("Empty", workspace.folder / "arrays")
    more = _private(served) - _private(empty)
    empty.stop()
    return more / sum(path.stat().st_size for path in workspace.releases.rglob("*") if path.is_file())


def _private(served: Served) -> float:
    return median(one.memory_full_info().uss for one in served.family() if WORKER in one.cmdline())


def _seconds(start: Callable[[], Served]) -> float:
    began = time.perf_counter()
    served = start()
    took = time.perf_counter() - began
    served.stop()
    return took


if __name__ == "__main__":
    Sender(int(sys.argv[1]), sys.argv[2], connections=1).send(bodies(int(sys.argv[3])))
