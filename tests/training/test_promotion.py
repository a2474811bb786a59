"""From a registered model to the one that is served, on a real MLflow store in a folder of the test's own.

Three recommender versions, judged on one split over 40 customers: 1 (+0.1 each), 2 (+0.2 each), 3 (-0.1 each).
"""

import json
import os
import re
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from features.consent import Basis, grant
from features.interactions import Interactions
from features.ledger import Ledger
from features.registered import registered_files
from features.workspace import Settings, Workspace
from serving.cli import app
from training import promotion, registration, release, tracking
from training.recommenders.repeat import Repeat

# MLflow's own queries and the open sockets of its store are not ours to change.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::ResourceWarning")

AS_OF = datetime.fromisoformat("2024-03-01")
CUSTOMERS = [f"customer-{number:02d}" for number in range(40)]
GAINS = (0.1, 0.2, -0.1)


def shop_log():
    """Even customers buy black tea, odd ones coffee; everybody was seen once."""
    rows = np.arange(len(CUSTOMERS), dtype=np.int32)
    one, time = np.ones(len(rows), np.float32), np.full(len(rows), "2024-02-01", "M8[us]")
    items = np.array(["black tea", "coffee", "water"])
    return Interactions(np.array(CUSTOMERS), items, rows, rows % 2, one, one, time, time, AS_OF)


def written(path, value):
    path.parent.mkdir()
    path.write_text(json.dumps(value))
    return path


def train(workspace, gain, folder):
    """What a pipeline does: a run, its evaluation, its customers' parts and a registered model."""
    model, log = Repeat().fit(shop_log()), shop_log()
    evaluation = {
        "metric": "ndcg@10", "chosen": "repeat", "model": 0.5 + gain, "baseline": 0.5, "difference": gain,
        "lower": gain - 0.05, "upper": gain + 0.05, "unit": "ndcg@10", "verdict": "-", "split": {"kind": "time"},
    }  # fmt: skip
    facts = {"kind": "recommender", "name": "repeat", "as_of": AS_OF.isoformat()}
    with tracking.start("recommender", params={"model": "repeat"}, fingerprint="f00d") as run:
        run.log_metrics({"ndcg": 0.5 + gain, "unknown": float("nan")})
        run.log_file(written(folder.with_name(f"evaluation{gain}") / "evaluation.json", evaluation))
        log.save(workspace.runs / run.run_id)
        values = np.linspace(0.3, 0.7, 40) + gain
        np.savez(workspace.runs / run.run_id / "evaluation.npz", customers=log.customers, **{"repeat:all:ndcg": values})
        release.save_model(model, folder, facts)
        example = pd.DataFrame({"history": [["tea"]]})
        return run.register(folder, example, pd.DataFrame({"items": [["coffee"]]}))


def registered(workspace):
    """The version of one and the same training, registered by this workspace."""
    with registration.building(workspace) as folder:
        evaluation = {"metric": "ndcg@10", "difference": 0.1, "lower": 0.0, "upper": 0.2, "baseline": 0.5}
        written(folder / registration.KEPT / registration.EVALUATION, evaluation)
        facts = {"kind": "recommender", "name": "repeat", "as_of": AS_OF.isoformat()}
        release.save_model(Repeat().fit(shop_log()), folder / registration.REGISTERED, facts)
        example, answer = pd.DataFrame({"history": [["tea"]]}), pd.DataFrame({"items": [["coffee"]]})
        finished = registration.Finished("recommender", {"model": "repeat"}, "f00d", {}, example, answer)
        return registration.register(workspace, finished, folder)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A workspace and a store with the three versions, made from a folder that is not the store's."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "shop").mkdir()
    (folder / "shop" / "attune.yaml").write_text("name: shop\nrecommender: {k: 2}\n")
    (folder / "shop" / "catalog.csv").write_text("item,stock\nwater,0\nblack tea,5\n")
    workspace = Workspace.open(folder / "shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTUNE_MLRUNS", str(folder / "mlruns"))
        patch.setenv("MLFLOW_TRACKING_URI", "")  # what tracking sets is taken back
        for number, gain in enumerate(GAINS):
            assert train(workspace, gain, folder / f"model{number}") == number + 1
        basis = Basis(("personalisation",), "test")
        grant(Ledger.at(workspace.ledger), CUSTOMERS[:30], basis, source="test", time=AS_OF)
        yield folder


