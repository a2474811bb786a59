"""The page of impact: what it brought in all, by month, channel, campaign and segment; each picture with its table."""

import csv
import io
import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from features.workspace import create
from serving.reports.impact import page, write

EVIL = "<i>spring</i>"


def cell(incremental: float | None, reach: float = 10.0) -> dict[str, Any]:
    ends = {"lower": None, "upper": None} if incremental is None else {}
    ends = ends or {"lower": incremental - reach, "upper": incremental + reach}  # type: ignore[operator]  # known here
    found = {"treated": 900.0, "held_out": 90.0, "per_treated": 1.0, "per_held_out": 0.9, "incremental": incremental}
    return found | ends | {"p_value": 0.25, "lift": 0.1, "lift_lower": None, "lift_upper": None, "verdict": "x"}


def row(key: str | None, incremental: float | None, group: str | None = None) -> dict[str, Any]:
    own = {"key": key, "orders": cell(incremental, 3.0), "revenue": cell(incremental) | {"p_adjusted": 0.5}}
    more: dict[str, Any] = {"margin": None, "cost": 12.5, "net": None, "attributed": {"orders": 7.0, "revenue": 70.0}}
    return own | more | ({} if group is None else {"group": group})


def report(incremental: float | None = 50.0, **holdout: Any) -> dict[str, Any]:
    split = {"p_value": 0.5, "as_planned": True, "why": ""}
    return {
        "kind": "impact",
        "computed_at": "2026-02-01T00:00:00Z",
        "from": "2026-01-01",
        "to": "2026-01-31",
        "timezone": "Europe/Berlin",
        "currency": "EUR",
        "holdout": {"share": 0.1, "treated": 900, "held_out": 100, "reached": 0, "sample_ratio": split, "why": None}
        | holdout,
        "population": {"customers": 1000, "left_out": "consent: 0 of 1,000 customers left out"},
        "total": row(None, incremental),
        "by": {
            "month": [row("2026-01", 20.0), row("2026-02", 30.0)],
            "channel": [row("email", 40.0), row(None, 10.0)],
            "campaign": [row(f"c{number:02}", 3.0 + number) for number in range(20)] + [row(EVIL, 1.0)],
            "segment": [row("new", 25.0, "lifecycle"), row("loyal", 25.0, "lifecycle")],
        },
        "notes": ["margin is not known"],
    }


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [[unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", one)] for one in rows]


@pytest.mark.parametrize(
    ("incremental", "tone", "words"),
    [(50.0, "good", "It brought +50.0 EUR"), (-50.0, "bad", "It cost −50.0 EUR"), (5.0, "flat", "Not distinguishable")],
)
def test_the_verdict_is_the_money_and_its_interval(incremental: float, tone: str, words: str) -> None:
    html = page(report(incremental)).html
    assert f'<div class="verdict {tone}"' in html
    assert words in html


def test_without_a_holdout_it_says_why_and_counts_all_the_same() -> None:
    told = report(None, why="attune.yaml names no holdout")
    html = page(told | {"by": told["by"] | {"month": [row("2026-01", None)]}}).html
    assert "What it brought cannot be told" in html
    assert "attune.yaml names no holdout" in html
    (months, *_) = (json.loads(one) for one in re.findall(r'data-chart="\d+">(.*?)</script>', html))
    assert [[one["value"] for one in data] for data in months["datasets"].values() if "value" in data[0]] == [[990.0]]
    assert "Which part of it was caused cannot be told" in html


def test_a_holdout_that_is_off_or_was_reached_is_a_warning() -> None:
    off = {"p_value": 0.0001, "as_planned": False, "why": "arm 'held_out' has 300 customers, 100 planned"}
    html = page(report(sample_ratio=off, reached=12)).html
    assert html.count('class="warning"') == 2
    assert "no increment here is to be believed" in html


def test_the_tables_hold_every_row_and_the_pictures_the_largest() -> None:
    html = page(report()).html
    rows = cells(html)
    assert ["Revenue (EUR)", "50.0", "40.0 to 60.0", "10.0", "0.250", "900.0", "90.0"] in rows
    assert ["email", "40.0", "30.0 to 50.0", "0.500", "900.0", "90.0", "40.0", "12.5", "7.00", "70.0"] in rows
    assert [EVIL, "1.00", "−9.00 to 11.0"] in [one[:3] for one in rows]
    assert EVIL not in html
    specs = [json.loads(one) for one in re.findall(r'data-chart="\d+">(.*?)</script>', html)]
    drawn = [{one["key"] for data in spec["datasets"].values() for one in data if "key" in one} for spec in specs]
    assert drawn == [
        {"2026-01", "2026-02"},
        {"email", "(none)"},
        {f"c{number:02}" for number in range(8, 20)},
        {"new", "loyal"},
    ]
    assert html.count("<figure") == 4


def test_it_is_stored_as_json_html_and_csv(tmp_path: Path) -> None:
    workspace, told = create(tmp_path / "shop"), report()
    paths = write(workspace, told)
    assert [path.name for path in paths] == ["impact.json", "impact.html", "impact.csv"]
    assert json.loads(paths[0].read_text()) == told
    rows = [tuple(one) for one in csv.reader(io.StringIO(paths[2].read_text()))]
    assert ("by", "channel / email / revenue", "incremental", "40.0") in rows


@pytest.mark.browser
def test_the_page_is_drawn_on_every_screen(tmp_path: Path, drawn: Any, faults: Any) -> None:
    for width, tab in drawn(write(create(tmp_path / "shop"), report())[1], 4):
        assert faults(tab) == [], width
