"""An experiment's page: the verdict first, numbers as in the JSON, each picture with its table; on every screen."""

import csv
import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from features.workspace import Workspace
from serving.experiments.metrics import standard
from serving.experiments.report import table
from serving.reports.experiment import _says, page
from serving.reports.experiment_words import definition, headline, kind_of, looks, says, unit_of
from training.reports.page import hashes_of, interval, shown


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [[unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)] for row in rows]


def test_the_report_is_stored_as_json_html_and_csv_with_the_same_numbers(
    badge_shop: Workspace, badge: dict[str, Any]
) -> None:
    stored = badge_shop.reports / "experiment-badge.json"
    assert json.loads(stored.read_text()) == json.loads(json.dumps(badge))
    rows = list(csv.DictReader(io.StringIO(stored.with_suffix(".csv").read_text())))
    found = {(row["where"], row["name"]): row["value"] for row in rows if row["part"] == "arms"}
    assert cells(stored.with_suffix(".html").read_text())[0][:3] == ["metric", "difference", "95 % interval"]
    told = {row[0]: row for row in cells(stored.with_suffix(".html").read_text())}
    for key, metric in badge["arms"][1]["metrics"].items():
        for name in ("difference", "lower", "upper", "p_value"):
            assert found[f"treatment / metrics / {key}", name] == ("" if metric[name] is None else str(metric[name]))
        by, unit = unit_of(badge["metrics"][key], "EUR")
        row = told[f"{badge['metrics'][key]['name']} ({unit})"]
        lower, upper = (None if metric[name] is None else by * metric[name] for name in ("lower", "upper"))
        assert row[2] == interval(lower, upper)
        assert row[3:5] == [shown(by * arm["metrics"][key]["mean"]) for arm in badge["arms"]]


def test_every_customer_is_in_one_bin_of_the_money(badge: dict[str, Any]) -> None:
    """Of the control every fourth brought 20, of the treatment every second; some gave 5 back."""
    found = badge["spread"]["revenue"]
    control, treatment = found["arms"]["control"], found["arms"]["treatment"]
    for arm, own in zip(badge["arms"], (control, treatment), strict=True):
        assert own["below"] + own["none"] + sum(own["customers"]) == arm["metrics"]["revenue"]["customers"]
    assert (control["none"], treatment["none"]) == (150, 100)
    assert (sum(control["customers"]), sum(treatment["customers"])) == (50, 100)


def test_the_verdict_comes_first_and_what_others_wrote_is_text(badge_page: Path) -> None:
    html = badge_page.read_text()
    assert html.index('<div class="verdict good"') < html.index("<h2") < html.index("<figure")
    assert "Ship treatment" in html
    assert "<b>sell" not in html
    assert "&lt;b&gt;sell" in html


def test_what_cannot_be_told_says_why(badge: dict[str, Any], badge_page: Path) -> None:
    why = "all customers of both arms have the same value: 0"
    assert badge["arms"][1]["metrics"]["unsubscribe-rate"]["untold"] == why
    html = badge_page.read_text()
    assert f"Unsubscribes: {why}." in html
    assert re.search(r'>Unsubscribes \(%\)</td>.*?<td class="words">cannot be told', html)
    assert _says(badge, "click", {"untold": why, "verdict": "not distinguishable from control"}) == "cannot be told"
    assert any(why in line for line in table(badge) if "unsubscribe-rate" in line)


def test_every_picture_has_its_table_and_every_link_its_part(badge_page: Path) -> None:
    html = badge_page.read_text()
    for part in html.split("<figure")[1:]:
        assert "<table" in part
        assert re.search(r'role="img" aria-label="[^"]+"', part)
    targets = re.findall(r'href="#([^"]+)"', html)
    assert len(targets) == 7
    assert all(f'id="{target}"' in html for target in targets)


def test_what_an_older_report_does_not_hold_is_not_shown(badge: dict[str, Any]) -> None:
    old = {
        name: badge[name]
        for name in badge
        if name
        not in (
            "metrics",
            "roles",
            "shares",
            "hypothesis",
            "looks",
            "over_time",
            "segments",
            "novelty",
            "elements",
            "placebo",
            "spread",
            "warnings",
        )
    }
    old["arms"] = [
        arm | {"metrics": {"revenue": {name: arm["metrics"]["revenue"].get(name) for name in ("mean", "verdict")}}}
        for arm in badge["arms"]
    ]
    old["sample_ratio"] = {"p_value": 0.5, "as_planned": True}
    html = page(old).html
    assert "<figure" not in html
    means = [shown(arm["metrics"]["revenue"]["mean"]) for arm in badge["arms"]]
    assert ["revenue", "–", "–", *means, badge["arms"][1]["metrics"]["revenue"]["verdict"]] in cells(html)


@pytest.mark.parametrize(
    ("verdict", "kind", "head", "why"),
    [
        ("ship a: revenue is better by +1 to +2", "good", "Ship a", "revenue is better by +1 to +2"),
        ("ship a: x; stop b: y", "bad", "Ship a", "x; stop b: y"),
        ("broken: the arms are not as large", "bad", "Broken", "the arms are not as large"),
        ("keep going: too few", "flat", "Keep going", "too few"),
        (
            "a is not distinguishable from the control; the effect is -1 to +1",
            "flat",
            "A is not distinguishable from the control",
            "the effect is -1 to +1",
        ),
    ],
)
def test_a_verdict_is_a_headline_and_its_reason(verdict: str, kind: str, head: str, why: str) -> None:
    assert kind_of(verdict) == kind
    assert headline(verdict) == (head, why)


