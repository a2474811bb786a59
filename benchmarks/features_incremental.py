"""What it costs to bring the features of 1,000 customers up to date, among 50,000 and among 500,000.

    python -m benchmarks features-incremental [--seed N]

2,000 simulated customers are imported and their states made; copies of these states under other names fill the ledger.
In each round 1,000 customers drawn at random do three things each. Measured is what follows: `refresh`, which folds
them in, and `served`, the feature rows of these customers. The two sizes take turns. `max_difference` is that to a
whole build from the log, relative, over the rows of fifty of them.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import text

from features.events import ADDED, ORDERED, SCHEMA, VIEWED, Event, Events
from features.history import append, record
from features.ledger import Ledger
from features.sources.simulator.shop import simulate_events
from features.sources.simulator.world import world_named
from features.states.refresh import refresh
from features.states.served import served
from features.table import FeatureTable
from features.workspace import Workspace, create

SIMULATED, TOUCHED, COMPARED, ROUNDS = 2_000, 1_000, 50, 5
Costs = dict[int, list[dict[str, float]]]
SIZES = (50_000, 500_000)
START = datetime(2025, 6, 1)
COPY = text(
    "WITH RECURSIVE copies(number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM copies WHERE number < :last) "
    "INSERT INTO customer_states SELECT number || '~' || customer, sequence, body FROM copies, originals"
)


@dataclass(frozen=True)
class Shop:
    """A workspace with the states of so many customers, and what they did since."""

    workspace: Workspace
    size: int
    did: list[Event] = field(default_factory=list)


def figures(seed: int) -> dict[str, Any]:
    """The figures, and under `comparators` what every round cost."""
    log = pa.concat_tables(list(simulate_events(world_named("shop"), SIMULATED, seed, START))).cast(SCHEMA)
    rng = np.random.default_rng(seed)
    costs: Costs = {size: [] for size in SIZES}
    with tempfile.TemporaryDirectory(prefix="attune-benchmark-") as name:
        shops = [_filled(Path(name) / str(size), log, size) for size in SIZES]
        for turn in range(ROUNDS):
            for shop in shops:
                costs[shop.size].append(_round(shop, log, turn, rng))
                print(f"{shop.size:,} customers, round {turn}: {costs[shop.size][-1]}", file=sys.stderr)
    return _found(costs)


def _found(costs: Costs) -> dict[str, Any]:
    few, many = SIZES

    def median(size: int, key: str) -> float:
        return float(np.median([cost[key] for cost in costs[size]]))

    return {
        "touched_s": median(many, "wall_s"),
        "touched_cpu_s": median(many, "cpu_s"),
        "ratio_500k_to_50k": median(many, "wall_s") / median(few, "wall_s"),
        "ratio_cpu_500k_to_50k": median(many, "cpu_s") / median(few, "cpu_s"),
        "max_difference": max(cost["difference"] for size in SIZES for cost in costs[size]),
        "comparators": {f"{size:,} customers": rounds for size, rounds in costs.items()},
    }


def _filled(folder: Path, log: pa.Table, size: int) -> Shop:
    """A shop in which so many customers have states."""
    print(f"filling a ledger with {size:,} states", file=sys.stderr)
    workspace = create(folder)
    append(workspace, log)
    refresh(workspace, START)
    ledger = Ledger.at(workspace.ledger)
    with ledger.write() as connection:
        connection.execute(text("CREATE TEMPORARY TABLE originals AS SELECT * FROM customer_states"))
        connection.execute(COPY, {"last": size // SIMULATED - 1})
    ledger.close()
    return Shop(workspace, size)


def _round(shop: Shop, log: pa.Table, turn: int, rng: np.random.Generator) -> dict[str, float]:
    """What 1,000 customers cost who did something."""
    customers = _drawn(log["customer"].unique().drop_null().to_pylist(), shop.size // SIMULATED - 1, rng)
    now, ledger = START + timedelta(hours=turn + 1), Ledger.at(shop.workspace.ledger)
    events = [event for customer in customers for event in _did(customer, now, turn)]
    record(ledger, events)
    shop.did.extend(events)
    wall, cpu = time.perf_counter(), time.process_time()
    written = refresh(shop.workspace, now + timedelta(minutes=1))
    table = served(ledger, shop.workspace.settings, customers, now + timedelta(minutes=1))
    cost = {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}
    ledger.close()
    if table is None or written < TOUCHED:
        raise RuntimeError(f"{written:,} states were written, {TOUCHED:,} customers did something")
    return cost | {"difference": _difference(table, shop, log, customers[:COMPARED])}


def _drawn(names: Sequence[str], copies: int, rng: np.random.Generator) -> list[str]:
    places = rng.choice(copies * len(names), TOUCHED, replace=False).tolist()
    return [f"{1 + place // len(names)}~{names[place % len(names)]}" for place in places]


def _did(customer: str, now: datetime, turn: int) -> list[Event]:
    """A view, an addition to the cart and an order."""
    return [
        Event(
            "benchmark", f"{customer}-{turn}-{name}", name, now, now, customer=customer, item=f"i{turn}", quantity=2.0,
            price=3.5, order_id=f"{customer}-{turn}",
        )
        for name in (VIEWED, ADDED, ORDERED)
    ]  # fmt: skip


def _difference(table: FeatureTable, shop: Shop, log: pa.Table, customers: Sequence[str]) -> float:
    """The largest relative difference to the rows that a build from the log gives for these customers."""
    rows = [event.row() for event in shop.did if event.customer in set(customers)]
    parts = [pa.Table.from_pylist(rows, schema=SCHEMA)]
    for customer in customers:
        theirs = log.filter(pc.equal(log["customer"], customer.partition("~")[2]))
        whose = pa.array([customer] * len(theirs), pa.string())
        parts.append(theirs.set_column(SCHEMA.get_field_index("customer"), SCHEMA.field("customer"), whose))
    moment = table.as_of or START
    traits = shop.workspace.settings.traits
    whole = FeatureTable.build(Events.of(pa.concat_tables(parts)), moment, customers=customers, traits=traits).frame
    ours = table.frame.head(len(customers))
    words = [name for name in whole.columns if whole[name].dtype == "category"]
    if not ours[words].astype(str).equals(whole[words].astype(str)):
        return float("inf")
    a, b = (frame.drop(columns=words).to_numpy(np.float64) for frame in (ours, whole))
    unlike = (np.isnan(a) != np.isnan(b)).any()
    return float("inf") if unlike else float(np.nanmax(np.abs(a - b) / np.maximum(np.abs(b), 1.0)))
