"""What training costs beside the bare libraries: ALS at 4M interactions, a T-learner on 1M exposures.

    python -m benchmarks training [--seed N]

`ratio_als`: CPU seconds of `Als.fit` over those of `implicit`'s own fit on a matrix that is already made, with the same
factors, iterations, regularisation and threads; medians of interleaved repeats. Target: at most 1.2.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse
from threadpoolctl import threadpool_limits

from features.interactions import Interactions
from training.recommenders.als import Als

PAIRS, CUSTOMERS, ITEMS, REPEATS = 4_000_000, 200_000, 20_000, 3
THREADS = 1  # a thread that spins while it waits would be counted as work


COMPARATORS = ("implicit_cpu_s", "implicit_wall_s", "bare_cpu_s")  # the bare fits' seconds


def figures(seed: int) -> dict[str, Any]:
    """The ratios of both parts and our seconds; those of the bare fits under `comparators`."""
    from benchmarks import training_uplift

    found = als_figures(seed) | training_uplift.figures(seed)
    comparators = {name: found.pop(name) for name in COMPARATORS}
    return found | {"comparators": comparators}


def als_figures(seed: int, pairs: int = PAIRS) -> dict[str, float]:
    """`ratio_als`, and the CPU and wall seconds of both fits."""
    log = simulated(seed, pairs)
    confidences = log.matrix.copy()
    confidences.data = 1 + np.float32(Als.alpha) * confidences.data
    ours, bare = [], []
    for repeat in range(REPEATS):
        bare.append(_seconds(lambda: _bare(confidences, seed)))
        ours.append(_seconds(lambda: Als(seed=seed, threads=THREADS).fit(_fresh(log))))
        print(f"repeat {repeat}: Als.fit {ours[-1][0]:.1f} CPU s, implicit {bare[-1][0]:.1f}", file=sys.stderr)
    (our_cpu, our_wall), (bare_cpu, bare_wall) = (np.median(runs, axis=0).tolist() for runs in (ours, bare))
    return {
        "ratio_als": our_cpu / bare_cpu,
        "als_cpu_s": our_cpu,
        "als_wall_s": our_wall,
        "implicit_cpu_s": bare_cpu,
        "implicit_wall_s": bare_wall,
    }


def simulated(seed: int, pairs: int) -> Interactions:
    """Random pairs, popular items more often, as a log of this size has."""
    rng = np.random.default_rng(seed)
    popular = rng.permutation(1 / np.arange(1, ITEMS + 1) ** 0.7)
    keys = np.empty(0, dtype=np.int64)
    while len(keys) < pairs:
        customer = rng.integers(0, CUSTOMERS, pairs)
        item = rng.choice(ITEMS, pairs, p=popular / popular.sum())
        keys = np.unique(np.concatenate([keys, customer * ITEMS + item]))
    keys = np.sort(rng.choice(keys, pairs, replace=False))
    names = (np.char.zfill(np.arange(size).astype(np.str_), 6) for size in (CUSTOMERS, ITEMS))
    never = np.full(pairs, "NaT", "M8[us]")
    weight = rng.exponential(1, pairs).astype(np.float32) + np.float32(0.01)
    ids = ((keys // ITEMS).astype(np.int32), (keys % ITEMS).astype(np.int32))
    return Interactions(*names, *ids, weight, np.ones(pairs, np.float32), never, never)


def _fresh(log: Interactions) -> Interactions:
    """The same log without its cached matrix, which our fit has to make."""
    fields = ("customers", "items", "customer", "item", "weight", "purchases", "first", "last")
    return Interactions(*(getattr(log, name) for name in fields))


def _bare(confidences: sparse.csr_matrix, seed: int) -> None:
    with threadpool_limits(1, "blas"):
        solver = AlternatingLeastSquares(
            factors=Als.factors,
            regularization=Als.regularization,
            alpha=1.0,
            iterations=Als.iterations,
            num_threads=THREADS,
            random_state=seed,
        )
        solver.fit(confidences, show_progress=False)


def _seconds(work: Callable[[], object]) -> tuple[float, float]:
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall
