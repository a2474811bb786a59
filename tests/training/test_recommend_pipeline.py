"""From a log to a registered recommender. The shop: 60 customers buy their own item every week, for half a year.

customer 0   i0 . i0 . i0 . i0 ...      the best answer is the customer's own item; popularity cannot know it
customer 1   i1 . i1 . i1 . i1 ...
"""

import json
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from threadpoolctl import threadpool_limits
from typer.testing import CliRunner

from features.consent import Basis, grant
from features.events import ORDERED, SCHEMA, Events, utc
from features.history import append, locked
from features.ledger import Ledger
from features.workspace import Settings, Workspace
from serving.cli import app
from training import tracking
from training.pipelines.recommend import costed, learned
from training.pipelines.recommend_evaluation import judge, purchases_between, trial
from training.pipelines.recommend_lines import lines
from training.pipelines.recommend_log import Log
from training.pipelines.recommend_summary import summary
from training.recommenders import RECOMMENDERS
from training.recommenders.own import Own
from training.splits import TimeSplit

START = datetime.fromisoformat("2024-01-01")
CUSTOMERS, ITEMS, WEEKS = 60, 20, 26
MODELS = ("popularity", "repeat")


def order(customer, item, time, number):
    row = dict.fromkeys(SCHEMA.names)
    return row | {
        "source": "test", "message_id": f"{number}", "line": 0, "name": ORDERED, "customer": customer, "time": time,
        "received_at": time, "live": False, "item": item, "quantity": 1.0, "price": 1.0, "machine": False,
    }  # fmt: skip


def rows(customers=CUSTOMERS, weeks=WEEKS, items=ITEMS):
    rng = np.random.default_rng(0)
    found = []
    for customer in range(customers):
        for week in range(weeks):
            other = int(rng.integers(items)) if rng.random() < 0.3 else customer % items
            time = START + timedelta(days=7 * week, minutes=customer)
            found.append(order(f"customer-{customer:02d}", f"item-{other:02d}", time, len(found)))
    return pa.Table.from_pylist(found, schema=SCHEMA)


@pytest.fixture
def workspace(tmp_path):
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "attune.yaml").write_text("name: shop\nrecommender:\n  models: [popularity, repeat]\n")
    return Workspace.open(folder)


def plain(tmp_path, **recommender):
    return Workspace(tmp_path, Settings.model_validate({"name": "shop", "recommender": recommender}))


def test_the_model_that_knows_the_customer_is_chosen_and_better(tmp_path):
    trained = learned(Events.of(rows()), plain(tmp_path), MODELS, seed=0)
    assert trained.model.name == trained.evaluation["chosen"] == "repeat"
    assert trained.evaluation["verdict"] == "better"
    assert 0 < trained.evaluation["lower"] < trained.evaluation["difference"] < trained.evaluation["upper"]
    assert "repeat, better than popularity" in lines(trained)[-1]
    assert "customer-" not in json.dumps(trained.evaluation)


def test_the_sample_holds_what_customers_bought_before_what_each_model_says_and_what_they_bought_next(tmp_path):
    events = Events.of(rows())
    trained = learned(events, plain(tmp_path), MODELS, seed=3)
    start, end = (datetime.fromisoformat(trained.evaluation["split"][name]) for name in ("test", "end"))
    later = purchases_between(events, start, end)
    assert len({one["customer"] for one in trained.sample}) == 10
    for one in trained.sample:
        assert set(one["answers"]) == set(MODELS)
        assert one["next"] == later[one["customer"]].tolist()
        assert all(entry["last"] < f"{start:%Y-%m-%d}~" and entry["purchases"] > 0 for entry in one["history"])
        own = f"item-{int(one['customer'][-2:]) % ITEMS:02d}"
        best = one["answers"]["repeat"][0]
        assert (best["item"], best["cites"]) == (own, [own])
        assert best["reason"] in ("buy_again", "due_again")


def test_the_ages_and_the_concentration_of_answers_and_purchases_are_kept(tmp_path):
    trained = learned(Events.of(rows()), plain(tmp_path), MODELS, seed=0)
    evaluation = trained.evaluation
    assert evaluation["catalogue"] == ITEMS
    for figures in (evaluation["purchases"]["by_age"], *(m["answered_by_age"] for m in evaluation["models"].values())):
        assert sum(figures.values()) == pytest.approx(1)
        assert figures["3 months to a year"] > 0.9
    shares = {name: figures["gini"] for name, figures in evaluation["models"].items()}
    assert shares["popularity"] > shares["repeat"] >= 0
    assert (evaluation["variety"][0]["variety"], evaluation["variety"][0]["difference"]) == (0, 0)
    (age,) = [row for row in trained.judged["repeat"].by_age.values() if not np.isnan(row).all()]
    np.testing.assert_array_equal(age, trained.judged["repeat"].values["all"]["recall"])


