"""What a decision costs over HTTP beside servers that write nothing down, and how long it takes.

    python -m benchmarks serving [--seed N]

20,000 items x 64 factors, 200,000 customers with 20 seen items each, two workers everywhere, metrics on, one BLAS
thread. Rounds are interleaved: in each, every server is asked over 16 connections for three seconds, for customers by
chance. `ratio_to_*`: answers a second of `/v1/recommend`, each journalled, over those of a server of `serving_peers`.
`cpu_ratio_to_implicit`, `ratio_filtered` (a `where` and 20 exclusions), `ratio_offers` (5 offers, 30 features in the
request), `ratio_1m_to_20k`: CPU per request of all processes of the service. `batch_gain`: that of a single one over
that of a customer in a batch of 1,000, asked over two connections. Medians of the rounds. `p50_ms`, `p99_ms`:
at half of saturation, arriving by chance; `p99_bare_ms`: the bare server at the same rate, asked in turns;
`ratio_p99_ingest`: p99 with 2,000 events a second coming in over p99 in the turn before. `ready_ratio`: seconds until
ready over those of an empty BentoML service; `worker_private_share`: memory that only one worker holds beyond that of
an empty one, over the bytes of the releases.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.load import Client, Drive
from benchmarks.served import quiet
from benchmarks.serving_beside import ingesting, private_share, ready_ratio
from benchmarks.serving_shop import shop
from benchmarks.serving_targets import BATCHED, CONNECTIONS, WORKERS, Target, ours, peers
from features.workspace import Workspace

ROUNDS, SECONDS = 5, 3.0
SETTLED = 0.5  # seconds after which a journal's last group is written
TURNS, PACED_SECONDS, WARM = 4, 6.0, 8
FEW, MANY, CUSTOMERS = 20_000, 1_000_000, 200_000
OWN, OURS = 60, b'"fallback":null'  # answers looked at before anything is measured, and what each must say
Costs = Mapping[str, Mapping[str, float]]


def figures(seed: int) -> dict[str, Any]:
    """The figures of the issue; what each server did under `comparators`."""
    quiet()
    with tempfile.TemporaryDirectory(prefix="attune-serving-") as name:
        few, many = (shop(Path(name) / str(items), items, CUSTOMERS, seed) for items in (FEW, MANY))
        return of_shops(few, many, seed)


def of_shops(few: Workspace, many: Workspace, seed: int) -> dict[str, Any]:
    """The figures of these shops."""
    rng = np.random.default_rng(seed)
    with ExitStack() as stack:
        targets = ours(few, many, CUSTOMERS, rng, stack) | peers(few.folder / "arrays", CUSTOMERS, rng, stack)
        for name in ("recommend", "filtered", "offers", "million"):
            _require_own(name, targets[name], seed)
        costs = _costs(targets)
        paced = _paced(targets, few, costs["recommend"]["rate"] / 2, seed)
        share = private_share(targets["recommend"].served, few)
    ready = ready_ratio(few)
    return {
        **_ratios(costs),
        **paced,
        "batch_gain": costs["recommend"]["cpu_us"] / costs["batch"]["cpu_us"] * BATCHED,
        "ready_ratio": ready,
        "worker_private_share": share,
        "comparators": costs,
    }


def _costs(targets: Mapping[str, Target]) -> Costs:
    """Per target the medians of the rounds: answers a second, CPU per request, latency at saturation."""
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in targets}
    for turn in range(ROUNDS):
        for name, target in targets.items():
            start = (
                len(target.requests) * turn // ROUNDS
            )  # else the first of them would be shown the same in each round
            rounds[name].append(_round(target, [*target.requests[start:], *target.requests[:start]]))
            _say(name, rounds[name][-1])
    return {name: {key: median(one[key] for one in found) for key in found[0]} for name, found in rounds.items()}


def _round(target: Target, requests: Sequence[bytes]) -> dict[str, float]:
    client = Client(target.served, target.connections, WORKERS)
    client.saturate(requests, SECONDS / WARM)
    cpu = target.served.cpu_s()
    drive = client.saturate(requests, SECONDS)
    time.sleep(SETTLED)
    cpu = target.served.cpu_s() - cpu
    client.close()
    _all_good(drive)
    each = cpu / len(drive.latencies) * 1e6
    return {"rate": drive.rate, "cpu_us": each, "p99_ms": drive.ms(0.99), "load": os.getloadavg()[0]}


def _require_own(name: str, target: Target, seed: int) -> None:
    """Refuses to measure a service that answers without its model."""
    client = Client(target.served, target.connections, WORKERS)
    drive = client.pace(
        target.requests, OWN / PACED_SECONDS, PACED_SECONDS, seed, lambda _due, _asked, body: OURS in body
    )
    client.close()
    if drive.failed:
        raise RuntimeError(f"{name}: {drive.failed} of {OWN} answers are not the model's own")


def _ratios(costs: Costs) -> dict[str, float | None]:
    """Those of throughput and of CPU; null where a server is missing."""

    def ratio(key: str, above: str, below: str) -> float | None:
        return costs[above][key] / costs[below][key] if above in costs and below in costs else None

    return {
        "ratio_to_starlette": ratio("rate", "recommend", "bare"),
        "ratio_to_api": ratio("rate", "recommend", "api"),
        "ratio_to_mlflow": ratio("rate", "recommend", "mlflow"),
        "cpu_ratio_to_implicit": ratio("cpu_us", "recommend", "implicit"),
        "ratio_filtered": ratio("cpu_us", "filtered", "recommend"),
        "ratio_offers": ratio("cpu_us", "offers", "recommend"),
        "ratio_1m_to_20k": ratio("cpu_us", "million", "recommend"),
    }


def _paced(targets: Mapping[str, Target], few: Workspace, rate: float, seed: int) -> dict[str, float | None]:
    """Latencies at this rate, in turns: the bare server, the service, the service while events come in."""
    found: dict[str, list[Drive]] = {"bare": [], "recommend": [], "ingest": []}
    for turn in range(TURNS):
        for name in ("bare", "recommend"):
            if name in targets:
                found[name].append(_drive(targets[name], rate, seed + turn))
        with ingesting(few, targets["recommend"].served.port):
            found["ingest"].append(_drive(targets["recommend"], rate, seed + turn))
    p99 = {name: median(one.ms(0.99) for one in drives) for name, drives in found.items() if drives}
    return {
        "rate_paced": rate,
        "p50_ms": median(one.ms(0.5) for one in found["recommend"]),
        "p99_ms": p99["recommend"],
        "p99_bare_ms": p99.get("bare"),
        "ratio_p99_ingest": p99["ingest"] / p99["recommend"],
    }


def _drive(target: Target, rate: float, seed: int) -> Drive:
    client = Client(target.served, CONNECTIONS, WORKERS)
    client.pace(target.requests, rate, PACED_SECONDS / WARM, seed)
    drive = client.pace(target.requests, rate, PACED_SECONDS, seed)
    client.close()
    _all_good(drive)
    _say("paced", {"rate": rate, "p50_ms": drive.ms(0.5), "p99_ms": drive.ms(0.99), "load": os.getloadavg()[0]})
    return drive


def _all_good(drive: Drive) -> None:
    if drive.failed:
        raise RuntimeError(f"{drive.failed} of {len(drive.latencies)} requests were not answered by 200")


def _say(name: str, numbers: Mapping[str, float]) -> None:
    print(f"{name}: " + ", ".join(f"{key} {value:,.2f}" for key, value in numbers.items()), file=sys.stderr)
