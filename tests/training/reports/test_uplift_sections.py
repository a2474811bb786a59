"""What the uplift report says beyond the ranking: learners, bands, kinds, harm, profit and budget; two offers."""

import json
import re
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from features.exposures import ExposureLog, Exposures
from features.table import Feature, FeatureTable
from features.workspace import Workspace, create
from training.pipelines.policy import OURS
from training.pipelines.uplift import judged, save_effects, save_evidence
from training.reports.page import interval, shown
from training.reports.uplift import report, write
from training.reports.uplift_budget import FREE, NOTHING
from training.reports.uplift_figures import Evidence, figures
from training.reports.uplift_harm import harm_words
from training.reports.uplift_profit import profit_words

RUN = "0123456789abcdef"
OFFERS = """offers:
  - {key: good, name: Good, value: 20.0, cost: 0.50, redemption_cost: 1.0, eligible: {trait: city, is: Rome}}
  - {key: idle, name: Idle, value: 20.0, cost: 0.50}
"""


def campaign(*, binary: bool = True) -> ExposureLog:
    """`good` adds 0.2 where spend > 0 and takes 0.2 where not; `idle` changes nothing."""
    rng = np.random.default_rng(0)
    spend = rng.normal(size=6000)
    arm = rng.choice(np.array(["none", "good", "idle"]), 6000)
    mean = 0.4 + 0.2 * np.sign(spend) * (arm == "good")
    outcome = (rng.random(6000) < mean).astype(float) if binary else mean + rng.normal(size=6000)
    table = FeatureTable(pd.DataFrame({"spend": spend}), (Feature("spend", "own", "EUR", "Spend."),))
    exposures = Exposures(arm.astype(np.str_), np.full(6000, 1 / 3), np.ones(6000))
    return ExposureLog("planted", "here", table, exposures, pd.DataFrame({"visit": outcome}))


def kept(folder: Path, log: ExposureLog, offers: str = OFFERS) -> Workspace:
    workspace = create(folder)
    (workspace.folder / "offers.yaml").write_text(offers, encoding="utf-8")
    found = judged(log, "visit", ["t-linear", "dr-linear"], folds=3, seed=0)
    save_evidence(found, log, workspace.runs / RUN)
    save_effects(found, log, workspace.runs / RUN)
    return workspace


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(kept(tmp_path_factory.mktemp("sections") / "shop", campaign()))


@pytest.fixture(scope="module")
def found(planted: Path) -> dict[str, Any]:
    numbers: dict[str, Any] = json.loads(planted.with_suffix(".json").read_text())
    return numbers


def texts(html: str, tag: str) -> list[str]:
    return [unescape(re.sub(r"<[^>]+>", "", one)) for one in re.findall(rf"<{tag}\b[^>]*>(.*?)</{tag}>", html, re.S)]


def test_the_numbers_on_the_page_are_those_of_the_json(planted: Path, found: dict[str, Any]) -> None:
    cells = texts(planted.read_text(), "td")
    pairs = set(pairwise(cells))
    for one in found["offers"].values():
        for row in [*one["bands"]["groups"], *one["harm"]["groups"], *one["profit"]["curve"][::5]]:
            assert (shown(row["value"]), interval(row["lower"], row["upper"])) in pairs
        for row in one["kinds"]:
            place = cells.index(shown(row["least"]), cells.index("persuadable"))
            assert place
            assert (shown(row["most"]), interval(row["lower"], row["upper"])) in pairs
            way = row["one_way"]
            assert (shown(way["value"]), interval(way["lower"], way["upper"])) in pairs
        for row in one["agreement"]["learners"]:
            assert (row["learner"], shown(100 * row["weight"])) in pairs
            assert (shown(row["shared"]), shown(row["correlation"])) in pairs
    for point in found["budget"]:
        assert (shown(point["budget"]), shown(point["value"])) in pairs
        assert (shown(point["value"]), interval(point["lower"], point["upper"])) in pairs
        assert (shown(point["planned"]), shown(point["price"])) in pairs


def test_what_the_words_say_is_what_the_json_says(planted: Path, found: dict[str, Any]) -> None:
    page = unescape(planted.read_text())
    for one in found["offers"].values():
        assert harm_words(one["harm"], found["unit"]) in page
        assert profit_words(one["profit"], "EUR per 1,000 customers") in page


def test_every_picture_has_a_table_after_it_before_the_next_one(planted: Path) -> None:
    marks = re.findall(r"<figure>|<table>", planted.read_text())
    assert all(after == "<table>" for mark, after in pairwise([*marks, "<figure>"]) if mark == "<figure>")


def test_warnings_stand_before_everything_else(planted: Path) -> None:
    page = unescape(planted.read_text())
    said = "offers.yaml gives good to some customers only (eligible); here all of the log could have it."
    assert page.index(said) < page.index('<div class="verdict') < page.index("<h2")
    assert 'class="warning"' not in page[page.index("<h2") :]


