"""What recommenders cost as a shop grows: fits, an exact top 10 among a million items, answers for 100,000 customers.

    python -m benchmarks recommend-scale [--seed N]

`fit_growth_exponent`: slope of log CPU seconds of ALS's fit on log interactions, over 1M, 4M and 16M simulated ones
with twice the items for four times the interactions; each fit in a process of its own, on one thread.
`topk_1m_ms`, `topk_1m_p99_ms`: CPU of one `recommend_for` among 1M items by 64 factors that ALS learned from a
simulated log, what the customer has left out: mean and 99th percentile of 1,000 customers; `topk_flat_ms`: the same
search where all items have one length, `topk_whole_product_ms`: a product with all items, nothing ranked.
`batch_ratio_to_blas`: CPU of `recommend_for` for 100,000 customers x 20,000 items, top 10, over the product of the same
factors in the same blocks; the larger of no filter and seen items left out.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from benchmarks.apart import apart
from features.interactions import Interactions
from training.recommenders import RECOMMENDERS, known_recommender
from training.recommenders.als import Als
from training.recommenders.base import ItemFilter
from training.recommenders.pruned import NormOrder
from training.recommenders.topk import CELLS

SIZES = (1_000_000, 4_000_000, 16_000_000)
DEFAULT = "als"
MODELS = (DEFAULT, "neighbours", "graph-filter")
EACH = 20  # interactions a customer
TASTES = 16  # groups of items; a customer takes half of his from one
TOP, ASKED = 10, 1000
MILLION, OF_MILLION, ROUNDS = 1_000_000, 4_000_000, 3  # items, interactions, iterations
BATCH, SHELF = 100_000, 20_000
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def figures(seed: int) -> dict[str, Any]:
    """The figures of the issue; every fit under `comparators`."""
    cost = partial(apart, "recommend_scale", environment=ONE_THREAD)
    found = cost("pruned", 0, seed) | cost("batch", 0, seed)
    models = [name for name in MODELS if name in RECOMMENDERS]
    fits = {name: [cost(name, pairs, seed) for pairs in SIZES] for name in models}
    slopes = {name: slope([fit["cpu_s"] for fit in rows]) for name, rows in fits.items()}
    return found | {"fit_growth_exponent": slopes[DEFAULT], "comparators": {"fits": fits, "growth_exponents": slopes}}


def slope(seconds: list[float]) -> float:
    """By which power of the interactions the seconds grow: the line of least squares through the logarithms."""
    return float(np.polyfit(np.log(SIZES), np.log(seconds), 1)[0])


def simulated(pairs: int, items: int, seed: int) -> Interactions:
    """A log of about so many pairs: popular items more often, half of a customer's items of one taste."""
    rng = np.random.default_rng(seed)
    customers = pairs // EACH
    customer = np.repeat(np.arange(customers), EACH)
    item = (items * rng.random(len(customer)) ** 3).astype(np.int64)  # the density falls as place^-2/3
    liked = (rng.random(len(customer)) < 0.5) & (items > TASTES)
    item[liked] = np.minimum(item[liked] // TASTES * TASTES + customer[liked] % TASTES, items - 1)
    item = rng.permutation(items)[item]
    keys = np.unique(customer * items + item)
    ids = (np.char.zfill(np.arange(size).astype(np.str_), 8) for size in (customers, items))
    ones, never = np.ones(len(keys), np.float32), np.full(len(keys), "NaT", "M8[us]")
    places = ((keys // items).astype(np.int32), (keys % items).astype(np.int32))
    return Interactions(*ids, *places, ones, ones, never, never)


def fitted(model: str, pairs: int, seed: int) -> dict[str, float]:
    """What one fit costs."""
    log = simulated(pairs, SHELF * round((pairs / SIZES[0]) ** 0.5), seed)
    kind = known_recommender(model)
    own = {name: value for name, value in (("seed", seed), ("threads", 1)) if name in kind.__dataclass_fields__}
    seconds = cpu(lambda: kind(**own).fit(log))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    return {"pairs": len(log), "items": len(log.items), "cpu_s": seconds, "peak_rss_gb": peak}


def pruned(seed: int) -> dict[str, float]:
    """One customer at a time among a million items."""
    log = simulated(OF_MILLION, MILLION, seed)
    model = Als(iterations=ROUNDS, seed=seed, threads=1).fit(log)
    asked = np.random.default_rng(seed).choice(len(log.customers), ASKED, replace=False)
    histories = [log.between(row, row + 1) for row in asked.tolist()]
    owned = [ItemFilter(excluded_each=[log.items[history.item]]) for history in histories]

    def answer(row: int) -> Any:
        return model.recommend_for(histories[row], TOP, items=owned[row], as_of=None)

    answer(0)  # makes the order
    spent = np.array([cpu(lambda row=row: answer(row)) for row in range(ASKED)]) * 1000
    length = np.linalg.norm(model.factors_, axis=1, keepdims=True)
    flat = NormOrder(model.factors_ / np.maximum(length, np.float32(1e-12)), model.popularity_)
    vectors, nothing = model.customers(log.rows(log.customers[asked[:50]].tolist())), np.empty(0, np.intp)
    full = [cpu(lambda one=one: flat.best(one, TOP, among=None, without=nothing)) * 1000 for one in vectors]
    return {
        "topk_1m_ms": float(spent.mean()),
        "topk_1m_p99_ms": float(np.quantile(spent, 0.99)),
        "topk_flat_ms": float(np.mean(full)),
        "topk_whole_product_ms": float(np.mean([cpu(lambda one=one: model.factors_ @ one) for one in vectors]) * 1000),
    }


def batch(seed: int) -> dict[str, float]:
    """Many customers at once, on one core, beside the product of their factors with the items'."""
    os.cpu_count = lambda: 1  # two hardware threads of one core would both be counted as work
    log = simulated(BATCH * EACH, SHELF, seed)
    model = Als(iterations=ROUNDS, seed=seed, threads=1).fit(log)
    owned = [log.items[log.item[start:stop]] for start, stop in zip(log.starts[:-1], log.starts[1:], strict=True)]
    vectors, rows = model.customers(log), CELLS // SHELF

    def bare() -> None:
        for start in range(0, BATCH, rows):
            vectors[start : start + rows] @ model.factors_.T

    def answer(items: ItemFilter) -> Callable[[], Any]:
        return lambda: model.recommend_for(log, TOP, items=items, as_of=None)

    whole = [(cpu(bare), cpu(answer(ItemFilter())), cpu(answer(ItemFilter(excluded_each=owned)))) for _ in range(3)]
    product, free, unseen = np.median(whole, axis=0).tolist()
    return {
        "batch_ratio_to_blas": max(free, unseen) / product,
        "batch_unfiltered_ratio": free / product,
        "batch_cpu_s": unseen,
        "blas_cpu_s": product,
    }


def cpu(work: Callable[[], Any]) -> float:
    """CPU seconds of this process."""
    start = time.process_time()
    work()
    return time.process_time() - start


def main() -> None:
    """Measures one part and prints what it cost."""
    part, pairs, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    parts = {"pruned": pruned, "batch": batch}
    print(json.dumps(parts[part](seed) if part in parts else fitted(part, pairs, seed)))


if __name__ == "__main__":
    main()
