"""What the page of a model says of drift, by numbers that are counted by hand.

120 customers buy their own two of ten items, each every week of half a year: two items in each history. Then, where
the shop changes, each buys three more items: five. The version answered tea by 0.9, later coffee by 0.1.
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from html import unescape
from math import log
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sqlalchemy import insert
from typer.testing import CliRunner

from features.consent import Basis, grant
from features.decisions import Decision, Option, decisions
from features.events import ORDERED, SCHEMA
from features.exposures import ExposureLog, Exposures, save_log
from features.history import append, locked
from features.ledger import Ledger
from features.table import FeatureTable
from features.workspace import Workspace
from serving.cli import app
from tests.conftest import CUT
from training.pipelines.uplift_run import run
from training.promotion import promote
from training.release import current
from training.reports.model import write
from training.reports.page import shown
from training.stability import LEAST, index

# MLflow's own queries, wishes about signatures and open sockets of its store are not ours to change.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning"
)

START = datetime.fromisoformat("2024-01-01")
CUSTOMERS = [f"customer-{number:03d}" for number in range(120)]
OWN, NEW, WEEKS = (0, 1), (2, 3, 4), 26
TEA, COFFEE = ("tea", 0.9), ("coffee", 0.1)
# all were in one bin, and all are in another; an empty bin counts half
MOVED = 2 * (120 - 0.5) / 121 * log(120 / 0.5)  # of three bins: below the edge of the deciles, on it, above it
ANSWERED = 2 * (LEAST - 0.5) / (LEAST + 0.5) * log(LEAST / 0.5)  # of two bins: tea, all that is not tea


def bought(weeks: Iterable[int], own: tuple[int, ...]) -> pa.Table:
    found = []
    for week in weeks:
        for number, customer in enumerate(CUSTOMERS):
            for place in own:
                time = START + timedelta(days=7 * week, minutes=number)
                found.append(dict.fromkeys(SCHEMA.names) | {
                    "source": "test", "message_id": f"{week}-{customer}-{place}", "line": 0, "name": ORDERED,
                    "time": time, "customer": customer, "received_at": time, "live": False, "quantity": 1.0,
                    "item": f"item-{(number + place) % 10}", "price": 1.0, "machine": False,
                })  # fmt: skip
    return pa.Table.from_pylist(found, schema=SCHEMA)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    folder = tmp_path_factory.mktemp("drift") / "shop"
    folder.mkdir()
    (folder / "attune.yaml").write_text("name: shop\nrecommender: {k: 3, models: [popularity, repeat]}\n")
    workspace = Workspace.open(folder)
    happened(workspace, bought(range(WEEKS), OWN))
    grant(Ledger.at(workspace.ledger), CUSTOMERS, Basis(("personalisation",), "test"), source="test", time=START)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTUNE_MLRUNS", str(folder.parent / "mlruns"))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        CliRunner().invoke(app, ["train", "recommender", "-w", str(folder)], catch_exceptions=False)
        yield workspace


@pytest.fixture
def shop(trained: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the shop, for what happened after its training."""
    shutil.copytree(trained.folder, tmp_path / "shop")
    return Workspace.open(tmp_path / "shop")


def happened(workspace: Workspace, events: pa.Table) -> None:
    with locked(workspace):
        append(workspace, events)


def answered(workspace: Workspace, first: tuple[str, float], later: tuple[str, float], count: int = LEAST) -> None:
    """So many decisions of version 1 on one day, and so many a month later; all of those with a fallback."""
    rows = []
    for day, (item, score), fallback in ((0, first, None), (30, later, "late" if later != first else None)):
        for number in range(count):
            row = Decision(
                decision_id=f"{day}-{number}", kind="recommend", time=START + timedelta(days=200 + day, minutes=number),
                customer=None, options=(Option(item, score),), chosen=(item,), probability=1.0, policy="top-k",
                model="repeat", model_version="1", workspace_hash="w", reason="r", fallback=fallback,
            ).row()  # fmt: skip
            rows.append(row | {part: json.dumps(row[part]) for part in ("options", "chosen", "context")})
    with Ledger.at(workspace.ledger).write() as connection:
        connection.execute(insert(decisions), rows)


def features_of(workspace: Workspace, model: str) -> dict[str, tuple[Any, ...]]:
    """What the report says of the features that this model learned from; found on the page too."""
    path = write(workspace, "1")
    rows = [row for row in json.loads(path.with_suffix(".json").read_text())["feature_drift"] if row["model"] == model]
    page = unescape(path.read_text())
    for row in rows:
        numbers = [shown(row[name]) for name in ("then", "now", "index")]
        cells = "".join(f"<td>{cell}</td>" for cell in [row["what"], *numbers])
        assert cells in page
        assert row["means"] in page
    return {row["what"]: (row["then"], row["now"], row["index"], row["says"]) for row in rows}


