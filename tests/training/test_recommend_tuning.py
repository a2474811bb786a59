"""Tuning in a training run. The shop: 30 customers buy their own item every week, and look at others' all the time.

So what was viewed says little: a tuned weight of views is small, and nothing of the test period decides that.
"""

import json
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import ClassVar

import numpy as np
import pyarrow as pa
import pytest

from features.events import ORDERED, SCHEMA, Events
from features.interactions import Interactions
from features.workspace import InteractionSettings, Settings, Workspace
from training import tracking
from training.pipelines.recommend import learned
from training.pipelines.recommend_lines import lines
from training.pipelines.recommend_run import register
from training.pipelines.recommend_summary import BASELINE
from training.pipelines.recommend_tuning import space_of, weighing
from training.promotion import promote
from training.recommenders import RECOMMENDERS
from training.recommenders.search import Span
from training.release import current, load_release
from training.splits import TimeSplit
from training.tuning import attempts, best

START = datetime.fromisoformat("2024-01-01")
CUSTOMERS, ITEMS, WEEKS = 30, 10, 26
VIEWED = "Product Viewed"
MODELS = ("neighbours", "ease")


def row(customer, item, time, name, number):
    return dict.fromkeys(SCHEMA.names) | {
        "source": "test", "message_id": f"{number}", "line": 0, "name": name, "customer": f"customer-{customer:02}",
        "time": time, "received_at": time, "live": False, "item": f"item-{item}", "quantity": 1.0, "price": 1.0,
        "machine": False,
    }  # fmt: skip


def table(weeks=WEEKS):
    rng = np.random.default_rng(0)
    rows = []
    for week in range(weeks):
        for customer in range(CUSTOMERS):
            time = START + timedelta(days=7 * week, minutes=customer)
            bought = int(rng.integers(ITEMS)) if rng.random() < 0.3 else customer % ITEMS
            rows.append(row(customer, bought, time, ORDERED, len(rows)))
            for item in rng.integers(ITEMS, size=4).tolist():
                rows.append(row(customer, item, time, VIEWED, len(rows)))
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@pytest.fixture(scope="module")
def events():
    return Events.of(table())


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    settings = {"name": "shop", "interactions": {"weights": {VIEWED: 0.9, "Product Added": 0.3, ORDERED: 1.0}}}
    return Workspace(tmp_path_factory.mktemp("tuning"), Settings.model_validate(settings))


@pytest.fixture(scope="module")
def tuned(events, place):
    return learned(events, place, MODELS, seed=0, tune=6)


def test_the_first_attempt_is_the_start_and_the_best_is_near_the_top():
    space = {"x": Span(0.0, 10.0), "n": Span(1, 64, log=True)}
    made = attempts(space, {"x": 9.0, "n": 2}, lambda at: -abs(at["x"] - 3) - abs(at["n"] - 20) / 20, trials=60, seed=0)
    assert made[0].given == {"x": 9.0, "n": 2}
    assert abs(best(made).given["x"] - 3) < 1
    assert all(isinstance(attempt.given["n"], int) for attempt in made)


def test_a_start_outside_of_the_span_is_tried_too():
    made = attempts({"x": Span(0.1, 1.0, log=True)}, {"x": 5.0}, lambda at: at["x"], trials=3, seed=0)
    assert made[0].given == {"x": 5.0}


@pytest.mark.parametrize("name", sorted(name for name in RECOMMENDERS if RECOMMENDERS[name].search))
def test_what_a_model_declares_are_parameters_with_their_default_inside(name):
    space = space_of(RECOMMENDERS[name])
    defaults = {field.name: field.default for field in fields(RECOMMENDERS[name]) if field.init}
    for parameter, span in space.items():
        assert span.low <= defaults[parameter] <= span.high
        assert isinstance(defaults[parameter], int) == isinstance(span.low, int)


def test_what_is_no_parameter_cannot_be_declared():
    @dataclass
    class Odd(RECOMMENDERS["repeat"]):
        name: ClassVar[str] = "odd"
        search: ClassVar = {"courage": Span(0.0, 1.0)}

    with pytest.raises(ValueError, match=r"search of 'odd': 'courage' == .*, must be a Span of a parameter's numbers"):
        space_of(Odd)


