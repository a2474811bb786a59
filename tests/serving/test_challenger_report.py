"""A challenger of a running service, from `attune promote --share` to the report of its test.

Version 1 of the recommender is `neighbours`, version 2 `popularity`. All 60 customers are answered, 50 agreed to
analytics. Whom version 2 answered buys for 30 and a little; of those whom version 1 answered one in two buys, for 10.
"""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta

import httpx
import pandas as pd
import pytest
from scipy.stats import ttest_ind
from sqlalchemy import select, update
from typer.testing import CliRunner

from features.decisions import decisions
from features.events import ORDERED, Event
from features.history import record
from features.interactions import Interactions
from features.ledger import Ledger
from features.workspace import Workspace
from serving.cli import app
from serving.experiments.exposures import assigned
from training import tracking
from training.recommenders.base import Recommender
from training.recommenders.neighbours import Neighbours
from training.recommenders.popularity import Popularity
from training.release import save_model

# MLflow's own queries and the open sockets of its store are not ours to change.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::ResourceWarning")

KEY = "recommender-2-beside-1-0.5"
CUSTOMERS = [f"c{number:03}" for number in range(60)]
AGREED = CUSTOMERS[:50]
SLOT = """\
kind: web
elements: {head: {default: Welcome}}
contents: [{key: own, items: {k: 2}, elements: {head: [{key: own, text: For you}]}}]
"""
NDCG = {
    "metric": "ndcg@10", "chosen": "-", "model": 0.6, "baseline": 0.5, "difference": 0.1, "lower": 0.05, "upper": 0.15,
    "unit": "ndcg@10", "verdict": "-", "split": {"kind": "time"},
}  # fmt: skip