def test_a_learner_of_weight_names_the_customers_that_the_choice_names(found: dict[str, Any]) -> None:
    agreement = found["offers"]["good"]["agreement"]
    rows = {row["learner"]: row for row in agreement["learners"]}
    weighed = sum(row["weight"] for row in rows.values())
    assert weighed + agreement["average"] == pytest.approx(max(weighed, 1))
    assert rows["t-linear"]["correlation"] > 0.9
    assert rows["t-linear"]["shared"] > 80
    assert 30 < rows["dr-linear"]["helps"] < 70
    assert rows["constant"]["shared"] is None
    assert agreement["pairs"] == pytest.approx((rows["t-linear"]["shared"] + rows["dr-linear"]["shared"]) / 2, abs=15)


def test_the_planted_kinds_lie_within_their_bounds(found: dict[str, Any]) -> None:
    """`good` wins 0.2 of one half; of the other half it loses 0.2, if alike customers move one way."""
    kinds = {row["kind"]: row for row in found["offers"]["good"]["kinds"]}
    for kind, share in (("persuadable", 10), ("sure thing", 30), ("lost cause", 50), ("do-not-disturb", 10)):
        assert kinds[kind]["lower"] < share < kinds[kind]["upper"]
        assert kinds[kind]["one_way"]["lower"] < share < kinds[kind]["one_way"]["upper"]
    assert sum(row["one_way"]["value"] for row in kinds.values()) == pytest.approx(100)


def test_who_is_harmed_is_found_and_nobody_where_the_offer_is_idle(found: dict[str, Any]) -> None:
    good, idle = (found["offers"][name]["harm"] for name in ("good", "idle"))
    first = good["groups"][0]
    assert (first["group"], first["says"]) == ("below 0", "hurts")
    assert first["share"] == pytest.approx(50, abs=8)
    assert first["lower"] < -200 < first["upper"]
    assert good["saved"]["lower"] < 100 < good["saved"]["upper"]
    assert "hurts" not in {row["says"] for row in idle["groups"]}
    assert "Nobody is shown to be harmed." in harm_words(idle, "visit per 1,000 customers")


def test_the_band_of_a_customer_clears_zero_where_the_effect_is_strong(found: dict[str, Any]) -> None:
    good, idle = (found["offers"][name]["bands"] for name in ("good", "idle"))
    assert good["gain"] > 15
    assert good["lose"] > 15
    assert idle["gain"] + idle["lose"] < 10
    values = [one["value"] for one in good["groups"]]
    assert len(values) == 20
    assert values == sorted(values, reverse=True)


def test_profit_is_highest_where_those_who_gain_end(found: dict[str, Any]) -> None:
    """Half of them gain 0.2 x 20 - 0.5 - 0.6 redeemed = 2.9: 1,450 per 1,000 customers."""
    profit = found["offers"]["good"]["profit"]
    assert profit["best"]["lower"] <= 50 <= profit["best"]["upper"]
    assert profit["earns"]["lower"] < 1450 < profit["earns"]["upper"]
    assert profit["more"]["verdict"] == "better"
    assert profit["curve"][0]["value"] == 0
    assert found["offers"]["idle"]["profit"]["earns"]["lower"] < 0


def test_a_larger_budget_is_planned_to_earn_more_and_the_largest_is_the_choice(found: dict[str, Any]) -> None:
    points = found["budget"]
    assert points[0] | {"price": 0} == points[0] | {"price": 0, "budget": 0, "planned": 0, "value": 0, "offered": 0}
    for name in ("budget", "planned", "offered"):
        assert np.all(np.diff([point[name] for point in points]) >= -1e-9)
    assert np.all(np.diff([point["price"] for point in points[:-1]]) <= 1e-6)
    ours, nobody = found["policy"]["policies"][:2]
    assert ours["policy"] == OURS
    assert points[-1]["value"] == pytest.approx(nobody["gain"]["value"], rel=0.01)
    assert points[-1]["offered"] == pytest.approx(100 * ours["offered"], rel=0.01)


def test_an_amount_has_no_kinds_and_offers_without_costs_have_no_budget(tmp_path: Path) -> None:
    workspace = kept(tmp_path / "shop", campaign(binary=False), "offers: []\n")
    money = figures(Evidence.read(workspace.runs / RUN))
    assert [one["kinds"] for one in money["offers"].values()] == [None, None]
    page = unescape(report(money).html)
    assert "These four are for outcomes of yes or no; visit is an amount." in page
    assert FREE in page


def test_a_budget_is_not_spent_where_no_offer_pays(tmp_path: Path) -> None:
    dear = OFFERS.replace("cost: 0.50", "cost: 50.0")
    workspace = kept(tmp_path / "shop", campaign(), dear)
    found = json.loads(write(workspace).with_suffix(".json").read_text())
    assert [point["offered"] for point in found["budget"]] == [0]
    assert NOTHING in (workspace.reports / "uplift-01234567.html").read_text()
    profit = found["offers"]["good"]["profit"]
    assert profit["best"] | {"upper": 0} == {"share": 0, "lower": 0, "upper": 0}
    assert (profit["earns"]["value"], profit["more"]["verdict"]) == (0, "better")


@pytest.mark.browser
def test_every_picture_is_drawn_and_the_page_fits_a_phone(planted: Path, drawn, faults) -> None:
    for _, page in drawn(planted, charts=20):
        assert faults(page) == []
        page.emulate_media(media="print")  # what is folded on a screen is not on paper
        assert page.evaluate("[...document.querySelectorAll('table')].every(one => one.checkVisibility())")