def test_a_span_has_a_low_and_a_high_end():
    for low, high, log in ((1.0, 1.0, False), (0.0, 1.0, True)):
        with pytest.raises(ValueError, match="low must be below high, and above 0 where log is True"):
            Span(low, high, log=log)


def test_events_that_do_not_occur_and_orders_are_not_weighed():
    weights = InteractionSettings(weights={VIEWED: 0.1, "Product Added": 0.3, "Product Shared": 0, ORDERED: 1.0})
    assert sorted(weighing(weights, [VIEWED, "Product Shared", ORDERED])) == [VIEWED, "half_life_days"]


def test_tuning_the_best_is_never_worse_on_the_validation_period_and_is_what_is_trained(tuned):
    figures = tuned.evaluation["tuning"]
    assert list(figures) == ["interactions", *MODELS]
    assert all(found["validation"] >= found["untuned"] and found["attempts"] == 6 for found in figures.values())
    chosen = tuned.evaluation["chosen"]
    assert {name: getattr(tuned.model, name) for name in figures[chosen]["best"]} == figures[chosen]["best"]
    weighed = figures["interactions"]["best"]
    assert (tuned.weighed.half_life_days, tuned.weighed.weights[VIEWED]) == (weighed["half_life_days"], weighed[VIEWED])
    assert tuned.weighed.weights[VIEWED] < 0.9
    for name in MODELS:
        assert tuned.evaluation["models"][name]["validation"] == pytest.approx(figures[name]["validation"])
    assert f"tuned {chosen}: ndcg {figures[chosen]['untuned']:.4f} -> " in "\n".join(lines(tuned))


def test_the_same_seed_tunes_the_same(tuned, events, place):
    again = learned(events, place, MODELS, seed=0, tune=6)
    assert again.evaluation == tuned.evaluation


def test_the_interactions_are_weighed_as_tuned(tuned, events):
    expected = Interactions.build(events, tuned.as_of, tuned.weighed)
    np.testing.assert_array_equal(tuned.interactions.weight, expected.weight)


def test_tuning_sees_nothing_of_the_test_period(tuned, place):
    """Another last month, in which everybody buys one item: what was tried and what came of it is the same."""
    rows = table()
    split = TimeSplit.of(Events.of(rows).span(), place.settings.recommender.horizon_days)
    later = pa.compute.greater_equal(rows["time"], pa.scalar(split.test, rows.schema.field("time").type))
    items = pa.compute.if_else(later, "item-9", rows["item"])
    other = rows.set_column(rows.schema.get_field_index("item"), "item", items)
    assert learned(Events.of(other), place, MODELS, seed=0, tune=6).tuned == tuned.tuned


def test_models_without_anything_to_tune_are_refused(events, place):
    with pytest.raises(ValueError, match=r"--tune 3: none of the models \['blend'\] declares what can be tuned"):
        learned(events, place, ["blend"], seed=0, tune=3)


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::ResourceWarning")
def test_each_attempt_is_a_run_below_the_trainings_and_the_release_weighs_as_tuned(tuned, place, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    version = register(tuned, place, seed=0).version
    (found,) = tracking.versions("recommender")
    import mlflow

    runs = mlflow.search_runs(
        experiment_names=["attune-recommender"],
        filter_string=f"tags.mlflow.parentRunId = '{found.run_id}'",
        output_format="list",
    )
    given = {run.info.run_name: (run.data.params, run.data.metrics["ndcg"]) for run in runs}
    assert sorted(given) == sorted(f"{stage} {number}" for stage in ("interactions", *MODELS) for number in range(6))
    first = tuned.tuned.attempts["neighbours"][0]
    params, value = given["neighbours 0"]
    assert params == {"model": "neighbours", **{name: str(number) for name, number in first.given.items()}}
    assert value == pytest.approx(first.value)
    promote(place, "recommender", str(version), reason="a test")
    assert load_release(current(place, "recommender")).weighed == tuned.weighed
    assert json.loads(json.dumps(tuned.evaluation["tuning"])) == tuned.evaluation["tuning"]
    assert BASELINE not in tuned.tuned.attempts
