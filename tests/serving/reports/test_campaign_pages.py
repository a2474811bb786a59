"""A page per campaign, and what recipients did on the page of impact; a campaign's key is whatever somebody sent."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from features.workspace import create
from serving.reports.campaign import slug
from serving.reports.impact import page, write
from serving.reports.shelf import NAME, every, file_of

EVIL = "../<b>spring</b>"
PRINTED = 1003  # pixels of an A4 page, as far as Chromium makes it smaller to fit


def mean(value: float, reach: float = 0.05) -> dict[str, Any]:
    return {"customers": 500, "mean": value, "lower": value - reach, "upper": value + reach}


def engaged(key: str | None, rate: float) -> dict[str, Any]:
    metrics = {"open-rate": mean(rate), "conversion-rate": mean(rate / 2), "revenue": mean(12.5, 1.0)}
    return {"key": key, "recipients": 500, "metrics": metrics}


def beside(group: str | None, key: str, difference: float) -> dict[str, Any]:
    ends = {"difference": difference, "lower": difference - 0.01, "upper": difference + 0.01, "p_adjusted": 0.25}
    return {
        "group": group,
        "key": key,
        "metrics": {"conversion-rate": {"treated": mean(0.5), "held_out": mean(0.25)} | ends},
    }


def report() -> dict[str, Any]:
    cell: dict[str, Any] = {"treated": 90.0, "held_out": 9.0, "incremental": 50.0, "lower": 40.0, "upper": 60.0}
    cell |= {"p_value": 0.1, "lift": None}
    row = {"orders": cell, "revenue": cell, "margin": None, "cost": 2.5, "net": None, "attributed": None}
    return {
        "kind": "impact", "computed_at": "2026-02-01T00:00:00Z", "from": "2026-01-01", "to": "2026-01-31",
        "timezone": "UTC", "currency": "EUR",
        "holdout": {"treated": 900, "held_out": 100, "reached": 0, "sample_ratio": None, "why": None},
        "population": {"left_out": ""},
        "total": {"key": None} | row,
        "by": {"campaign": [{"key": "june"} | row, {"key": EVIL} | row, {"key": None} | row]},
        "campaigns": [engaged("june", 0.5), engaged("may", 0.25), engaged(None, 0.1)],
        "channels": [engaged("email", 0.4)],
        "segments": [beside(None, "all", 0.25), beside("lifecycle", "new", -0.25)],
        "metrics": {"open-rate": {"name": "Open rate"}},
        "notes": [],
    }  # fmt: skip


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", one) for one in rows]


@pytest.mark.parametrize("key", [EVIL, "june", "Été", "..", "a/b", "", " ", "a" * 500, "-x", "Ü", "Ä"])
def test_the_name_of_a_campaign_is_one_and_its_own(key: str) -> None:
    assert NAME.fullmatch(slug(key))
    assert (slug(key) == key) == bool(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}", key))
    assert slug("Ü") != slug("Ä")


def test_each_campaign_has_a_page_and_one_that_is_gone_has_none(tmp_path: Path) -> None:
    shop, told = create(tmp_path / "shop"), report()
    write(shop, told)
    assert {one.name: one.title for one in every(shop.reports) if one.kind == "campaigns"} == {
        "june": "Campaign: june", "may": "Campaign: may", slug(EVIL): f"Campaign: {EVIL}",
    }  # fmt: skip
    tested = {"key": "june", "verdict": "ship b: revenue is better", "computed_at": "2026-01-31T00:00:00Z"}
    told["campaigns"][0]["experiment"] = tested
    write(shop, told)
    path = file_of(shop.reports, "campaigns", "june")
    assert path
    html = path.with_suffix(".html").read_text()
    assert "It brought +50.0 EUR" in html
    assert "ship b: revenue is better" in html
    assert ["Open rate (%)", "50.0", "45.0 to 55.0", "500"] in cells(html)
    assert json.loads(path.read_text())["engagement"] == told["campaigns"][0]
    told["by"]["campaign"] = told["by"]["campaign"][:1]
    told["campaigns"] = told["campaigns"][:1]
    write(shop, told)
    assert [one.name for one in every(shop.reports) if one.kind == "campaigns"] == ["june"]


def test_what_recipients_did_stands_by_campaign_and_channel_and_segments_beside_the_holdout() -> None:
    html = page(report()).html
    rows = cells(html)
    assert ["june", "500", "50.0", "25.0", "12.5"] in rows
    assert ["email", "500", "40.0", "20.0", "12.5"] in rows
    assert ["(none)", "500", "10.0", "5.00", "12.5"] in rows
    assert ["all", "25.0", "24.0 to 26.0", "0.250", "50.0", "25.0"] in rows
    assert ["lifecycle: new", "−25.0", "−26.0 to −24.0", "0.250", "50.0", "25.0"] in rows
    specs = [json.loads(one) for one in re.findall(r'data-chart="\d+">(.*?)</script>', html)]
    drawn = [one for spec in specs for data in spec["datasets"].values() for one in data if one.get("key") == "june"]
    assert {"key": "june", "value": 50.0, "lower": 45.0, "upper": 55.0} in [
        {name: round(value, 6) if isinstance(value, float) else value for name, value in one.items()} for one in drawn
    ]


@pytest.mark.browser
def test_a_long_name_and_many_metrics_fit_a_phone_and_a_printed_page(tmp_path: Path, drawn: Any, faults: Any) -> None:
    told = report()
    long = engaged("a" * 300, 0.5)
    long["metrics"] |= {f"metric-{place}": mean(1234.5) for place in range(10)}
    told["campaigns"] += [long]
    told["by"]["campaign"][0]["key"] = long["key"]
    shop = create(tmp_path / "shop")
    paths = write(shop, told)
    html = paths[1].read_text()
    for width, tab in drawn(paths[1], html.count('<script type="application/json" data-chart')):
        assert faults(tab) == [], width
        tab.emulate_media(media="print")
        tab.set_viewport_size({"width": PRINTED, "height": 1000})
        assert tab.evaluate("document.documentElement.scrollWidth") <= PRINTED
    own = file_of(shop.reports, "campaigns", slug(long["key"]))
    assert own
    tab.goto(own.with_suffix(".html").as_uri())
    tab.emulate_media(media="screen")
    tab.set_viewport_size({"width": 390, "height": 844})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
