"""How well we recommend on Gowalla's published split, and what it costs; every model in a process of its own.

    python -m benchmarks recommend-gowalla --data DIR [--seed N] [--hold-out 1]

All items but those of training are ranked; Recall@20 and NDCG@20 (ideal over min(20, the customer's test items)) are
means over all customers of the test part. The parameters below were chosen with `--hold-out 1`, which judges on a fifth
of the training part and does not read the test part. CPU seconds and the peak are of fitting and answering together.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.apart import apart
from features.interactions import Interactions
from training.metrics import ranking
from training.recommenders import known_recommender
from training.recommenders.base import ItemFilter

K = 20
FAST, FULL = "graph-filter", "ranker"
MEMBERS: dict[str, dict[str, Any]] = {
    "graph-filter": {},
    "gram": {"model": "neighbours", "own": 1.0, "neighbours": 2000},
    "gf-cf": {
        "model": "graph-filter",
        "customer_norm": 0.5,
        "item_norm_from": 0.5,
        "item_norm_to": 0.5,
        "smooth": 0.3,
        "sharpen": 0.0,
    },
    "als": {"factors": 256, "alpha": 60.0, "regularization": 100.0},
    "ease": {"densest": 8000},
    "popularity": {},
}
MODELS: dict[str, dict[str, Any]] = {
    "popularity": {},
    "neighbours": {},
    "als": MEMBERS["als"],
    FAST: {},
    FULL: {"members": MEMBERS},
}
PUBLISHED = {  # Recall@20, NDCG@20 on the same split; the three last ones from memory of the papers
    "ItemCF": (0.157, 0.121), "MF-BPR": (0.163, 0.138), "SLIM": (0.170, 0.138), "EASE": (0.1765, 0.1467),
    "LightGCN": (0.182, 0.155), "GF-CF": (0.185, 0.152), "UltraGCN": (0.186, 0.158), "SimpleX": (0.187, 0.156),
    "RP3beta": (0.183, 0.152), "BSPM": (0.192, 0.160),
}  # fmt: skip


def figures(seed: int, data: Path | None, hold_out: int = 0) -> dict[str, Any]:
    """The figures of the full and the fast recommender; under `comparators` every model and the published tables."""
    names = ("recall_at_20", "ndcg_at_20", "wall_s", "peak_rss_gb")
    if data is None:
        return dict.fromkeys((*names, "fast_recall_at_20", "fast_ndcg_at_20", "fast_cpu_s", "fast_peak_rss_gb"))
    found = {model: apart("recommend_gowalla", model, data, seed, hold_out) for model in MODELS}
    full, fast = found[FULL], found[FAST]
    return {
        **{name: full[name] for name in names},
        "cpu_s": full["cpu_s"],
        **{f"fast_{name}": fast[name] for name in ("recall_at_20", "ndcg_at_20", "cpu_s", "peak_rss_gb")},
        "comparators": {"models": found, "published": PUBLISHED},
    }


def main() -> None:
    """Judges one model and prints what it cost."""
    model, data, seed, hold_out = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    train, test = split(data, seed) if hold_out else (read(data / "gowalla" / "train.parquet"), None)
    cpu, wall = time.process_time(), time.perf_counter()
    kind = known_recommender(model)
    parameters = MODELS[model] | ({"seed": seed} if "seed" in kind.__dataclass_fields__ else {})
    fitted = kind(**parameters).fit(train)
    fit_s = time.process_time() - cpu
    if test is None:
        test = read(data / "gowalla" / "test.parquet")
    customers = test.customers.tolist()
    owned = [train.items[history.item] for history in train.rows(customers).each()]
    answers = fitted.recommend_for(train.rows(customers), K, items=ItemFilter(excluded_each=owned), as_of=None)
    cost = {"cpu_s": time.process_time() - cpu, "fit_cpu_s": fit_s, "wall_s": time.perf_counter() - wall}
    cost["peak_rss_gb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    print(json.dumps(cost | judged(answers.items, test)))


def judged(ranked: Any, test: Interactions) -> dict[str, float]:
    """The two means and their standard errors."""
    relevant = [test.items[history.item] for history in test.each()]
    found, sizes = ranking.hits(ranked, relevant, K), ranking.sizes(relevant)
    values = {"recall_at_20": ranking.recall(found, sizes), "ndcg_at_20": ranking.ndcg(found, sizes)}
    errors = {f"{name}_se": float(row.std() / np.sqrt(len(row))) for name, row in values.items()}
    return {name: float(row.mean()) for name, row in values.items()} | errors


def read(path: Path) -> Interactions:
    """A file of pairs as interactions without times; ids are the numbers, padded so that they sort alike."""
    table = pq.read_table(path)
    user, item = (table.column(place).to_numpy() for place in (0, 1))
    return of_pairs(user, item)


def of_pairs(user: Any, item: Any) -> Interactions:
    """Each pair once, with weight 1 and one purchase."""
    customers, customer = np.unique(user, return_inverse=True)
    items, place = np.unique(item, return_inverse=True)
    order = np.lexsort((place, customer))
    ones, never = np.ones(len(order), np.float32), np.full(len(order), "NaT", "M8[us]")
    ids = (np.char.zfill(numbers.astype(np.str_), 6) for numbers in (customers, items))
    return Interactions(*ids, customer[order].astype(np.int32), place[order].astype(np.int32), ones, ones, never, never)


def split(data: Path, seed: int) -> tuple[Interactions, Interactions]:
    """The training part less a fifth of its pairs, and that fifth, of at most 8,000 customers."""
    table = pq.read_table(data / "gowalla" / "train.parquet")
    user, item = (table.column(place).to_numpy() for place in (0, 1))
    rng = np.random.default_rng(1000 + seed)
    held = rng.random(len(user)) < 0.2
    some = np.isin(user, rng.choice(np.unique(user), 8000, replace=False))
    return of_pairs(user[~held], item[~held]), of_pairs(user[held & some], item[held & some])


if __name__ == "__main__":
    main()
