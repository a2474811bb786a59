"""The model report of a real run. The shop: 40 customers buy their own item every week, and two come in the last month.

customer 0    i0 . i0 . i0 ... | i0        `repeat` knows it; popularity cannot
customer 1    i1 . i1 . i1 ... | i1
late 0                         | i0        new: nobody can know
"""

import json
import re
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from features.consent import Basis, grant
from features.events import ORDERED, SCHEMA
from features.history import append, locked
from features.ledger import Ledger
from features.workspace import Settings, Workspace
from serving.cli import app
from training import promotion
from training.comparison import pareto_lines
from training.recommenders import RECOMMENDERS
from training.reports.model import report, write
from training.reports.model_figures import Evidence, figures
from training.reports.model_words import headline, meant_for, others_words, variety_words, warnings_of
from training.reports.page import interval, shown

# MLflow's own queries, wishes about signatures and open sockets of its store are not ours to change.
pytestmark = pytest.mark.filterwarnings(
    "ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::UserWarning", "ignore::ResourceWarning"
)

ROOT = Path(__file__).resolve().parents[3]
START = datetime.fromisoformat("2024-01-01")
CUSTOMERS, ITEMS, WEEKS = 40, 10, 26
HOSTILE = "<script>alert(1)</script>"
CUT_LEGENDS = """[...document.querySelectorAll('svg.marks .role-legend text')].filter(text =>
  text.getBoundingClientRect().right > text.closest('svg').getBoundingClientRect().right + 1
).map(text => text.textContent)"""
MODELS = ("popularity", "neighbours", "repeat")


def order(customer: str, item: int, time: datetime, number: int) -> dict[str, Any]:
    row = dict.fromkeys(SCHEMA.names)
    return row | {
        "source": "test", "message_id": f"{number}", "line": 0, "name": ORDERED, "customer": customer, "time": time,
        "received_at": time, "live": False, "item": f"item-{item:02d}", "quantity": 1.0, "price": 1.0, "machine": False,
    }  # fmt: skip