def test_a_bin_is_told_by_its_ends(badge: dict[str, Any]) -> None:
    found = badge | {"spread": {"revenue": {"edges": [0.0, 0.5, 10.0, 2000.0], "arms": {
        "control": {"below": 0, "none": 5, "customers": [1, 2, 3, 4]},
        "treatment": {"below": 1, "none": 0, "customers": [0, 0, 0, 7]},
    }}}}  # fmt: skip
    rows = cells(page(found).html)
    where = rows.index(["EUR", "control", "treatment"])
    assert rows[where + 1 : where + 7] == [
        ["below 0", "0", "1"],
        ["nothing", "5", "0"],
        ["under 0.5", "1", "0"],
        ["0.5 to 10", "2", "0"],
        ["10 to 2,000", "3", "0"],
        ["2,000 or more", "4", "7"],
    ]


def test_segments_and_elements_are_told_with_their_tables(badge: dict[str, Any]) -> None:
    effect = {"arm": "treatment", "metric": "revenue", "difference": 2.0, "lower": 1.0, "upper": 3.0}
    drawn_together = {"difference": 1.5, "lower": 0.5, "upper": 2.5}
    row = {"segment": "loyal", "customers": 80, "arms": {}, "effects": [effect | {"p_adjusted": 0.5, "shrunk": None}]}
    other = {"segment": "new", "customers": 70, "arms": {}, "effects": [effect | {"shrunk": drawn_together}]}
    interactions = [{"arm": "treatment", "metric": "revenue", "p_value": 0.01}]
    variant = {"element": "title", "variant": "short", "customers": 90, "difference": 4.0, "lower": None, "upper": None}
    html = page(
        badge
        | {"segments": {"in_several": 0, "rows": [row, other], "interactions": interactions}}
        | {"elements": {"references": {"title": "long"}, "metrics": {"revenue": [variant | {"p_adjusted": 0.25}]}}}
    ).html
    assert ["loyal", "2.00", "1.00 to 3.00", "0.500", "–", "–", "80"] in cells(html)
    assert ["new", "2.00", "1.00 to 3.00", "–", "1.50", "0.500 to 2.50", "70"] in cells(html)
    assert "differs between the segments (p = 0.0100)" in html
    assert ["title: short", "4.00", "–", "0.250", "90"] in cells(html)


def test_who_came_in_is_told_by_day_and_by_segment(badge: dict[str, Any]) -> None:
    part = {"segment": "loyal", "arms": {"control": 30, "treatment": 10}, "p_value": 0.002, "alarm": True}
    html = page(badge | {"sample_ratio": badge["sample_ratio"] | {"segments": [part]}}).html
    assert ["2026-01-01", "20", "20", "1.00", "as planned"] in cells(html)
    assert ["loyal", "30", "10", "0.00200", "off"] in cells(html)
    assert "400 customers, of whom 0 were exposed more than once; 0 saw two arms and are left out." in html


def test_how_far_a_test_has_come_is_said_in_a_sentence() -> None:
    planned = {"planned": 4, "customers": None, "days": 60, "fraction": 0.5, "next": "2026-01-15", "end": "2026-03-01"}
    assert looks(planned) == ["Planned: 60 days, 4 looks; 50 % done, the next look on 2026-01-15, over on 2026-03-01."]
    assert looks({"planned": "any"}) == ["Planned: no size, looked at whenever somebody likes."]
    assert looks({"planned": None}) == looks({}) == []


def test_one_of_something_is_said_as_one(badge: dict[str, Any]) -> None:
    assert "window of 1 day<" in page({**badge, "window_days": 1}).html
    assert looks({"planned": 1, "customers": 1}) == ["Planned: 1 customer, 1 look."]


def test_better_is_in_the_metrics_own_direction() -> None:
    fallen = {"lower": -2.0, "upper": -1.0}
    assert says({"better": "lower"}, fallen) == "better"
    assert says({"better": "higher"}, fallen) == says({}, fallen) == "worse"
    assert says({"better": "lower"}, {"lower": -1.0, "upper": 1.0}) == says({}, {}) == "not distinguishable"


def test_a_definition_is_told_in_words_and_every_standard_one_is() -> None:
    told = {
        key: definition({"kind": one.kind, "definition": one.model_dump(mode="json", exclude_defaults=True)})
        for key, one in standard().items()
    }
    assert told["revenue"] == [
        "money of “Order Completed”, less “Order Refunded”, per customer; values above the quantile 0.99 of those "
        "that are not 0 count as it; the customer's own 90 days before make the interval shorter. Higher is better."
    ]
    assert told["open-rate-machines"] == [
        "different campaigns of “Email Opened”, machines too, over different campaigns of “Email Delivered”. "
        "Higher is better."
    ]
    assert all(len(said) == 1 for said in told.values())


def test_a_page_says_which_scripts_may_run_in_it(badge_page: Path) -> None:
    html = badge_page.read_text()
    assert len(hashes_of(html)) == 2
    assert hashes_of(html.replace("<title>", "<title>'sha256-" + "A" * 43 + "='")) == hashes_of(html)
    assert "unsafe-eval" not in html.partition("<title>")[0]


@pytest.mark.browser
def test_the_page_is_drawn_on_every_screen(badge_page: Path, drawn: Any, faults: Any) -> None:
    for width, tab in drawn(badge_page, 7):
        assert faults(tab) == [], width
        points = tab.locator(".chart").first.locator("[aria-roledescription=point]").all()
        told = " ".join(str(one.get_attribute("aria-label")) for one in points)
        assert "Revenue per recipient" in told
        tab.emulate_media(media="print")
        assert tab.evaluate("[...document.querySelectorAll('details table')].every(one => one.offsetHeight > 0)")
