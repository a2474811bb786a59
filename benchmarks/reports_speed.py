"""What the reports cost of a large shop: 1M customers, 6.4M events in a year, a holdout of 5 %, the shipped segments.

    python -m benchmarks reports-speed [--seed N]

`impact_cpu_s`, `impact_mb`, `journey_cpu_s`, `journey_mb`: CPU seconds and peak memory of the two reports, the file
that they would be stored in left out. `segments_cpu_s`, `segments_mb`: of 100,000 customers who are exposed over 28
days, in which of ten segments each was on that day. `difference_s`: the test of the time to conversion of 1M customers
of whom no two waited alike. Every part runs in a process of its own.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from benchmarks.apart import apart

if TYPE_CHECKING:
    from features.workspace import Workspace

CUSTOMERS, ITEMS, EXPOSED, DAYS = 1_000_000, 1_000, 100_000, 28
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EVENTS = {
    "Email Delivered": 2_000_000,
    "Email Opened": 600_000,
    "Email Link Clicked": 100_000,
    "Page Viewed": 500_000,
    "Product Viewed": 2_000_000,
    "Product Added": 400_000,
    "Order Completed": 750_000,
    "Order Refunded": 50_000,
}
MAILS = ("Email Delivered", "Email Opened", "Email Link Clicked")
CAMPAIGNS = ("spring", "summer", "autumn", "winter", None)
HOLDOUT = 0.05
SEGMENTS = (
    "new", "loyal", "active", "at-risk", "lapsed", "high-intent", "cart-abandoner", "best", "money-middle", "web-only",
)  # fmt: skip


def figures(seed: int) -> dict[str, Any]:
    """The figures of the docstring."""
    with tempfile.TemporaryDirectory(prefix="attune-reports-") as name:
        parts = [apart("reports_speed", part, name, seed) for part in PARTS]
    return {key: value for part in parts for key, value in part.items()}


def _made(folder: Path, seed: int) -> dict[str, float]:
    """The shop."""
    from features.consent import Basis, grant
    from features.events import SCHEMA
    from features.history import append
    from features.ledger import Ledger
    from features.workspace import create

    rng, workspace = np.random.default_rng(seed), create(folder / "shop")
    with (workspace.folder / "attune.yaml").open("a") as settings:
        settings.write(f"holdout: {HOLDOUT}\n")
    lines = [f"i{place},Item {place},c{place % 20},{10 + place % 50}.0,,{5 + place % 20}.0" for place in range(ITEMS)]
    (workspace.folder / "catalog.csv").write_text("\n".join(["item,name,category,price,stock,cost", *lines, ""]))
    names = np.array([f"customer-{place:07}" for place in range(CUSTOMERS)])
    tastes = rng.gamma(0.7, 1.0, CUSTOMERS), np.exp(0.5 * rng.standard_normal(CUSTOMERS))
    for name, many in EVENTS.items():
        append(workspace, _rows(name, many, names, tastes, rng).select(SCHEMA.names).cast(SCHEMA))
    basis = Basis(("analytics",), "a box")
    grant(Ledger.at(workspace.ledger), names.tolist(), basis, source="shop", time=NOW - timedelta(days=400))
    return {}


def _rows(name: str, many: int, names: Any, tastes: tuple[Any, Any], rng: np.random.Generator) -> pa.Table:
    """Events of one name over the last year; a mail is of the customers that nothing holds out.

    `tastes`: how often each does something, and what they spend.
    """
    from features.events import SCHEMA
    from features.holdout import held_out

    often, spends = tastes
    who = np.searchsorted(np.cumsum(often) / often.sum(), rng.random(many))
    if name in MAILS:
        treated = ~np.array([held_out(one, HOLDOUT) for one in names.tolist()])
        who = who[treated[who]]
    many = len(who)
    time = np.datetime64(NOW.replace(tzinfo=None), "us") - rng.integers(1, 365 * 86_400, many).astype("timedelta64[s]")
    sold = name.startswith(("Order", "Product"))
    item = rng.integers(ITEMS, size=many)
    known: dict[str, Any] = {
        "source": pa.array(["shop"]).take(pa.array(np.zeros(many, np.int64))),
        "message_id": pa.array(np.char.add(name, np.arange(many).astype(np.str_))),
        "line": np.zeros(many, np.int32),
        "name": pa.array([name]).take(pa.array(np.zeros(many, np.int64))),
        "customer": pa.array(names).take(pa.array(who)),
        "time": time,
        "received_at": time,
        "live": np.zeros(many, bool),
        "machine": (name == "Email Opened") & (rng.random(many) < 0.3),
        "channel": pa.array(["email"] if name in MAILS else ["web", "app", "store"]).take(
            pa.array(np.zeros(many, np.int64) if name in MAILS else rng.integers(3, size=many))
        ),
    }
    if name in MAILS:
        known["campaign"] = pa.array(CAMPAIGNS).take(pa.array(rng.integers(len(CAMPAIGNS), size=many)))
    if sold:
        known["item"] = pa.array([f"i{place}" for place in range(ITEMS)]).take(pa.array(item))
    if name.startswith("Order"):
        known |= {"quantity": np.ones(many), "price": (10.0 + item % 50) * spends[who]}
        known["order_id"] = pa.array(np.char.add("o", np.arange(many).astype(np.str_)))
    empty = {field.name: pa.nulls(many, field.type) for field in SCHEMA if field.name not in known}
    return pa.table({**known, **empty})


def _impact(folder: Path, _seed: int) -> dict[str, float]:
    from serving.impact.report import build

    build(_shop(folder), None, None, NOW)
    return _cost("impact")


def _journey(folder: Path, _seed: int) -> dict[str, float]:
    from serving.impact.journey import build

    build(_shop(folder), None, None, NOW)
    return _cost("journey")


def _segments(folder: Path, seed: int) -> dict[str, float]:
    from features.history import read_events
    from serving.experiments.definitions import Experiment
    from serving.experiments.segments import kinds

    rng, workspace = np.random.default_rng(seed), _shop(folder)
    who = [f"customer-{place:07}" for place in np.sort(rng.permutation(CUSTOMERS)[:EXPOSED])]
    first = np.datetime64(NOW.replace(tzinfo=None), "us") - rng.integers(1, DAYS * 86_400, EXPOSED).astype("m8[s]")
    people = pa.table({"customer": who, "first": first})
    test = Experiment(key="test", arms={"control": 0.5, "treatment": 0.5}, window_days=14, segments=list(SEGMENTS))
    before = _cost("segments")
    assert len(kinds(workspace, test, read_events(workspace), people)) == EXPOSED  # noqa: S101  # a row each
    after = _cost("segments")
    return after | {"segments_cpu_s": after["segments_cpu_s"] - before["segments_cpu_s"]}


def _difference(_folder: Path, seed: int) -> dict[str, float]:
    from serving.experiments.conversion import curve, difference

    rng = np.random.default_rng(seed)
    waited = [rng.exponential(40.0 - place, CUSTOMERS // 2) for place in range(2)]
    seen = [rng.uniform(0.0, 30.0, CUSTOMERS // 2) for _ in waited]
    curves = [curve(np.minimum(*both), both[0] <= both[1]) for both in zip(waited, seen, strict=True)]
    started = perf_counter()
    difference(curves[1], curves[0], 14.0)
    return {"difference_s": perf_counter() - started}


def _shop(folder: Path) -> Workspace:
    from features.workspace import Workspace

    return Workspace.open(folder / "shop")


def _cost(name: str) -> dict[str, float]:
    """CPU seconds and peak memory of this process so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = Path("/proc/self/status").read_text(encoding="ascii").partition("VmHWM:")[2].split()[0]
    return {f"{name}_cpu_s": used.ru_utime + used.ru_stime, f"{name}_mb": int(peak) / 1024}


PARTS = {"made": _made, "impact": _impact, "journey": _journey, "segments": _segments, "difference": _difference}


def main(words: Sequence[str]) -> None:
    part, folder, seed = words
    print(json.dumps(PARTS[part](Path(folder), int(seed))))


if __name__ == "__main__":
    main(sys.argv[1:])