@pytest.fixture
def workspace(home):
    """The workspace with version 2 as the champion."""
    found = Workspace.open(home / "shop")
    promotion.promote(found, "recommender", "2")
    return found


def served(workspace):
    return release.load_release(release.current(workspace, "recommender"))


def champions():
    return [version.version for version in tracking.versions("recommender") if version.alias]


def test_a_promoted_model_is_served_and_champion_and_its_manifest_says_where_it_came_from(workspace):
    found = served(workspace)
    assert (found.version, champions()) == ("2", [2])
    assert found.interactions.customers.tolist() == CUSTOMERS
    manifest = found.manifest
    assert manifest["run_id"] == tracking.find("recommender", "2").run_id
    assert (manifest["data_fingerprint"], manifest["params"]["model"]) == ("f00d", "repeat")
    assert manifest["metrics"]["ndcg"] == pytest.approx(0.7)
    assert [column["name"] for column in manifest["inputs"]] == ["history"]


def test_promoting_again_changes_nothing(workspace):
    home = workspace.releases / "recommender"
    before = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    assert "2 is the champion and is served already: ndcg" in promotion.promote(workspace, "recommender", "2")
    assert {path: path.read_bytes() for path in home.rglob("*") if path.is_file()} == before


def test_promoting_again_mends_a_release_that_was_changed(workspace):
    broken = release.current(workspace, "recommender") / "customers" / "interactions.npz"
    broken.write_bytes(b"changed")
    assert "is served: ndcg" in promotion.promote(workspace, "recommender", "2")
    assert served(workspace).interactions.customers.tolist() == CUSTOMERS


def test_a_model_worse_than_its_baseline_is_refused(workspace):
    with pytest.raises(
        ValueError, match=r"recommender 3 was not promoted: it is worse than its baseline: ndcg@10 -0.1"
    ):
        promotion.promote(workspace, "recommender", "latest")
    assert (served(workspace).version, champions()) == ("2", [2])


def test_a_model_worse_than_the_champion_for_the_same_customers_is_refused(workspace):
    """Its interval against the baseline reaches the champion's: only the pairs show that every customer has less."""
    with pytest.raises(ValueError, match="recommender 1 was not promoted: it is worse than the champion 2"):
        promotion.promote(workspace, "recommender", "1")
    assert champions() == [2]


def test_latest_is_the_newest_of_this_workspace_whatever_others_registered_since(home):
    """One registry, two workspaces: the shop holds the runs of 1 and 2 alone, a stranger those of none."""
    shop, stranger = (Workspace(home / name, Settings(name=name)) for name in ("another", "stranger"))
    for workspace in (shop, stranger):
        workspace.folder.mkdir()
    for number in ("1", "2"):
        (shop.runs / tracking.find("recommender", number).run_id).mkdir(parents=True)
    assert tracking.latest("recommender", shop.runs).version == 2
    with pytest.raises(
        ValueError, match=r"'latest', recommender has \[1, 2, 3\], none of them trained in this workspace"
    ):
        promotion.promote(stranger, "recommender", "latest")


def test_a_version_that_another_workspace_trained_is_refused_and_says_where_to_promote_it(tmp_path, monkeypatch):
    """One registry, two workspaces: the stranger names the shop's number."""
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    shop, stranger = (Workspace(tmp_path / name, Settings(name=name)) for name in ("shop", "stranger"))
    for workspace in (shop, stranger):
        workspace.folder.mkdir()
    assert registered(shop).version == 1
    with pytest.raises(ValueError, match=f"recommender 1 was trained in {shop.folder}, not in this workspace"):
        promotion.promote(stranger, "recommender", "1")
    assert not stranger.releases.exists()
    assert champions() == []


