"""A user's own model from attune.yaml to an answer: trained, tracked, promoted, served, loaded elsewhere, bundled.

The shop: 30 customers buy their own item every week, for half a year; `favourite` knows it, popularity cannot.
"""

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx
import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from features.consent import Basis, grant
from features.events import ORDERED, SCHEMA, Event
from features.history import append
from features.ledger import Ledger
from features.placements import Placement
from features.workspace import Workspace
from serving.bundle import write
from serving.cli import app, main
from serving.decisions.journal import find
from serving.decisions.recommend import recommend
from serving.decisions.requests import RecommendRequest
from serving.decisions.served import Served
from serving.decisions.state import State
from serving.http.answers import Asked, decided
from serving.http.app import Routes
from training import tracking
from training.release import current

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::ResourceWarning")

START = datetime.fromisoformat("2024-01-01")
CUSTOMERS, ITEMS, WEEKS = 30, 10, 26
PATH = "shop_models.favourite:Favourite"
SETTINGS = "name: shop\nrecommender:\n  models: [popularity, '{path}']\n"
SOURCE = """\
from dataclasses import dataclass
from typing import ClassVar

from training.recommenders.scorer import Scorer


@dataclass
class Favourite(Scorer):
    name: ClassVar[str] = "favourite"
    power: float = 0.5

    def scores(self, histories, as_of):
        return histories.purchase_matrix.power(self.power).toarray()
"""


def log():
    rng = np.random.default_rng(0)
    rows = []
    for customer in range(CUSTOMERS):
        for week in range(WEEKS):
            item = int(rng.integers(ITEMS)) if rng.random() < 0.3 else customer % ITEMS
            time = START + timedelta(days=7 * week, minutes=customer)
            event = Event(
                source="test", message_id=f"{customer}-{week}", name=ORDERED, time=time, received_at=time, live=False,
                customer=f"customer-{customer:02}", item=f"item-{item}", quantity=1.0, price=1.0,
            )  # fmt: skip
            rows.append(event.row())
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """The workspace with its model trained and promoted by the command line."""
    folder = tmp_path_factory.mktemp("own") / "shop"
    (folder / "shop_models").mkdir(parents=True)
    (folder / "attune.yaml").write_text(SETTINGS.format(path=PATH))
    (folder / "catalog.csv").write_text("item,stock\nitem-9,0\n")
    (folder / "shop_models" / "favourite.py").write_text(SOURCE)
    workspace = Workspace.open(folder)
    append(workspace, log())
    customers = [f"customer-{number:02}" for number in range(CUSTOMERS)]
    basis = Basis(("personalisation",), "test")
    grant(Ledger.at(workspace.ledger), customers, basis, source="test", time=START)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTUNE_MLRUNS", str(folder.parent / "mlruns"))
        patch.setenv("MLFLOW_TRACKING_URI", "")  # what tracking sets is taken back
        for words in (["train", "recommender"], ["promote", "recommender", "latest"]):
            done = CliRunner().invoke(app, [*words, "-w", str(folder)], catch_exceptions=False)
            assert done.exit_code == 0, done.output
        yield workspace


def refused(capsys, *words):
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("attune: ")]
    return ended.value.code, line


def test_it_is_tracked_and_released_by_its_name_with_its_parameters(shop):
    (version,) = tracking.versions("recommender")
    assert (version.params["model"], version.params["power"], version.alias) == ("favourite", "0.5", "champion")
    assert version.metrics["favourite.all.ndcg"] > version.metrics["popularity.all.ndcg"]
    release = current(shop, "recommender")
    assert json.loads((release / "manifest.json").read_text())["name"] == "favourite"


@pytest.mark.slow
def test_training_it_again_registers_nothing_until_its_code_changes(shop):
    def train():
        return CliRunner().invoke(app, ["train", "recommender", "-w", str(shop.folder)], catch_exceptions=False).stdout

    assert "(favourite), the same as before" in train()
    source = shop.folder / "shop_models" / "favourite.py"
    source.write_text(SOURCE + "\n\n# another word\n")
    assert "registered: recommender 2 (favourite)\n" in train()