def test_the_same_seed_gives_the_same_bits_and_the_same_evaluation_in_any_order_of_the_log(tmp_path):
    """Of a ranker, whose files hold those of its members: the graph filter, ALS, repeat and popularity."""
    log, found, files = rows(), [], []
    for name, places in (("first", np.arange(len(log))), ("second", np.random.default_rng(1).permutation(len(log)))):
        found.append(learned(Events.of(log.take(places)), plain(tmp_path), ("ranker",), seed=3))
        found[-1].model.save(tmp_path / name)
        paths = [path for path in (tmp_path / name).rglob("*") if path.is_file()]
        files.append({path.relative_to(tmp_path / name): path.read_bytes() for path in paths})
    assert found[0].evaluation == found[1].evaluation
    assert found[0].sample == found[1].sample
    assert files[0]
    assert files[0] == files[1]


def test_nothing_after_the_moment_reaches_the_model(tmp_path):
    """Orders on and after the split's moment are replaced by others: what was learned stays the same."""
    moment = START + timedelta(days=140)
    table = rows()
    future = np.array(table["time"].to_pylist()) >= moment
    items = np.where(future, "item-new", np.array(table["item"].to_pylist()))
    changed = table.set_column(table.column_names.index("item"), SCHEMA.field("item"), pa.array(items, pa.string()))
    ours, theirs = (Log.of(Events.of(log), plain(tmp_path)).before(moment) for log in (table, changed))
    np.testing.assert_array_equal(ours.items, theirs.items)
    np.testing.assert_array_equal(ours.weight, theirs.weight)
    assert set(np.concatenate(list(purchases_between(Events.of(changed), moment, moment + timedelta(9)).values()))) == {
        "item-new"
    }


def test_the_parts_split_customers_and_items(tmp_path):
    """A customer who came in the test period is new; repeat and explore share what each customer bought."""
    moment, end = START + timedelta(days=140), START + timedelta(days=168)
    late = order("late", "item-03", moment + timedelta(days=1), 10_000)
    events = Events.of(pa.concat_tables([rows(), pa.Table.from_pylist([late], schema=SCHEMA)]))
    train = Log.of(events, plain(tmp_path)).before(moment)
    found = trial(events, train, moment, end, np.random.default_rng(0))
    judged = judge(RECOMMENDERS["repeat"]().fit(train), found, ITEMS, include_bought="mixed")
    counts = {part: int((~np.isnan(values["ndcg"])).sum()) for part, values in judged.values.items()}
    assert counts["new"] == 1
    assert counts["known"] == CUSTOMERS
    assert counts["all"] == CUSTOMERS + 1
    assert 0 < counts["explore"] < CUSTOMERS
    assert train.rows(["late"]).bought[0].tolist() == []
    assert judged.mean("repeat", "recall") == 1.0
    assert judged.mean("known", "hit_rate") == 1.0


def test_models_are_judged_as_a_release_answers_beside_the_customers_before_the_period(tmp_path):
    events, place = Events.of(rows()), plain(tmp_path)
    trained = learned(events, place, ["tifu"], seed=0)
    start, end = (datetime.fromisoformat(trained.evaluation["split"][name]) for name in ("test", "end"))
    train = Log.of(events, place).before(start)
    found, alone = trial(events, train, start, end, np.random.default_rng(0)), RECOMMENDERS["tifu"]().fit(train)
    k = place.settings.recommender.k
    ours, theirs, less = (
        judged.values["explore"]["ndcg"]
        for judged in (
            trained.judged["tifu"],
            *(judge(one, found, k, include_bought="mixed") for one in (alone.beside(train), alone)),
        )
    )
    np.testing.assert_array_equal(ours, theirs)
    assert not np.array_equal(ours, less, equal_nan=True)
    assert trained.model.neighbours.shape[0] == CUSTOMERS