def test_the_same_training_again_is_known_whatever_another_workspace_registered_since(tmp_path, monkeypatch):
    """The shop, another, the shop again: two versions, not three."""
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    shops = {name: Workspace(tmp_path / name, Settings(name=name)) for name in ("shop", "another")}
    for workspace in shops.values():
        workspace.folder.mkdir()
    found = [registered(shops[name]) for name in ("shop", "another", "shop")]
    assert [(one.version, one.again) for one in found] == [(1, False), (2, False), (1, True)]


def test_with_a_reason_it_is_promoted_and_the_reason_is_kept_and_rollback_returns(workspace):
    promotion.promote(workspace, "recommender", "1", reason="stock is gone")
    manifest = served(workspace).manifest
    assert manifest["promoted_because"] == "stock is gone"
    assert "worse than the champion 2" in manifest["promoted_despite"]
    tags = tracking._client().get_model_version("recommender", "1").tags
    assert tags["promoted_because"] == "stock is gone"
    assert champions() == [1]
    assert "recommender 2 is the champion" in promotion.rollback(workspace, "recommender")
    assert (served(workspace).version, champions()) == ("2", [2])


def test_a_rollback_to_a_broken_release_is_refused(workspace):
    promotion.promote(workspace, "recommender", "1", reason="test")
    victim = workspace.releases / "recommender" / "2" / "customers" / "interactions.npz"
    victim.write_bytes(b"")
    with pytest.raises(ValueError, match="the checksum is not the manifest's"):
        promotion.rollback(workspace, "recommender")
    assert served(workspace).version == "1"


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["promote", "recomender", "1"], r"model == 'recomender', must be one of \['recommender', 'uplift'\]"),
        (["promote", "recommender", "9"], r"version == '9', recommender has \[1, 2, 3\] \(or `latest`\)"),
        (["promote", "uplift", "latest"], "uplift has no version yet; run `attune train uplift`"),
        (["promote", "recommender", "1", "--force"], "--force and --reason go together"),
        (["rollback", "uplift"], "uplift has no earlier release"),
        (["rollback", "nothing"], "model == 'nothing'"),
        (["score", "uplift", "--out", "a.csv"], "uplift has no release in .*; run `attune promote uplift latest`"),
        (["score", "recommender", "--out", "a.xls"], r"--out == 'a.xls', must end with one of \['.csv', '.parquet'\]"),
        (["score", "recommender", "--out", "absent/a.csv"], "absent: no such folder"),
    ],
)
def test_bad_input_is_one_line_that_says_what_there_is(workspace, words, line):
    with pytest.raises(ValueError, match=line):
        CliRunner().invoke(app, [*words, "-w", str(workspace.folder)], catch_exceptions=False)


def test_compare_shows_every_version_newest_first(workspace):
    shown = CliRunner().invoke(app, ["compare", "recommender"], catch_exceptions=False).stdout.splitlines()
    assert [line.split()[0] for line in shown] == ["version", "3", "2", "1"]
    assert [("champion" in line) for line in shown] == [False, False, True, False]
    assert all("f00d" in line and "ndcg@10" in line for line in shown[1:])


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_score_answers_for_all_who_agreed_without_what_is_out_of_stock(workspace, tmp_path, suffix):
    out = tmp_path / f"scores{suffix}"
    words = ["score", "recommender", "--out", str(out), "-w", str(workspace.folder)]
    shown = CliRunner().invoke(app, words, catch_exceptions=False).stdout
    frame = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    assert sorted(frame["customer"].unique()) == CUSTOMERS[:30]
    assert frame["rank"].tolist() == [1] * 30  # nothing is bought twice in this shop: what a customer has stays out
    assert frame["item"].tolist() == ["coffee", "black tea"] * 15
    assert "consent: 10 of 40 customers left out" in shown
    assert (str(out), "score recommender") in registered_files(Ledger.at(workspace.ledger))
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


LOAD = """
import json, sys, mlflow, pandas
model = mlflow.pyfunc.load_model(f"models:/recommender@champion")
answer = model.predict(pandas.DataFrame({"history": [["coffee"], ["black tea"], ["nothing known"], []]}))
import training
print(json.dumps({"items": answer["items"].tolist(), "code": training.__file__}))
"""