@pytest.mark.slow
def test_it_is_served_like_ours(shop, serving):
    with serving(shop) as client:
        assert isinstance(client, httpx.Client)
        answer = client.post(
            "/v1/recommend", json={"customer": "customer-03", "k": 4, "include_bought": "mixed"}
        ).json()
        assert (answer["items"][0]["item"], answer["model"], len(answer["items"])) == ("item-3", "favourite", 4)
        assert client.post("/v1/recommend", json={"customer": "nobody", "k": 10}).json()["fallback"]


class Silent:
    """Answers nothing, as a class that was changed after the training may."""

    name = "favourite"

    def recommend_for(self, *_, **__):
        return None

    def chance_of_repeat(self, ids):
        return np.zeros(len(ids))


def test_an_answer_that_breaks_the_rules_is_not_given_and_the_one_that_is_names_the_model(shop):
    state = State.read(shop)
    broken = replace(state.recommender.recommender, inner=Silent())
    asked = Asked("recommend", recommend, RecommendRequest(customer="customer-03"))
    answer = decided(replace(state, recommender=replace(state.recommender, recommender=broken)), asked, START)
    said = f"{PATH}: recommend_for returned a NoneType, must return Rankings"
    assert answer["fallback"] == f"the model failed ({said}) at the step personal: what is popular"
    assert "item-9" not in [one["item"] for one in answer["items"]]  # out of stock
    assert {one["step"] for one in answer["items"]} == {"popular"}


class Slow:
    """Answers as the model does, some seconds later."""

    name = "favourite"

    def __init__(self, inner, *slow):
        self._inner, self._slow = inner, slow

    def __getattr__(self, method):
        if method in self._slow:
            time.sleep(3)
        return getattr(self._inner, method)


@pytest.fixture
def slowly(shop):
    """Makes the routes of the shop whose model takes three seconds for these methods."""
    made = []

    def make(*slow):
        routes, state = Routes(lambda: START), State.of(shop)
        made.append(state)
        release = state.recommender
        model = replace(release.recommender, inner=Slow(release.recommender.inner, *slow))
        routes.state = replace(state, recommender=replace(release, recommender=model))
        return routes

    yield make
    for state in made:
        state.intake.close()
        state.journal.close()


async def asked_at_once(routes, *bodies):
    transport = httpx.ASGITransport(routes.app(), client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as client:
        return await asyncio.gather(*(client.post("/recommend", json=body) for body in bodies))


@pytest.mark.parametrize("slow", [("recommend_for",), ("reasons",), ("chance_of_repeat", "recommend_for")])
def test_a_slow_model_is_cut_and_what_is_popular_answers_in_time(shop, slowly, slow):
    started = time.monotonic()
    answers = asyncio.run(asked_at_once(slowly(*slow), *({"customer": f"customer-{n:02}", "k": 4} for n in range(8))))
    took = time.monotonic() - started
    assert took < 2.5  # of three seconds that one answer of the model takes
    for answer in answers:
        assert answer.status_code == 200
        assert answer.json()["fallback"] == "the model took too long at the step personal: what is popular"
        assert {one["step"] for one in answer.json()["items"]} <= {"popular"}
        assert "item-9" not in [one["item"] for one in answer.json()["items"]]  # out of stock
        row = find(shop.state / "journal", Ledger.at(shop.ledger), answer.json()["decision_id"])
        assert sum(row["context"]["steps"].values()) == len(row["chosen"]) == len(answer.json()["items"])


def test_a_model_that_answers_within_the_budget_of_a_placement_is_not_cut(slowly):
    routes = slowly("recommend_for")
    routes.state = replace(routes.state, placements={"patient": Placement(budget_ms=4000)})
    (answer,) = asyncio.run(asked_at_once(routes, {"customer": "customer-03", "k": 4, "placement": "patient"}))
    assert (answer.json()["fallback"], answer.json()["items"][0]["item"]) == (None, "item-3")
    assert answer.json()["items"][0]["step"] == "personal"


def test_a_release_whose_class_attune_yaml_does_not_name_is_refused_in_one_line(shop, tmp_path):
    folder = tmp_path / "unnamed"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("ledger.db-*"))  # these come and go
    (folder / "attune.yaml").write_text("name: shop\nrecommender: {models: [popularity]}\n")
    with pytest.raises(ValueError, match="the release names") as told:
        Served.of(Workspace.open(folder))
    line = str(told.value)
    assert "\n" not in line
    assert "the release names 'favourite'; known recommender models are" in line
    assert "package.module:Class in recommender.models of attune.yaml" in line