def test_without_bought_items_the_answer_explores(tmp_path):
    evaluation = learned(Events.of(rows()), plain(tmp_path, include_bought="never"), MODELS, seed=0).evaluation
    figures = evaluation["models"]["repeat"]
    assert figures["all"] == figures["explore"]


def test_a_few_customers_prove_nothing(tmp_path):
    evaluation = learned(Events.of(rows(customers=8)), plain(tmp_path), MODELS, seed=0).evaluation
    assert evaluation["verdict"] == "not distinguishable"
    assert (evaluation["lower"], evaluation["upper"]) == (-1.0, 1.0)


@pytest.mark.parametrize(("customers", "items"), [(1, 20), (60, 1)])
def test_one_customer_or_one_item_is_trained_on(tmp_path, customers, items):
    names = ("popularity", "neighbours", "als", "repeat")
    evaluation = learned(Events.of(rows(customers, WEEKS, items)), plain(tmp_path), names, seed=0).evaluation
    assert evaluation["verdict"] == "not distinguishable"


@pytest.mark.parametrize(
    ("table", "line"),
    [(SCHEMA.empty_table(), "the event log is empty"), (rows(weeks=5), r"the log spans 28 days; .* needs 84")],
)
def test_a_log_that_cannot_be_split_is_refused(tmp_path, table, line):
    with pytest.raises(ValueError, match=line):
        learned(Events.of(table), plain(tmp_path), MODELS, seed=0)


def fill(workspace, consenting=CUSTOMERS):
    with locked(workspace):
        append(workspace, rows())
    names = [f"customer-{number:02d}" for number in range(consenting)]
    basis = Basis(("personalisation",), "test")
    grant(Ledger.at(workspace.ledger), names, basis, source="test", time=START)