def test_another_process_elsewhere_loads_it_with_the_code_it_carries(workspace, home, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{home}/mlruns/mlflow.db"
    done = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert [items[0] for items in answer["items"][:2]] == ["coffee", "black tea"]
    assert [len(items) for items in answer["items"]] == [3] * 4
    assert Path(answer["code"]).is_relative_to(home / "mlruns")


def test_what_is_logged_has_a_signature_and_an_example_and_no_customer_and_no_pickle(home):
    files = [path for path in (home / "mlruns" / "artifacts").rglob("*") if path.is_file()]
    assert [path for path in files if path.name == "input_example.json"]
    assert [path for path in files if path.name == "requirements.txt" and "lightgbm==" in path.read_text()]
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".joblib")]
    assert not [path for path in files if re.search(rb"customer-\d\d", path.read_bytes())]


def test_an_example_stands_for_nobody():
    frame = pd.DataFrame({"spend": [1.0, 2.0, 9.0], "city": pd.Categorical(["B", "B", "A"]), "none": [np.nan] * 3})
    (row,) = tracking.typical(frame).to_dict("records")
    assert (row["spend"], row["city"]) == (2.0, "B")
    assert np.isnan(row["none"])


TRAIN = """
import sys
from pathlib import Path
import pandas as pd
from training import tracking
with tracking.start("uplift", params={}, fingerprint="x") as run:
    print(run.register(Path(sys.argv[1]), pd.DataFrame({"history": [["tea"]]}), pd.DataFrame({"items": [["tea"]]})))
"""


@pytest.mark.slow
def test_two_processes_that_train_first_both_succeed(home, tmp_path):
    environment = os.environ | {"ATTUNE_MLRUNS": str(tmp_path / "new"), "PYTHONPATH": str(tracking.ROOT)}
    command = [sys.executable, "-c", TRAIN, str(home / "model0")]
    both = [
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    answers = [one.communicate(timeout=120) for one in both]
    assert sorted(out.split()[-1] for out, _ in answers if out) == ["1", "2"], [error[-500:] for _, error in answers]


def test_a_challenger_stands_beside_the_champion_until_it_is_taken_back_or_another_is_promoted(workspace):
    why = "to see it"
    said = promotion.challenge(workspace, "recommender", "1", 0.1, reason=why)
    assert said.startswith("recommender 1 answers 10% of the customers beside 2: ndcg")
    assert release.challenger(workspace, "recommender") == release.Challenger("1", 0.1, "2")
    assert {one.version: one.alias for one in tracking.versions("recommender")} == {
        1: "challenger",
        2: "champion",
        3: "",
    }
    assert "1 is no longer beside 2" in promotion.rollback(workspace, "recommender")
    assert release.challenger(workspace, "recommender") is None
    assert (served(workspace).version, champions()) == ("2", [2])
    promotion.challenge(workspace, "recommender", "1", 0.0, reason=why)
    promotion.promote(workspace, "recommender", "2")  # the champion, whole
    assert release.challenger(workspace, "recommender") is None
    assert champions() == [2]


@pytest.mark.parametrize(
    ("version", "share", "words"),
    [
        ("2", 0.1, "2 is the champion already"),
        ("1", 1.0, "share == 1, must be >= 0 and < 1"),
        ("3", 0.1, "3 was not promoted: it is worse than its baseline"),
    ],
)
def test_what_is_no_challenger_is_refused(workspace, version, share, words):
    with pytest.raises(ValueError, match=words):
        promotion.challenge(workspace, "recommender", version, share)
    assert release.challenger(workspace, "recommender") is None


@pytest.mark.parametrize(("upper", "refused"), [(-0.01, True), (0.01, False)])
def test_the_champion_judged_on_the_newest_split_decides(workspace, upper, refused):
    """What version 1's run would say had it judged version 2 on its own, newer split."""
    chosen = tracking.find("recommender", "1")
    newer = {
        "split": {"kind": "time", "test": "later"},
        "champion": {"version": "2", "upper": upper, "words": "2 (repeat)"},
    }
    found = promotion._below_champion(workspace, chosen, tracking.evaluation(chosen) | newer)
    assert found == (["it is worse than the champion 2 (repeat)"] if refused else [])