def test_a_model_that_breaks_the_contract_is_not_trained(shop, capsys, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("ledger.db-*"))  # these come and go
    (folder / "attune.yaml").write_text(SETTINGS.format(path="one_short:Favourite"))
    short = "\n    def recommend_for(self, histories, k, *, items, as_of):\n"
    short += "        return super().recommend_for(histories, k - 1 or 1, items=items, as_of=as_of)\n"
    (folder / "one_short.py").write_text(SOURCE + short)
    code, line = refused(capsys, "train", "recommender", "-w", str(folder))
    assert (code, line) == (
        1, "attune: one_short:Favourite: recommend_for returned 4 items, must be 5 (k == 5, 7 allowed)"
    )  # fmt: skip


LOAD = """
import json, mlflow, pandas
model = mlflow.pyfunc.load_model("models:/recommender/1")
answer = model.predict(pandas.DataFrame({"history": [["item-4"], []]}))
import shop_models.favourite
print(json.dumps({"items": answer["items"].tolist(), "code": shop_models.favourite.__file__}))
"""


@pytest.mark.slow
def test_another_process_elsewhere_loads_it_with_the_code_it_carries(shop, tmp_path):
    home = shop.folder.parent / "mlruns"
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "ATTUNE_MLRUNS")}
    environment["MLFLOW_TRACKING_URI"] = f"sqlite:///{home}/mlflow.db"
    done = subprocess.run(
        [sys.executable, "-c", LOAD], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout.splitlines()[-1])
    assert len(answer["items"][0]) == len(answer["items"][1]) == ITEMS
    assert Path(answer["code"]).is_relative_to(home)


BUNDLED = """
import sys
from datetime import datetime
from pathlib import Path
from serving.decisions.journal import find
from serving.decisions.recommend import recommend
from serving.decisions.requests import RecommendRequest
from serving.decisions.state import State
request = RecommendRequest(history=["item-4"], include_bought="only")
_, answer = recommend(State.bundled(Path(sys.argv[1])), request, "0" * 32, datetime.fromisoformat("2024-08-01"))
print([item["item"] for item in answer["items"]])
"""


def test_a_bento_carries_its_code(shop, tmp_path):
    write(shop, tmp_path / "context")
    bundled = tmp_path / "context" / "serving" / "bundled"
    assert (bundled / "shop_models" / "favourite.py").is_file()
    done = subprocess.run(
        [sys.executable, "-c", BUNDLED, str(bundled)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("['item-4']\n", 0), done.stderr


def test_a_bento_is_refused_where_the_code_is_not_in_the_workspace(shop, tmp_path, monkeypatch):
    elsewhere, folder = tmp_path / "installed", tmp_path / "shop"
    elsewhere.mkdir()
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("ledger.db-*"))  # these come and go
    (folder / "shop_models" / "favourite.py").rename(elsewhere / "installed_favourite.py")
    (folder / "attune.yaml").write_text(SETTINGS.format(path="installed_favourite:Favourite"))
    monkeypatch.syspath_prepend(str(elsewhere))
    with pytest.raises(
        ValueError, match=r"installed_favourite:Favourite: its code is .*, outside of .*; a bento carries"
    ):
        write(Workspace.open(folder), tmp_path / "context")
    assert not (tmp_path / "context").exists()