# MLflow's own queries and its wishes about signatures are not ours to change.
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::UserWarning")
def test_the_verb_registers_a_model_and_keeps_customers_out_of_mlflow(workspace, tmp_path, monkeypatch):
    fill(workspace, consenting=50)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.chdir(tmp_path)
    found = CliRunner().invoke(app, ["train", "recommender", "-w", str(workspace.folder)], catch_exceptions=False)
    assert "consent: 10 of 60 customers left out" in found.stdout
    assert "registered: recommender 1 (repeat)" in found.stdout
    (run,) = workspace.runs.iterdir()
    with np.load(run / "evaluation.npz") as kept:
        assert len(kept["customers"]) == len(kept["repeat:all:ndcg"]) == 50
    logged = [path for path in (tmp_path / "artifacts").rglob("*") if path.is_file()]
    assert {"evaluation.json", "models.png", "arrays.npz"} <= {path.name for path in logged}
    assert not [path for path in logged if b"customer-0" in path.read_bytes()]
    assert all(one["customer"].startswith("customer-") for one in json.loads((run / "sample.json").read_text()))


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::UserWarning")
def test_a_run_logs_what_each_model_took_and_compare_shows_it(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    fill(workspace)
    shown = CliRunner().invoke(app, ["train", "recommender", "-w", str(workspace.folder)], catch_exceptions=False)
    assert "fit CPU s" in shown.stdout
    metrics = tracking.find("recommender", "1").metrics
    for name in MODELS:
        assert metrics[f"{name}.fit_cpu_s"] >= 0
        assert metrics[f"{name}.answer_cpu_s"] > 0
        assert metrics[f"{name}.memory_mb"] >= 0
    compared = CliRunner().invoke(app, ["compare"], catch_exceptions=False).stdout
    assert "* repeat " in compared


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::UserWarning")
def test_two_seeds_of_one_model_are_not_distinguishable_by_compare(workspace, tmp_path, monkeypatch):
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    fill(workspace)

    def told(*words):
        return CliRunner().invoke(app, [*words, "-w", str(workspace.folder)], catch_exceptions=False).stdout

    for seed in ("0", "1"):
        told("train", "recommender", "--model", "als", "--seed", seed)
    head, _, whole, *groups = told("compare", "2", "1").splitlines()
    assert head == "ndcg@10: 2 (als) minus 1 (als), per customer of the test period"
    assert (whole.split()[:2], whole[-19:]) == (["all", "60"], "not distinguishable")
    assert [line.split()[0] for line in groups][:4] == ["known", "new", "repeat", "explore"]


def traces(workspace, kind):
    """The versions and the runs of MLflow, and the runs of the workspace."""
    import mlflow

    versions = [version.version for version in tracking.versions(kind)]
    runs = mlflow.MlflowClient().search_runs([mlflow.get_experiment_by_name(f"attune-{kind}").experiment_id])
    return versions, len(runs), len(list(workspace.runs.iterdir()))


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::UserWarning")
def test_a_second_training_on_the_same_log_registers_nothing_and_one_purchase_more_does(
    workspace, tmp_path, monkeypatch
):
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    fill(workspace)
    words = ["train", "recommender", "-w", str(workspace.folder)]
    first, second = (CliRunner().invoke(app, words, catch_exceptions=False).stdout for _ in range(2))
    assert first.endswith("registered: recommender 1 (repeat)\n")
    assert second.endswith("registered: recommender 1 (repeat), the same as before\n")
    assert traces(workspace, "recommender") == ([1], 1, 1)
    with locked(workspace):
        more = order("customer-00", "item-19", START + timedelta(days=3), "more")
        append(workspace, pa.Table.from_pylist([more], schema=SCHEMA))
    assert "registered: recommender 2 (repeat)\n" in CliRunner().invoke(app, words, catch_exceptions=False).stdout
    assert traces(workspace, "recommender") == ([2, 1], 2, 2)


def test_an_unknown_model_is_refused_before_anything_is_read(workspace):
    with pytest.raises(ValueError, match="recommender 'popularty' is not known; did you mean 'popularity'"):
        CliRunner().invoke(
            app, ["train", "recommender", "-w", str(workspace.folder), "--model", "popularty"], catch_exceptions=False
        )


def test_an_empty_workspace_is_refused_in_one_line(workspace):
    with pytest.raises(ValueError, match="the event log is empty; import purchases first"):
        CliRunner().invoke(app, ["train", "recommender", "-w", str(workspace.folder)], catch_exceptions=False)


@pytest.mark.data
def test_on_online_retail_every_personal_model_beats_popularity(data_dir, tmp_path):
    from features.sources.online_retail import read

    events, place = (
        Events.of(read(data_dir / "online_retail" / "online_retail_sales.parquet", START).events),
        plain(tmp_path),
    )
    settings, rng = place.settings.recommender, np.random.default_rng(0)
    split = TimeSplit.of(events.span(), settings.horizon_days)
    train = Log.of(events, place).looking_back([split.test, split.validate, *split.lessons[:1]])
    found, own = trial(events, train, split.test, split.end, rng), Own.of(place)
    with threadpool_limits(1, "blas"):  # as in a training; that of the period of validation would take as long again
        judged = {name: costed(name, found, settings, own, 0, {})[1] for name in RECOMMENDERS}
    models = summary(judged, judged, "repeat", split, settings.k, rng)["models"]
    verdicts = {name: figures["against_baseline"]["verdict"] for name, figures in models.items()}
    assert verdicts == dict.fromkeys(RECOMMENDERS, "better") | {"popularity": "not distinguishable"}
    assert models["neighbours"]["explore"]["ndcg"] > models["popularity"]["explore"]["ndcg"]


def moments(monkeypatch, events, place):
    """As of when each model was fitted, and as of when were the earlier logs that it was given."""
    found = []
    fit = RECOMMENDERS["repeat"].fit

    def told(self, interactions):
        log, when = interactions, []
        while log is not None:
            when.append(log.as_of)
            log = log.earlier
        found.append(when)
        return fit(self, interactions)

    monkeypatch.setattr(RECOMMENDERS["repeat"], "fit", told)
    split = TimeSplit.of(events.span(), place.settings.recommender.horizon_days)
    learned(events, place, ("repeat",), seed=0)
    return found, split


def test_what_a_model_learns_from_what_followed_ends_before_what_it_is_judged_on(tmp_path, monkeypatch):
    found, split = moments(monkeypatch, Events.of(rows()), plain(tmp_path))
    every = [utc(moment) for moment in (split.end, split.test, split.validate, *split.lessons)]
    assert len(split.lessons) == 2
    assert found == [every[2:], every[1:4], every[:3]]


def test_a_log_too_short_for_an_earlier_moment_is_trained_on_without_it(tmp_path, monkeypatch):
    """Thirteen weeks: one horizon before `validate` hardly anything had happened yet."""
    found, split = moments(monkeypatch, Events.of(rows(weeks=13)), plain(tmp_path, horizon_days=28))
    assert split.lessons == ()
    every = [utc(moment) for moment in (split.end, split.test, split.validate)]
    assert found == [every[2:], every[1:], every]
