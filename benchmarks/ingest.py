"""What taking events in over HTTP costs beside the bare store, and whether memory stays flat.

    python -m benchmarks ingest [--events N]

Rounds of 20,000 events, in batches of 100 over 8 connections, to a running service; after each the same rows are
written into a second ledger of the same kind by the driver's own `executemany`, one transaction a batch: the bare
store, with the same tables, keys, indexes and durability. `ratio_to_store_*` is the service's rate over the bare
store's, the median of the rounds; of the service's wall time the client's CPU is left out, divided by the two cores.
Bodies are made beforehand. Target: at least 0.4. `rss_growth_mb`: how much more memory the service's processes ever
hold than after the first 100,000 events on SQLite; target at most 50.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from sqlalchemy import make_url, select

from benchmarks.postgresql import binaries, running
from benchmarks.sending import BATCH, Sender, batches
from benchmarks.served import Served, quiet
from features.history import live_events, message_keys
from features.keys import SEND, create
from features.ledger import Ledger
from features.workspace import Workspace
from features.workspace import create as create_workspace

ROUND = 20_000
WARM = 5  # rounds until caches are full
POSTGRESQL_EVENTS = 100_000
CORES = 2


def figures(seed: int, events: int = 2_000_000) -> dict[str, Any]:
    """The figures, and under `comparators` what each round cost; `seed` names the messages, it changes nothing else."""
    quiet()
    with tempfile.TemporaryDirectory(prefix="attune-ingest-") as name, _sqlite(Path(name)) as stores:
        sqlite = _rounds(*stores, events // ROUND, seed)
    served: list[dict[str, float]] = []
    if binaries():
        with tempfile.TemporaryDirectory(prefix="attune-ingest-") as name, _postgresql(Path(name)) as stores:
            served = _rounds(*stores, min(events, POSTGRESQL_EVENTS) // ROUND, seed)
    resting = [one["rss_mb"] for one in sqlite]
    return {
        "ratio_to_store_sqlite": _ratio(sqlite),
        "ratio_to_store_postgres": _ratio(served) if served else None,
        "rss_growth_mb": max(resting[WARM:]) - resting[WARM - 1] if len(resting) > WARM else None,
        "events": len(sqlite) * ROUND,
        "comparators": {"sqlite": _medians(sqlite), "postgres": _medians(served)},
    }


def _ratio(rounds: list[dict[str, float]]) -> float:
    return median(one["bare_s"] / one["http_s"] for one in rounds)


def _medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(one[name] for one in rounds) for name in rounds[0]} if rounds else {}


@contextmanager
def _sqlite(folder: Path) -> Iterator[tuple[Workspace, Ledger]]:
    yield create_workspace(folder / "shop"), Ledger.at(f"sqlite:///{folder / 'bare.db'}")


@contextmanager
def _postgresql(folder: Path) -> Iterator[tuple[Workspace, Ledger]]:
    """The service's ledger and the bare one in schemas of one server, which syncs each commit to the disk."""
    import psycopg

    with running({"shared_buffers": "128MB"}) as address:
        with psycopg.connect(address, autocommit=True) as connection:
            for name in ("shop", "bare"):
                connection.execute(f"CREATE SCHEMA {name}")
        shop, bare = (
            make_url(address)
            .update_query_dict({"options": f"-csearch_path={name}"})
            .render_as_string(hide_password=False)
            for name in ("shop", "bare")
        )
        os.environ["ATTUNE_LEDGER_URL"] = shop
        try:
            yield create_workspace(folder / "shop"), Ledger.at(bare)
        finally:
            del os.environ["ATTUNE_LEDGER_URL"]


def _rounds(workspace: Workspace, bare: Ledger, count: int, seed: int) -> list[dict[str, float]]:
    ledger = Ledger.at(workspace.ledger)
    sender_key = create(ledger, "shop", SEND, datetime.now(UTC))
    served = Served.start(workspace)
    try:
        sender, found = Sender(served.port, sender_key), []
        for number in range(count):
            found.append(_round(served, sender, ledger, bare, batches(_numbers(number), f"s{seed}")))
            said = ", ".join(f"{name} {value:.2f}" for name, value in found[-1].items())
            print(f"{bare.engine.dialect.name} {number + 1}/{count}: {said}", file=sys.stderr)
        return found
    finally:
        served.stop()


def _numbers(number: int) -> range:
    return range(number * ROUND, (number + 1) * ROUND)


def _round(served: Served, sender: Sender, ledger: Ledger, bare: Ledger, bodies: list[bytes]) -> dict[str, float]:
    before, cpu = sender.again, served.cpu_s()
    began, spent = time.perf_counter(), time.process_time()
    sender.send(bodies)
    wall, client = time.perf_counter() - began, time.process_time() - spent
    rss, cpu = served.rss_mb(), served.cpu_s() - cpu
    store = _bare(bare, _newest(ledger))
    return {
        "http_s": wall - client / CORES,
        **store,
        "wall_s": wall,
        "client_cpu_s": client,
        "service_cpu_s": cpu,
        "again": sender.again - before,
        "rss_mb": rss,
        "load": os.getloadavg()[0],
    }


def _newest(ledger: Ledger) -> list[dict[str, Any]]:
    """The rows of the last round, as the service stored them."""
    query = select(live_events).order_by(live_events.c.sequence.desc()).limit(ROUND)
    with ledger.read() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def _bare(ledger: Ledger, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Wall and CPU seconds of the driver's own `executemany` of these rows, one transaction a batch."""
    mark = "?" if ledger.engine.dialect.name == "sqlite" else "%s"
    columns = [column.name for column in live_events.columns if column.name != "sequence"]
    into = f"INSERT INTO events ({', '.join(columns)}) VALUES ({', '.join(mark for _ in columns)})"
    keys = f"INSERT INTO {message_keys.name} (key) VALUES ({mark})"
    values = [tuple(_plain(row[name], mark) for name in columns) for row in rows]
    parts = [values[start : start + BATCH] for start in range(0, len(values), BATCH)]
    chance = [[(os.urandom(16),) for _ in part] for part in parts]
    connection = ledger.engine.raw_connection()
    began, spent = time.perf_counter(), time.process_time()
    cursor = connection.cursor()
    for part, known in zip(parts, chance, strict=True):
        if mark == "?":
            cursor.execute("BEGIN IMMEDIATE")
        cursor.executemany(keys, known)
        cursor.executemany(into, part)
        connection.commit()
    costs = {"bare_s": time.perf_counter() - began, "bare_cpu_s": time.process_time() - spent}
    connection.close()
    return costs


def _plain(value: Any, mark: str) -> Any:
    """The value as SQLAlchemy hands it to the driver."""
    return value.isoformat(" ", "microseconds") if mark == "?" and isinstance(value, datetime) else value
