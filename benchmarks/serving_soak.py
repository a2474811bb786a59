"""Whether the service goes on answering, and rightly, while all that can change under it does.

    python -m benchmarks serving-soak [--seed N] [--minutes 60]

The shop of `serving`, its ledger on a PostgreSQL server of this run's own, two workers, at half of saturation, arriving
by chance. Meanwhile 200 events a second come in, a release is swapped every five minutes (in a shorter run twelve
times), and PostgreSQL is restarted after a third and after two thirds, each time three seconds away.

`failed`: requests that were not answered by 200 within five seconds, or wrongly: not ten different items, one that is
excluded, or, of an answer for the customer, one that the customer has seen. `fallback_share`: answers that are not the
customer's own, outside the restarts (from five seconds before, for what was asked and not answered yet, to five after).
`rss_growth_mb`: memory of all processes at the end over that after a tenth. `decisions_lost`: answers whose decision is
not in the ledger at the end. `versions`: releases that answered, of three.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from sqlalchemy import func, select

from benchmarks.load import Client, Drive
from benchmarks.load import request as bytes_of
from benchmarks.postgresql import Server, server
from benchmarks.served import Served, quiet
from benchmarks.serving_beside import ingesting
from benchmarks.serving_shop import shop
from benchmarks.serving_targets import WORKERS
from features.decisions import decisions
from features.history import live_events
from features.ledger import Ledger
from features.workspace import Workspace
from training.release import point, write_release

ITEMS, CUSTOMERS, MINUTES = 20_000, 200_000, 60.0
CONNECTIONS, WARM_SECONDS, EVENTS = 16, 3.0, 200
SWAP_SECONDS, SWAPS, RESTARTS = 300.0, 12, (1 / 3, 2 / 3)
AWAY_SECONDS = 3.0  # that PostgreSQL stays down
SETTLED_SECONDS = 5.0  # after a restart: connections and keys are known again
LATE_SECONDS, K = 5.0, 10


def figures(seed: int, minutes: float = MINUTES) -> dict[str, Any]:
    """The figures of the issue."""
    quiet()
    with tempfile.TemporaryDirectory(prefix="attune-soak-") as name:
        return soaked(Path(name), ITEMS, CUSTOMERS, minutes * 60, seed)


def soaked(folder: Path, items: int, customers: int, seconds: float, seed: int) -> dict[str, Any]:
    """The figures of a shop of this size after so long."""
    with server({"shared_buffers": "128MB"}) as database, _ledger(database):
        workspace = shop(folder / "shop", items, customers, seed)
        for version in ("2", "3"):
            write_release(workspace, workspace.runs / "r1" / "registered", version=version, run_id="r1", facts={})
        served = Served.start(workspace, workers=WORKERS)
        try:
            run = Run(database, workspace, served, Answers.of(workspace), seconds)
            found = _measured(run, customers, seed)
            return found | _kept(workspace, served, found["decisions"] - found["failed"])
        finally:
            if served.process.poll() is None:
                served.stop()


@dataclass
class Answers:
    """What is asked and has been seen, and what came of it."""

    seen: list[frozenset[str]]
    fallbacks: list[float] = field(default_factory=list)  # when they were due
    dues: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    versions: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, workspace: Workspace) -> Answers:
        """With what each customer has seen."""
        parts = {name: np.load(workspace.folder / "arrays" / f"{name}.npy") for name in ("ids", "starts", "seen")}
        rows = np.split(parts["ids"][parts["seen"]], parts["starts"][1:-1])
        return cls([frozenset(row.tolist()) for row in rows])

    def right(self, due: float, asked: bytes, body: bytes) -> bool:
        """Whether the answer is one to this request; remembers whether it was the customer's own."""
        told, answer = orjson.loads(asked.partition(b"\r\n\r\n")[2]), orjson.loads(body)
        items = {one["item"] for one in answer["items"]}
        self.dues.append(due)
        self.versions.add(answer["model_version"])
        if answer["fallback"] is not None:
            self.fallbacks.append(due)
        barred = set(told["exclude"]) if answer["fallback"] else self.seen[int(told["customer"])].union(told["exclude"])
        if len(items) == len(answer["items"]) == K and not items & barred and answer["decision_id"]:
            return True
        self.wrong.append(body[:300].decode())
        return False


