"""How well we recommend in a real shop: Online Retail, the last four weeks, repeats allowed.

    python -m benchmarks recommend-retail --data DIR [--seed N]

Recall@10 per customer who bought in the last 28 days and before them; ours minus each baseline, paired over customers,
with a 95 % bootstrap interval. Ours is chosen among `OURS` on the 28 days before; the test period is scored once, and
every model runs in a process of its own. CPU seconds and memory are of one fit and its answers.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmarks.apart import apart
from features.events import Events
from features.interactions import Interactions
from features.lines import Lines
from features.sources.online_retail import read
from features.workspace import InteractionSettings
from training.cost import measured
from training.intervals import Interval, mean_interval, paired_difference
from training.metrics import ranking
from training.pipelines.recommend_evaluation import purchases_between
from training.recommenders import RECOMMENDERS, known_recommender, stored
from training.recommenders.base import ItemFilter
from training.recommenders.scorer import Scorer, Scores
from training.splits import TimeSplit

K, HORIZON = 10, timedelta(days=28)
FILE = Path("online_retail") / "online_retail_sales.parquet"
OURS = ("ranker", "blend", "graph-filter", "repeat")
TOP = "personal top frequency"
BASELINES = (TOP, "tifu", "als", "neighbours")
Row = NDArray[np.float64]


@dataclass
class PersonalTop(Scorer):
    """What a customer bought most often, ties by popularity; then what everybody buys."""

    name: ClassVar[str] = TOP

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        scores = histories.purchase_matrix.toarray()
        return np.asarray(scores + np.where(scores > 0, 0.5 * self.popularity_, 0), dtype=np.float32)


def figures(seed: int, data: Path | None) -> dict[str, Any]:
    """The worst interval of ours minus a baseline's; null without the data, and where a baseline is missing."""
    keys = ("worst_paired_upper", "worst_paired_lower", "better_than", "recall_at_10", "chosen")
    if data is None:
        return dict.fromkeys(keys)
    with tempfile.TemporaryDirectory() as folder:
        there = [name for name in (*OURS, *BASELINES) if name == TOP or name in RECOMMENDERS]
        costs = {name: apart("recommend_retail", name, data, seed, folder) for name in there}
        values = {name: dict(np.load(Path(folder) / f"{name}.npz")) for name in there}
    best = max(set(there) & set(OURS), key=lambda name: float(values[name]["validation"].mean()))
    rng = np.random.default_rng(seed)
    ours = values[best]["test"]
    against = {name: paired_difference(ours, values[name]["test"], rng) for name in BASELINES if name in there}
    means = {name: mean_interval(values[name]["test"], rng) for name in there}
    return {
        **_worst(list(against.values()), whole=len(against) == len(BASELINES)),
        "recall_at_10": means[best].estimate,
        "customers": len(ours),
        "chosen": best,
        "comparators": {
            "missing": [name for name in BASELINES if name not in there],
            "ours_minus": {name: _ends(found) for name, found in against.items()},
            "models": {name: costs[name] | {"recall_at_10": _ends(means[name])} for name in there},
        },
    }


def _worst(differences: list[Interval], *, whole: bool) -> dict[str, Any]:
    """Over the baselines; null while one of them is missing."""
    return {
        "worst_paired_upper": min(found.upper for found in differences) if whole else None,
        "worst_paired_lower": min(found.lower for found in differences) if whole else None,
        "better_than": sum(found.lower > 0 for found in differences),
    }


def _ends(found: Interval) -> list[float]:
    return [found.estimate, found.lower, found.upper]


def main() -> None:
    """Judges one model on both periods; the values of customers go to a file, what it cost is printed."""
    name, data, seed, folder = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    log = Events.of(read(data / FILE, datetime.fromisoformat("2026-01-01")).events)
    split = TimeSplit.of(log.span(), HORIZON.days)
    values: dict[str, Row] = {}
    costs: dict[str, float] = {}
    for part, start, end in (("validation", split.validate, split.test), ("test", split.test, split.end)):
        values[part], costs = judged(log, name, (start, end), seed)
    np.savez(folder / f"{name}.npz", **values)
    print(json.dumps(costs | {"validation": float(values["validation"].mean())}))


def judged(log: Events, name: str, period: tuple[datetime, datetime], seed: int) -> tuple[Row, dict[str, float]]:
    """Recall@10 of every customer known before the period who bought in it, and the cost of fit and answers."""
    start, end = period
    past = replace(known(log, start - HORIZON), earlier=known(log, start - 2 * HORIZON))
    train = replace(known(log, start), earlier=past)
    there = set(train.customers.tolist())
    bought = {one: items for one, items in purchases_between(log, start, end).items() if one in there}
    customers, relevant = sorted(bought), [bought[one] for one in sorted(bought)]
    kind = PersonalTop if name == TOP else known_recommender(name)
    chance = {"seed": seed} if stored.takes(kind, "seed") else {}
    with measured() as cost:
        model = kind(**chance).fit(train).beside(train)
        answers = model.recommend_for(train.rows(customers), K, items=ItemFilter(), as_of=start)
    recall = ranking.recall(ranking.hits(answers.items, relevant, K), ranking.sizes(relevant))
    return recall, {"cpu_s": cost.cpu_s, "memory_mb": cost.memory_mb}


def known(log: Events, moment: datetime) -> Interactions:
    """What was known then, purchases one by one with it."""
    found = Interactions.build(log, moment, InteractionSettings())
    return replace(found, lines=Lines.build(log, moment, found))


if __name__ == "__main__":
    main()
