"""One run against another, customer by customer; and what models give for what they cost."""

from dataclasses import replace
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from features.events import Events
from features.sources.simulator.shop import simulate_events
from features.sources.simulator.world import SHOP
from features.workspace import Settings, Workspace
from training.comparison import PARTS, Kept, Offered, compared, pareto
from training.pipelines.recommend import learned
from training.pipelines.recommend_summary import METRIC

UNTIL = datetime.fromisoformat("2026-01-01")
SPLIT = {"kind": "time", "test": "2025-12-03T00:00:00", "end": "2025-12-31T00:00:00"}


def kept(values, name="1 (als)"):
    size = len(values)
    customers = np.array([f"customer-{row:03d}" for row in range(size)])
    return Kept(name, "ndcg@10", SPLIT, customers, np.arange(size), dict.fromkeys(PARTS, np.asarray(values, float)))


def of_seed(events, folder, seed):
    trained = learned(events, Workspace(folder, Settings(name="shop")), ("als",), seed=seed)
    values = {part: found[METRIC] for part, found in trained.judged["als"].values.items()}
    return Kept(
        f"seed {seed}", trained.evaluation["metric"], trained.evaluation["split"], np.array(trained.customers),
        trained.history, values,
    )  # fmt: skip


def test_two_seeds_of_one_model_are_not_distinguishable(tmp_path):
    events = Events.of(pa.concat_tables(list(simulate_events(SHOP, 1000, 1, UNTIL))))
    first, second = (of_seed(events, tmp_path, seed) for seed in (0, 1))
    assert not np.array_equal(first.values["all"], second.values["all"], equal_nan=True)
    assert compared(first, second)[2].endswith("not distinguishable")


def test_what_every_customer_has_more_of_is_better_in_every_group_that_is_large_enough():
    ours, theirs = kept(np.full(200, 0.5)), kept(np.linspace(0.1, 0.4, 200), "2 (repeat)")
    rows = compared(ours, theirs)[2:]
    few = ["distinguishable"] * 2  # fewer than 20 customers: nothing can be said
    assert [row.split()[-1] for row in rows] == ["better"] * len(PARTS) + few + ["better"]
    assert compared(theirs, ours)[2].endswith("worse")


def test_another_split_or_other_customers_are_refused_in_one_line():
    ours = kept(np.ones(30))
    with pytest.raises(ValueError, match=r"1 \(als\) and 2 differ in their split: 2025-12-03T00:00 to .*"):
        compared(ours, replace(ours, name="2", split=SPLIT | {"test": "2025-11-03T00:00:00"}))
    with pytest.raises(ValueError, match="judged on different customers: 30 and 29, 29 of them the same"):
        compared(ours, kept(np.ones(29), "2"))


def test_only_what_no_other_beats_in_quality_cpu_and_memory_is_on_the_front():
    cheap, good = Offered("cheap", 0.1, 1, 10), Offered("good", 0.3, 9, 90)
    beaten = Offered("beaten", 0.2, 9, 90)
    assert pareto([cheap, beaten, good]) == [good, cheap]