def drift_of(workspace: Workspace) -> dict[str, tuple[Any, ...]]:
    """What the report says: of which thing the means then and now, the index and the words, found on the page too."""
    path = write(workspace, "1")
    rows = json.loads(path.with_suffix(".json").read_text())["drift"]
    cells = [
        unescape(re.sub(r"<[^>]+>", "", one)) for one in re.findall(r"<td\b[^>]*>(.*?)</td>", path.read_text(), re.S)
    ]
    for row in rows:
        place = cells.index(row["what"])
        numbers = [shown(row[name]) for name in ("then", "now", "index")]
        assert cells[place : place + 5] == [row["what"], *numbers, row["says"]]
    return {row["what"]: (row["then"], row["now"], row["index"], row["says"]) for row in rows}


def test_a_shop_in_which_nothing_changed_is_stable(shop: Workspace) -> None:
    happened(shop, bought([WEEKS, WEEKS + 1], OWN))  # more of the same
    answered(shop, TEA, TEA)
    found = drift_of(shop)
    assert [says for *_, says in found.values()] == ["stable"] * 5
    assert [index for _, _, index, _ in found.values()] == pytest.approx([0] * 5)
    assert found["items in a customer's history"][:2] == (2, 2)
    assert found["score of the best item"][:2] == pytest.approx((0.9, 0.9))


def test_a_shop_that_is_another_one_has_drifted_and_the_numbers_say_how_far(shop: Workspace) -> None:
    happened(shop, bought([WEEKS], NEW))
    answered(shop, TEA, COFFEE)
    found = drift_of(shop)
    assert [says for *_, says in found.values()] == ["drifted: train again"] * 5
    for what in ("items in a customer's history", "items bought, of them"):
        assert found[what][:3] == (2, 5, pytest.approx(MOVED))
    assert found["score of the best item"][:2] == pytest.approx((0.9, 0.1))
    assert found["items answered"][:2] == (None, None)
    assert found["items answered"][2] == pytest.approx(ANSWERED)
    assert found["answers with a fallback"][:2] == (0, 1)


def test_of_too_few_answers_nothing_is_said(shop: Workspace) -> None:
    answered(shop, TEA, COFFEE, LEAST - 1)
    found = drift_of(shop)
    assert [found[what][3] for what in ("items in a customer's history", "items bought, of them")] == ["stable"] * 2
    for what in ("score of the best item", "items answered", "answers with a fallback"):
        assert found[what] == (None, None, None, "fewer than 100 of a time: not known")


def test_the_features_of_customers_are_compared_with_those_of_the_training(shop: Workspace) -> None:
    """All had 26 orders, then 27; each a week after the one before."""
    assert {says for *_, says in features_of(shop, "recommender").values()} == {"stable"}
    happened(shop, bought([WEEKS], NEW))
    found = features_of(shop, "recommender")
    assert found["orders"] == (26, 27, pytest.approx(MOVED), "drifted: train again")
    assert found["days_between_orders"] == (7, 7, 0, "stable")
    assert found["stage"] == (None, None, 0, "stable")
    assert features_of(shop, "uplift") == {}


def test_a_release_keeps_how_the_features_of_its_training_were_and_names_no_customer(shop: Workspace) -> None:
    """The offers were learned from two exposures of each on one day, when all had 21 orders."""
    time = np.full(240, START + timedelta(days=7 * 20 + 1), "M8[us]")
    exposures = Exposures(np.repeat(["a", "none"], 120), np.full(240, 0.5), np.ones(240), time)
    table = FeatureTable(pd.DataFrame(index=range(240)), (), np.array(CUSTOMERS * 2, dtype=object))
    outcomes = pd.DataFrame({"revenue": np.random.default_rng(0).normal(size=240)})
    save_log(shop, ExposureLog("coupons", "test", table, exposures, outcomes))
    run(shop, "coupons", "revenue", "t-linear", seed=0, as_of=START + timedelta(days=300))
    promote(shop, "uplift", "latest")
    promote(shop, "recommender", "1")
    for kind in ("uplift", "recommender"):
        manifest = (current(shop, kind) / "manifest.json").read_text()
        assert {one["feature"] for one in json.loads(manifest)["features"]} >= {"orders", "stage"}
        assert "customer-" not in manifest
    moved = index([0, 240, 0], [0, 0, 120])
    assert features_of(shop, "uplift")["orders"] == (21, 26, pytest.approx(moved), "drifted: train again")
    assert features_of(shop, "recommender")["orders"][:3] == (26, 26, 0)


@pytest.mark.browser
def test_the_picture_of_the_features_is_drawn_and_none_of_its_words_is_cut(shop: Workspace, drawn) -> None:
    happened(shop, bought([WEEKS], NEW))
    for _, page in drawn(write(shop, "1"), charts=8):
        assert {"orders", "shifted", "drifted: train again"} <= set(page.locator("svg text").all_text_contents())
        assert not {"orders", "items_bought", "population stability index"} & set(page.evaluate(CUT))
