"""How close we come to the oracle of the simulated shop, who knows the items' true appeal, tastes, seasons and cycles.

    python -m benchmarks recommend-simulated [--seed N]

5,000 customers, 180 days of the world `shop`; what is bought in the last 28 days, repeats allowed, judged by Recall@10
over customers who bought. The model and its weights of events are chosen on the 28 days before; every model in a
process of its own, and the test period is scored once. The main figure is of customers with 20 or more events.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.apart import apart
from features import events
from features.events import Events
from features.interactions import Interactions
from features.lines import Lines
from features.sources.simulator.shop import Shop, simulate_events
from features.sources.simulator.truth import History, expected_orders
from features.sources.simulator.world import SHOP
from features.workspace import InteractionSettings
from training.cost import measured
from training.recommenders import known_recommender, stored
from training.recommenders.base import ItemFilter

UNTIL, DAYS, HORIZON = datetime.fromisoformat("2026-01-01"), 180, timedelta(days=28)
CUSTOMERS, MANY, K = 5000, 20, 10
Rows = NDArray[np.float64]
SHOPPED = {events.VIEWED: 0.1, events.ADDED: 0.3, events.ORDERED: 1.0}
VIEWED = SHOPPED | {events.VIEWED: 0.3}  # most of what is known of a taste are views
MEMBERS: dict[str, dict[str, Any]] = {"graph-filter": {}, "als": {}, "softmax": {}, "repeat": {}, "popularity": {}}
ALONE = ("popularity", "neighbours", "repeat", "als", "softmax", "graph-filter", "ranker")
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, float]]] = {
    **{name: (name, {}, SHOPPED) for name in ALONE},
    "ranker, views": ("ranker", {}, VIEWED),
    "ranker, views, softmax": ("ranker", {"members": MEMBERS}, VIEWED),
}


@dataclass(frozen=True)
class Log:
    """The simulated log, and counts of customers x items before and after a moment."""

    shop: Shop
    events: Events
    frame: pd.DataFrame

    @classmethod
    def of(cls, seed: int) -> Log:
        """The log of this seed."""
        table = pa.concat_tables(list(simulate_events(SHOP, CUSTOMERS, seed, UNTIL, DAYS)))
        frame = table.select(["name", "customer", "item", "time"]).to_pandas()
        frame = frame[frame["customer"].notna() & frame["item"].notna()]
        frame["row"], frame["place"] = (frame[name].str.split("-").str[1].astype(int) for name in ("customer", "item"))
        return cls(Shop(SHOP, seed, UNTIL, DAYS), Events.of(table), frame)

    def count(self, start: datetime, end: datetime, *names: str) -> Rows:
        """How often each customer did this with each item in [start, end)."""
        part = self.frame[(self.frame["time"] >= start) & (self.frame["time"] < end) & self.frame["name"].isin(names)]
        counted = np.zeros((CUSTOMERS, SHOP.items))
        np.add.at(counted, (part["row"].to_numpy(), part["place"].to_numpy()), 1)
        return counted

    def age(self, cut: datetime) -> Rows:
        """Days since the last order; infinite where there was none."""
        part = self.frame[(self.frame["time"] < cut) & (self.frame["name"] == events.ORDERED)]
        last = part.groupby(["row", "place"])["time"].max()
        age = np.full((CUSTOMERS, SHOP.items), np.inf)
        rows, places = (last.index.get_level_values(level).to_numpy() for level in (0, 1))
        age[rows, places] = (cut - last).dt.total_seconds() / 86_400
        return age


def figures(seed: int) -> dict[str, Any]:
    """The chosen model's and popularity's share of the oracle; under `comparators` every model and its cost."""
    found = {name: apart("recommend_simulated", name, seed) for name in MODELS}
    best = max(found, key=lambda name: float(found[name]["validation"]["many"]))
    ours, popular = found[best]["test"], found["popularity"]["test"]
    oracle = oracle_recall(Log.of(seed), UNTIL - HORIZON)
    return {
        "share_of_oracle": ours["many"] / oracle["many"],
        "popularity_share_of_oracle": popular["many"] / oracle["many"],
        "share_of_oracle_all_known": ours["known"] / oracle["known"],
        "recall_at_10": ours["many"],
        "oracle_recall_at_10": oracle["many"],
        "new_customers_recall_at_10": ours["new"],
        "new_items_recall_at_10": None,  # the simulated shop sells all its items from the first day
        "chosen": best,
        "comparators": {"models": found, "oracle": oracle},
    }


def oracle_recall(log: Log, cut: datetime) -> dict[str, float]:
    """Of the oracle, in every group."""
    seen = log.count(log.shop.start, cut, events.VIEWED)
    history = History(seen, log.age(cut))
    rate = (seen.sum(axis=1) + 1) / SHOP.views / max((cut - log.shop.start).days, 1)
    span = float(cut.timetuple().tm_yday), float(HORIZON.days)
    score = expected_orders(SHOP, log.shop.items, history, span, rate)
    return recalls(log, cut, np.argpartition(-score, K, axis=1)[:, :K])


def recalls(log: Log, cut: datetime, best: NDArray[np.intp]) -> dict[str, float]:
    """The mean Recall@10 of customers who bought: all with a history, those with many events, those with none."""
    bought = log.count(cut, cut + HORIZON, events.ORDERED) > 0
    size = log.count(log.shop.start, cut, *SHOPPED).sum(axis=1)
    recall = np.take_along_axis(bought, best, axis=1).sum(axis=1) / np.maximum(bought.sum(axis=1), 1)
    groups = {"known": size > 0, "many": size >= MANY, "few": (size > 0) & (size < MANY), "new": size == 0}
    return {name: float(recall[who & bought.any(axis=1)].mean()) for name, who in groups.items()}


def main() -> None:
    """Judges one model on the validation and the test period and prints what it cost."""
    name, seed = sys.argv[1], int(sys.argv[2])
    log, test = Log.of(seed), UNTIL - HORIZON
    started = time.process_time()
    with measured() as cost:
        found = {
            "validation": judged(log, name, test - HORIZON, seed),
            "test": judged(log, name, test, seed),
        }
    cost.cpu_s = (time.process_time() - started) / len(found)  # of one fit and its answers
    print(json.dumps(found | {"cpu_s": cost.cpu_s, "memory_mb": cost.memory_mb}))


def judged(log: Log, name: str, cut: datetime, seed: int) -> dict[str, float]:
    """The recalls of the model fitted as of `cut`; what followed one and two horizons earlier are its lessons."""
    model, parameters, weights = MODELS[name]
    train, past, before = (known(log.events, cut - steps * HORIZON, weights) for steps in range(3))
    train = replace(train, earlier=replace(past, earlier=before))
    kind = known_recommender(model)
    chance = {"seed": seed} if stored.takes(kind, "seed") else {}
    fitted = kind(**parameters, **chance).fit(train)
    histories = train.rows([f"customer-{row:07d}" for row in range(CUSTOMERS)])
    answers = fitted.recommend_for(histories, K, items=ItemFilter(), as_of=cut)
    return recalls(log, cut, np.array([[int(item.split("-")[1]) for item in row] for row in answers.items]))


def known(log: Events, moment: datetime, weights: dict[str, float]) -> Interactions:
    """What was known then, purchases one by one with it."""
    found = Interactions.build(log, moment, InteractionSettings(weights=weights))
    return replace(found, lines=Lines.build(log, moment, found))


if __name__ == "__main__":
    main()
