"""Targets: the servers that `serving` asks, and what each is asked."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.load import request
from benchmarks.served import Served, free_port
from benchmarks.serving_shop import features
from features.workspace import Workspace

WORKERS = 2
ASKED = 20_000  # different requests of each kind
EXCLUDED = 20
BATCHED, BATCHES = 1_000, 200  # customers in one, and how many: of few somebody would be shown the same again and again
CONNECTIONS = 16
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
WHERE = {
    "all": [{"item": "price", "at_most": 60.0}, {"item": "category", "in": [f"category {one}" for one in range(6)]}]
}
Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class Target:
    """A running server, and what it is asked."""

    served: Served
    requests: Sequence[bytes]
    connections: int = CONNECTIONS


def ours(
    few: Workspace, many: Workspace, customers: int, rng: np.random.Generator, stack: ExitStack
) -> dict[str, Target]:
    """The service, by what it is asked, and a second one with many items."""
    served, million = (_until(stack, Served.start(shop, workers=WORKERS)) for shop in (few, many))
    seen = [{**one, "include_bought": "never"} for one in asking(customers, rng)]
    items = np.load(few.folder / "arrays" / "ids.npy")
    excluded = [rng.choice(items, EXCLUDED).tolist() for _ in seen]
    filtered = [{**one, "filter": WHERE, "exclude": ids} for one, ids in zip(seen, excluded, strict=True)]
    told = features(rng, ASKED).to_dict("records")
    offers = [{**one, "features": row} for one, row in zip(asking(customers, rng), told, strict=True)]
    return {
        "recommend": Target(served, _all("/v1/recommend", seen)),
        "filtered": Target(served, _all("/v1/recommend", filtered)),
        "offers": Target(served, _all("/v1/offers/select", offers)),
        "batch": Target(served, _batches(asking(customers, rng, BATCHES * BATCHED)), WORKERS),
        "million": Target(million, _all("/v1/recommend", seen)),
    }


def _batches(rows: Rows) -> list[bytes]:
    """The customers of these requests, so many together."""
    starts = range(0, len(rows), BATCHED)
    many = [[row["customer"] for row in rows[start : start + BATCHED]] for start in starts]
    return _all("/v1/recommend/batch", [{"customers": some, "include_bought": "never"} for some in many])


def peers(arrays: Path, customers: int, rng: np.random.Generator, stack: ExitStack) -> dict[str, Target]:
    """The others; one that does not start is left out."""
    rows = asking(customers, rng)
    app, found = _started(stack, lambda: bare(arrays)), dict[str, Target]()
    if app:
        found |= {"bare": Target(app, _all("/recommend", rows)), "implicit": Target(app, _all("/implicit", rows))}
    if served := _started(stack, lambda: bento("Recommender", arrays)):
        found["api"] = Target(served, _all("/recommend", rows))
    if served := _started(stack, lambda: mlflow(arrays)):
        found["mlflow"] = Target(served, _all("/invocations", [{"dataframe_records": [one]} for one in rows]))
    return found


def asking(customers: int, rng: np.random.Generator, many: int = ASKED) -> Rows:
    """Customers by chance."""
    return [{"customer": f"{one:08}"} for one in rng.integers(customers, size=many)]


def bare(arrays: Path) -> Served:
    port = free_port()
    words = ["benchmarks.serving_bare", str(port), str(WORKERS)]
    return Served.run(words, port, arrays / "bare.log", probe="/ready", environment=_under(arrays))


def bento(name: str, arrays: Path) -> Served:
    port = free_port()
    words = ["bentoml", "serve", f"benchmarks.serving_api:{name}", "--port", str(port), "--host", "127.0.0.1"]
    under = {**_under(arrays), "BENTOML_HOME": str(_made(arrays / f"bentoml-{name}"))}
    return Served.run(words, port, arrays / f"{name}.log", environment=under)


def mlflow(arrays: Path) -> Served:
    port, folder = free_port(), arrays / "pyfunc"
    if not folder.exists():
        words = [sys.executable, "-m", "benchmarks.serving_mlflow", str(arrays), str(folder)]
        subprocess.run(words, check=True, stdout=sys.stderr)
    words = [
        "mlflow",
        "models",
        "serve",
        "-m",
        str(folder),
        "-p",
        str(port),
        "-w",
        str(WORKERS),
        "--env-manager",
        "local",
    ]
    return Served.run(words, port, arrays / "mlflow.log", probe="/ping", environment=_under(arrays))


def _under(arrays: Path) -> dict[str, str]:
    beside = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # where MLflow looks for uvicorn
    return {**ONE_THREAD, "ARRAYS": str(arrays), "PATH": beside}


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def _all(path: str, rows: Rows) -> list[bytes]:
    return [request(path, one) for one in rows]


def _until(stack: ExitStack, served: Served) -> Served:
    stack.callback(served.stop)
    return served


def _started(stack: ExitStack, start: Callable[[], Served]) -> Served | None:
    try:
        return _until(stack, start())
    except (RuntimeError, subprocess.CalledProcessError) as error:
        print(f"a comparator is null: {str(error)[-500:]}", file=sys.stderr)
        return None