@pytest.fixture(scope="module")
def own(untouched: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """The small shop with both versions in a registry of its own, the first one promoted."""
    folder = tmp_path_factory.mktemp("challenger") / "shop"
    shutil.copytree(untouched.folder, folder)
    (folder / "slots" / "block.yaml").write_text(SLOT)
    workspace = Workspace.open(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTUNE_MLRUNS", str(folder.parent / "mlruns"))
        patch.setenv("MLFLOW_TRACKING_URI", "")  # what tracking sets is taken back
        assert [registered(workspace, model) for model in (Neighbours(), Popularity())] == [1, 2]
        attune(workspace, "promote", "recommender", "1")
        yield workspace


@pytest.fixture(scope="module")
def service(own: Workspace, serving: Callable[..., AbstractContextManager[httpx.Client]]) -> Iterator[httpx.Client]:
    """The service, which ran before there was a challenger."""
    with serving(own) as client:
        assert client.get("/v1/ready").json()["challengers"] == {}
        said = attune(own, "promote", "recommender", "2", "--share", "0.5")
        assert said.startswith("recommender 2 answers 50% of the customers beside 1: ndcg@10 +0.1")
        until(lambda: client.get("/v1/ready").json()["challengers"] != {})
        yield client


@pytest.fixture(scope="module")
def by(service: httpx.Client) -> dict[str, str]:
    """Per customer the version that answered."""
    return {one: posted(service, "/v1/recommend", customer=one, k=2)["model_version"] for one in CUSTOMERS}


def registered(workspace: Workspace, model: Recommender) -> int:
    known = Interactions.load(workspace.runs / "r1")
    folder = workspace.folder.parent / model.name
    save_model(model.fit(known), folder, {"kind": "recommender", "name": model.name, "as_of": "2026-01-31T00:00:00"})
    with tracking.start("recommender", params={"model": model.name}, fingerprint="f00d") as run:
        (folder / "evaluation.json").write_text(json.dumps(NDCG))
        run.log_file(folder / "evaluation.json")
        known.save(workspace.runs / run.run_id)
        return run.register(folder, pd.DataFrame({"history": [["green"]]}), pd.DataFrame({"items": [["black"]]}))


def attune(workspace: Workspace, *words: str) -> str:
    return CliRunner().invoke(app, [*words, "-w", str(workspace.folder)], catch_exceptions=False).stdout


def posted(service: httpx.Client, path: str, **body: object) -> dict:
    answer = service.post(path, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline, "it did not come to hold within two minutes"
        time.sleep(0.1)


def passed(ledger: Ledger, time: timedelta) -> None:
    """It is so long ago that this was decided."""
    with ledger.write() as connection:
        for row in connection.execute(select(decisions.c.decision_id, decisions.c.time)).all():
            earlier = update(decisions).where(decisions.c.decision_id == row.decision_id)
            connection.execute(earlier.values(time=row.time - time))


def spent(number: int, version: str) -> float:
    return 30.0 + number % 5 if version == "2" else 10.0 * (number // 2 % 2)


def test_what_a_slot_shows_is_of_the_version_that_answers_the_customer(
    service: httpx.Client, by: dict[str, str]
) -> None:
    assert 8 <= list(by.values()).count("2") <= 52  # 30 of 60 expected
    names = {"1": "neighbours", "2": "popularity"}
    for customer in AGREED:  # whoever did not agree sees the default content
        shown = posted(service, "/v1/decide", slot="block", customer=customer)
        assert (shown["content"], shown["model_version"]) == ("own", by[customer])
        assert shown["model"] == names[by[customer]]
        of_route = posted(service, "/v1/recommend", customer=customer, k=2)
        assert [one["item"] for one in shown["items"]] == [one["item"] for one in of_route["items"]]


def test_the_report_compares_champion_and_challenger_by_what_their_customers_did(
    own: Workspace, service: httpx.Client, by: dict[str, str]
) -> None:
    assert service.get(f"/v1/experiments/{KEY}/report").status_code == 404
    ledger, now = Ledger.at(own.ledger), datetime.now(UTC) - timedelta(days=19)
    money = {customer: spent(number, by[customer]) for number, customer in enumerate(CUSTOMERS)}
    bought = {"quantity": 1.0, "item": "green"}
    orders = [Event("sdk", one, ORDERED, now, now, customer=one, price=paid, **bought) for one, paid in money.items()]
    record(ledger, [order for order in orders if order.price])

    def moment() -> datetime:  # a report is as of a whole second
        return datetime.now(UTC).replace(microsecond=0)

    until(lambda: len({who for who, *_ in assigned(ledger, KEY, moment())}) == len(CUSTOMERS))
    assert "verdict: keep going: the 14 days in which a customer counts" in attune(own, "report", "experiment", KEY)
    passed(ledger, timedelta(days=20))
    shown = attune(own, "report", "experiment", KEY)
    told = service.get(f"/v1/experiments/{KEY}/report").json()
    first, second = ([money[one] for one in AGREED if by[one] == version] for version in ("1", "2"))
    champion, challenger = told["arms"]
    assert (told["control"], champion["arm"], challenger["arm"]) == ("champion", "champion", "challenger")
    assert (champion["customers"], challenger["customers"]) == (len(first), len(second))
    assert "10 of 60 customers left out" in told["left_out"]
    assert champion["metrics"]["revenue"]["mean"] == pytest.approx(sum(first) / len(first))
    assert champion["metrics"]["conversion-rate"]["mean"] == pytest.approx(sum(map(bool, first)) / len(first))
    assert challenger["metrics"]["conversion-rate"]["mean"] == 1
    found, welch = challenger["metrics"]["revenue"], ttest_ind(second, first).confidence_interval()
    assert found["difference"] == pytest.approx(sum(second) / len(second) - sum(first) / len(first))
    assert (found["lower"], found["upper"]) == pytest.approx((welch.low, welch.high))
    assert found["verdict"] == "higher than control"
    assert told["verdict"] in shown
    (line,) = [line for line in shown.splitlines() if line.startswith("challenger") and " revenue " in line]
    assert f"{found['difference']:+.4f}" in line
    assert f"{found['lower']:+.4f} to {found['upper']:+.4f}" in line


def test_the_report_can_be_made_and_asked_for_once_the_test_has_ended(own: Workspace, service: httpx.Client) -> None:
    before = service.get(f"/v1/experiments/{KEY}/report").json()
    attune(own, "promote", "recommender", "1")
    until(lambda: service.get("/v1/ready").json()["challengers"] == {})
    attune(own, "report", "experiment", KEY)
    after = service.get(f"/v1/experiments/{KEY}/report").json()
    for arm, then in zip(after["arms"], before["arms"], strict=True):
        assert arm["customers"] == then["customers"]
        for key, found in then["metrics"].items():  # sums in another order differ in the last digit
            assert arm["metrics"][key]["mean"] == pytest.approx(found["mean"])
    assert service.post(f"/v1/experiments/{KEY}/assign", json={"customer": "c000"}).status_code == 404
    assert service.get("/v1/experiments/recommender-2-beside-1-0/report").status_code == 404
