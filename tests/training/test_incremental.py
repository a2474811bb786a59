"""Yesterday's model, given today's histories, answers like one that was fitted again on everything."""

from dataclasses import replace
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from features.events import Events
from features.interactions import Interactions
from features.sources.simulator.shop import simulate_events
from features.sources.simulator.world import world_named
from features.workspace import InteractionSettings
from training.metrics import ranking
from training.pipelines.recommend_evaluation import purchases_between
from training.recommenders import RECOMMENDERS
from training.recommenders.base import ItemFilter

END = datetime.fromisoformat("2025-07-01")
DAYS = [END - timedelta(days=28 + number) for number in range(8)]
SMALL = {"als": {"threads": 1}}
K = 10


@pytest.fixture(scope="module")
def events():
    return Events.of(pa.concat_tables(list(simulate_events(world_named("shop"), 3000, 1, END))))


@pytest.fixture(scope="module")
def logs(events):
    """The interactions before each day, and before the day before the first; each knows its two earlier selves."""

    def before(moment, steps):
        found = Interactions.build(events, moment, InteractionSettings())
        return replace(found, earlier=before(moment - timedelta(days=28), steps - 1)) if steps else found

    return [before(moment, 2) for moment in [*DAYS, DAYS[-1] - timedelta(days=1)]]


@pytest.fixture(scope="module")
def judges(events, logs):
    """Per day who had events in the day before it, and what each of them bought in the four weeks after."""
    found = []
    for today, new in zip(DAYS, logs, strict=False):
        truth = purchases_between(events, today, today + timedelta(days=28))
        lately = new.last >= np.datetime64(today - timedelta(days=1))
        customers = [name for name in new.customers[np.unique(new.customer[lately])].tolist() if name in truth]
        found.append((customers, [np.array(sorted(truth[name])) for name in customers]))
    return found


def recalls(model, histories, relevant, as_of):
    found = model.recommend_for(histories, K, items=ItemFilter(), as_of=as_of).items
    return ranking.recall(ranking.hits(found, relevant, K), ranking.sizes(relevant))


@pytest.mark.parametrize(
    "name", ["neighbours", "graph-filter", "als", "repeat", "bm25", pytest.param("ranker", marks=pytest.mark.slow)]
)
def test_todays_history_makes_up_for_yesterdays_model(name, logs, judges):
    """Within 2 % of a full refit; with yesterday's history it is behind."""
    models = [RECOMMENDERS[name](**SMALL.get(name, {})).fit(log) for log in logs]
    refit, updated, stale = [], [], []
    for place, (customers, relevant) in enumerate(judges):
        new, old = (log.rows(customers) for log in logs[place : place + 2])
        refit.append(recalls(models[place], new, relevant, DAYS[place]))
        updated.append(recalls(models[place + 1], new, relevant, DAYS[place]))
        stale.append(recalls(models[place + 1], old, relevant, DAYS[place] - timedelta(days=1)))
    whole, ours, without = (np.concatenate(values).mean() for values in (refit, updated, stale))
    assert sum(len(values) for values in refit) > 500
    assert ours > 0.98 * whole
    assert without < 0.98 * whole