def log() -> pa.Table:
    rng, rows = np.random.default_rng(0), []
    for customer in range(CUSTOMERS):
        for week in range(WEEKS):
            item = int(rng.integers(ITEMS)) if rng.random() < 0.3 else customer % ITEMS
            rows.append(order(f"customer-{customer:02d}", item, START + timedelta(7 * week, 60 * customer), len(rows)))
    rows += [order(f"customer-late-{n}", n, START + timedelta(7 * WEEKS - 8), len(rows) + n) for n in range(2)]
    return pa.Table.from_pylist(rows, schema=SCHEMA)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with one trained version; the names of its items are hostile."""
    folder = tmp_path_factory.mktemp("shop")
    (folder / "attune.yaml").write_text(f"name: {HOSTILE}\nrecommender: {{k: 3, models: [{', '.join(MODELS)}]}}\n")
    names = "".join(f"item-{n:02d},Tea {n} {HOSTILE}\n" for n in range(ITEMS))
    (folder / "catalog.csv").write_text(f"item,name\n{names}")
    workspace = Workspace.open(folder)
    with locked(workspace):
        append(workspace, log())
    people = sorted(set(log()["customer"].to_pylist()))
    grant(Ledger.at(workspace.ledger), people, Basis(("personalisation",), "test"), source="test", time=START)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ATTUNE_MLRUNS", str(folder / "mlruns"))
        patch.setenv("MLFLOW_TRACKING_URI", "")
        CliRunner().invoke(app, ["train", "recommender", "-w", str(folder)], catch_exceptions=False)
        yield workspace


@pytest.fixture(scope="module")
def run(shop: Workspace) -> Path:
    (found,) = shop.runs.iterdir()
    return found


@pytest.fixture(scope="module")
def found(shop: Workspace, run: Path) -> dict[str, Any]:
    return figures(Evidence.read(shop, run.name))


def texts(html: str, tag: str) -> list[str]:
    return [unescape(re.sub(r"<[^>]+>", "", one)) for one in re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", html, re.S)]


def test_the_numbers_on_the_page_are_those_of_the_json(shop: Workspace, run: Path) -> None:
    path = write(shop, "1")
    numbers = json.loads(path.with_suffix(".json").read_text())
    assert path == shop.reports / f"model-{run.name[:8]}.html"
    cells = texts(path.read_text(), "td")
    pairs = set(pairwise(cells))
    for row in numbers["models"]:
        for metric in ("recall", "ndcg", "hit_rate"):
            assert (shown(row[metric]["value"]), interval(row[metric]["lower"], row[metric]["upper"])) in pairs
    for group in (one for groups in numbers["groups"].values() for one in groups):
        given = [
            shown(group["customers"]),
            *(shown(group["models"][row["model"]]["value"]) for row in numbers["models"]),
        ]
        assert given in [cells[place : place + len(given)] for place in range(len(cells))]
    for row in numbers["costs"]:
        assert (shown(row["fit_cpu_s"]), shown(row["answer_cpu_s"])) in pairs


def test_the_figures_are_those_of_the_run(found: dict[str, Any], run: Path) -> None:
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert {row["model"] for row in found["models"]} == set(MODELS)
    for row in found["models"]:
        kept = evaluation["models"][row["model"]]
        assert row["recall"]["value"] == pytest.approx(kept["all"]["recall"])
        assert row["ndcg"]["lower"] <= row["ndcg"]["value"] <= row["ndcg"]["upper"]
        assert row["against"] == kept["against_baseline"]
    for group in found["groups"]["parts"]:
        for model, one in group["models"].items():
            assert one["value"] == pytest.approx(evaluation["models"][model][group["group"]]["recall"])


def test_groups_of_customers_hold_everybody_once_and_few_have_no_interval(found: dict[str, Any]) -> None:
    counts = {one["group"]: one["customers"] for one in found["groups"]["lengths"]}
    assert sum(counts.values()) == found["customers"]["all"] == CUSTOMERS + 2
    assert counts["nothing (new)"] == found["customers"]["new"] == 2
    new = next(one for one in found["groups"]["lengths"] if one["group"] == "nothing (new)")
    assert {(one["lower"], one["upper"]) for one in new["models"].values()} == {(None, None)}


def test_the_mark_is_that_of_compare(found: dict[str, Any]) -> None:
    marked = {line.split()[1] for line in pareto_lines("recommender")[2:] if line.startswith("*")}
    assert {row["model"] for row in found["costs"] if row["best"]} == marked


def test_the_ten_customers_bought_next_what_the_page_says(found: dict[str, Any], run: Path) -> None:
    sample = json.loads((run / "sample.json").read_text())
    assert [one["customer"] for one in found["sample"]] == [f"Customer {n}" for n in range(1, 11)]
    for person, kept in zip(found["sample"], sample, strict=True):
        for model, answer in person["answers"].items():
            assert [one["item"] for one in answer] == [one["item"] for one in kept["answers"][model]]
            assert [one["bought"] for one in answer] == [one["item"] in kept["next"] for one in answer]
    hits = sum(one["bought"] for person in found["sample"] for answer in person["answers"].values() for one in answer)
    assert texts(report(found).html, "td").count("yes") == hits > 0


def test_no_customer_is_named_and_an_item_cannot_write_html(shop: Workspace) -> None:
    path = write(shop)
    for text in (path.read_text(), path.with_suffix(".json").read_text()):
        assert "customer-" not in text
    assert HOSTILE not in path.read_text()
    assert f"1. Tea 0 {HOSTILE}" in texts(path.read_text(), "td")


def test_without_a_run_the_page_is_of_the_champion_else_of_the_newest(shop: Workspace, run: Path) -> None:
    newer = shutil.copytree(run, run.with_name("f" * 32), copy_function=shutil.copyfile)
    try:
        found = figures(Evidence.read(shop, ""))
        assert (found["run"], found["version"], found["costs"]) == (newer.name, None, [])
        assert "MLflow does not know this run here" in report(found).html
        promotion.promote(shop, "recommender", "1")
        found = figures(Evidence.read(shop, ""))
        assert (found["run"], found["version"], found["champion"]) == (run.name, 1, True)
    finally:
        shutil.rmtree(newer)


def test_a_run_that_is_not_there_is_one_line(shop: Workspace, run: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"run == 'nine' names 0 runs, must name one of \['{run.name}'\]"):
        Evidence.read(shop, "nine")
    with pytest.raises(ValueError, match="no recommender run here; run `attune train recommender`"):
        Evidence.read(Workspace(tmp_path, Settings(name="shop")), "")


def judged(difference: float, *, wide: float = 0.1, **others: str) -> dict[str, Any]:
    """Figures whose chosen model differs from the baseline by so much; `others` say how it does against them."""
    against = [{"model": model, "says": says.replace("_", " ")} for model, says in others.items()]
    return {
        "chosen": "ease", "baseline_name": "popularity", "metric": "ndcg@10", "model": 0.5 + difference,
        "baseline": 0.5, "difference": difference, "lower": difference - wide, "upper": difference + wide,
        "customers": {"all": 500}, "catalogue": 50, "against_others": against,
        "period": {"test": "2024-06-01", "end": "2024-06-28"},
    }  # fmt: skip


def test_the_verdict_says_better_and_worse_only_where_the_interval_leaves_out_0() -> None:
    assert headline(judged(0.2))[0] == "ease is better than popularity"
    assert headline(judged(-0.2))[0] == "ease is worse than popularity"
    assert headline(judged(0.05))[0] == "ease: not distinguishable from popularity"
    assert headline(judged(0.0) | {"chosen": "popularity"})[0] == "Nothing better than popularity was found"


def test_the_other_models_are_told_by_what_may_be_said_of_them() -> None:
    found = judged(0.2, als="better", bpr="better", repeat="not_distinguishable", tifu="worse")
    words = "ease is better than als and bpr; not distinguishable from repeat; worse than tifu."
    assert others_words(found) == words
    assert others_words(judged(0.2)) == ""


def test_what_speaks_against_a_model_is_warned_of() -> None:
    assert warnings_of(judged(0.2, als="better")) == []
    bad = judged(0.2, als="worse") | {"customers": {"all": 30}, "catalogue": 20_000}
    few, moved, large = warnings_of(bad)
    assert few.startswith("Only 30 customers")
    assert "als did better than ease" in moved
    assert large == "ease is meant for up to 10,000 items; there are 20,000."


def test_variety_is_free_up_to_the_last_step_before_the_first_that_costs() -> None:
    def steps(*upper: float) -> dict[str, Any]:
        knob = zip((0.0, 0.25, 0.5, 0.75), (0.0, *upper), strict=True)
        return {"chosen": "als", "variety": [{"variety": v, "upper": u, "alike": 0.5} for v, u in knob]}

    assert variety_words(steps(0.1, -0.1, 0.1)) == "Up to variety 0.25 the cost is not distinguishable from none."
    assert variety_words(steps(-0.1, -0.1, -0.1)) == "Every step of variety costs als Recall."
    alike = {"chosen": "repeat", "variety": [{"variety": 0.5, "upper": 0.0, "alike": 0.0}]}
    assert "does not know how alike items are" in variety_words(alike)


def test_the_catalogue_that_a_model_is_meant_for_is_that_of_the_docs() -> None:
    table = (ROOT / "docs" / "models.md").read_text().split("## The recommenders")[1]
    rows = [[cell.strip() for cell in line.split("|")] for line in table.splitlines() if line.startswith("| `")]
    assert {row[1].strip("`"): row[4] for row in rows} == {name: meant_for(name) for name in RECOMMENDERS}


@pytest.mark.browser
def test_every_picture_is_drawn_offline_and_the_page_fits_a_phone(shop: Workspace, drawn) -> None:
    order = [one["group"] for one in figures(Evidence.read(shop, ""))["groups"]["lengths"]]
    assert order[0] == "nothing (new)"  # two customers: no interval
    for width, page in drawn(write(shop), charts=7):
        assert [label for label in page.locator("svg text").all_text_contents() if label in order] == order
        assert page.evaluate(CUT_LEGENDS) == []
        page.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