@dataclass
class Run:
    """One run: what happens beside the requests, in a thread."""

    database: Server
    workspace: Workspace
    served: Served
    answers: Answers
    seconds: float
    away: list[tuple[float, float]] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)
    swaps: int = 0

    def happenings(self) -> list[tuple[float, Any]]:
        """What is done after how many seconds."""
        every = min(SWAP_SECONDS, self.seconds / SWAPS)
        swaps = [(every * number, self.swap) for number in range(1, int(self.seconds / every))]
        restarts = [(self.seconds * share, self.restart) for share in RESTARTS]
        measured = [(self.seconds * share, self.measure) for share in (0.1, 0.99)]
        return sorted(swaps + restarts + measured, key=lambda one: one[0])

    def go(self, start: float) -> None:
        for after, happening in self.happenings():
            time.sleep(max(0.0, start + after - time.perf_counter()))
            happening()
            _say(f"{after:.0f} s: {happening.__name__}, {self.served.rss_mb():.0f} MB, load {os.getloadavg()[0]:.1f}")

    def swap(self) -> None:
        self.swaps += 1
        point(self.workspace, "recommender", "23"[self.swaps % 2])

    def restart(self) -> None:
        began = time.perf_counter()
        self.database.stop(signal.SIGINT)
        time.sleep(AWAY_SECONDS)
        self.database.start()
        self.away.append((began, time.perf_counter() + SETTLED_SECONDS))

    def measure(self) -> None:
        self.rss_mb.append(self.served.rss_mb())

    def share(self) -> float:
        """Fallbacks among the answers outside the restarts."""
        fallbacks, every = (self._outside(dues) for dues in (self.answers.fallbacks, self.answers.dues))
        return fallbacks / max(every, 1)

    def _outside(self, dues: list[float]) -> int:
        moments = np.array(dues)
        inside = np.zeros(len(moments), bool)
        for began, ended in self.away:
            inside |= (moments >= began - LATE_SECONDS) & (moments <= ended)
        return int((~inside).sum())


def _measured(run: Run, customers: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    asked = [_asked(f"{one:08}") for one in rng.permutation(customers)]  # nobody comes again and again
    client = Client(run.served, CONNECTIONS, WORKERS)
    warm = [client.saturate(asked, WARM_SECONDS) for _ in range(2)]
    saturated = warm[-1].rate
    _say(f"saturated at {saturated:,.0f} requests a second")
    with ingesting(run.workspace, run.served.port, EVENTS):
        beside = threading.Thread(target=run.go, args=(time.perf_counter(),))
        beside.start()
        drive = client.pace(asked, saturated / 2, run.seconds, seed, run.answers.right)
        beside.join()
    client.close()
    for wrong in run.answers.wrong[:5]:
        _say(f"wrong: {wrong}")
    return {
        "failed": drive.failed + sum(one > LATE_SECONDS for one in drive.latencies),
        "fallback_share": run.share(),
        "rss_growth_mb": run.rss_mb[-1] - run.rss_mb[0],
        "fallbacks": len(run.answers.fallbacks),
        "wrong": len(run.answers.wrong),
        "rate_saturated": saturated,
        "decisions": sum(len(one.latencies) for one in (*warm, drive)),
        "restarts": len(run.away),
        "swaps": run.swaps,
        "versions": len(run.answers.versions),
        **_told(drive),
    }


def _told(drive: Drive) -> dict[str, Any]:
    return {"answers": len(drive.latencies), "p50_ms": drive.ms(0.5), "p99_ms": drive.ms(0.99), "rate": drive.rate}


def _kept(workspace: Workspace, served: Served, answered: int) -> dict[str, Any]:
    """What is in the ledger once the service has ended."""
    served.stop()
    with Ledger.at(workspace.ledger).read() as connection:
        rows = connection.execute(select(func.count()).where(decisions.c.kind == "recommend")).scalar_one()
        events = connection.execute(select(func.count()).select_from(live_events)).scalar_one()
    return {"decisions_lost": answered - rows, "events": events}


def _asked(customer: str) -> bytes:
    return bytes_of("/v1/recommend", {"customer": customer, "k": K, "exclude": [], "include_bought": "never"})


@contextmanager
def _ledger(database: Server) -> Iterator[None]:
    os.environ["ATTUNE_LEDGER_URL"] = database.address
    try:
        yield
    finally:
        del os.environ["ATTUNE_LEDGER_URL"]


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
