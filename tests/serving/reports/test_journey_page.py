"""The page of the journey: how far customers came, where they were lost, what of it was caused, and who came again."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from features.workspace import create
from serving.reports.journey import page, write

NAMES = {"touch": "First touch", "visit": "Visit", "order": "Order", "repeat": "Repeat order"}


def step(key: str, customers: int, incremental: float | None = None) -> dict[str, Any]:
    reach = {"incremental_lower": None, "incremental_upper": None}
    if incremental is not None:
        reach = {"incremental_lower": incremental - 5, "incremental_upper": incremental + 5}
    own: dict[str, Any] = {"step": key, "customers": customers, "share": 0.5, "lower": 0.4, "upper": 0.6, "lost": 3}
    return own | {"days": 2.0, "incremental": incremental, "p_adjusted": 0.5} | reach


def row(by: str, key: str, incremental: float | None, *, group: str | None = None, why: str = "") -> dict[str, Any]:
    steps = [step(one, 100 - 30 * place, incremental) for place, one in enumerate(NAMES)]
    customers = {"treated": 900, "held_out": 100}
    return {"by": by, "group": group, "key": key, "customers": customers, "why": why, "steps": steps}


def report(incremental: float | None = 20.0, why: str = "") -> dict[str, Any]:
    return {
        "kind": "journey",
        "computed_at": "2026-02-01T00:00:00Z",
        "from": "2026-01-01",
        "to": "2026-01-31",
        "timezone": "Europe/Berlin",
        "currency": "EUR",
        "steps": [{"key": key, "name": name} for key, name in NAMES.items()],
        "rows": [
            row("all", "all", incremental, why=why),
            row("source", "email: <i>", 12.0),
            row("source", "web", 8.0),
            row("segment", "new", 30.0, group="lifecycle"),
            row("segment", "loyal", -30.0, group="lifecycle"),
        ],
        "cohorts": [
            {"cohort": "2025-12", "customers": 40, "again": [10, 4]},
            {"cohort": "2026-01", "customers": 20, "again": [5]},
            {"cohort": "2026-02", "customers": 8, "again": []},
        ],
        "notes": ["a note"],
    }


def cells(html: str) -> list[list[str]]:
    rows = re.findall(r"<tr>(.*?)</tr>", html)
    return [[unescape(cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", one)] for one in rows]


def test_the_tables_hold_what_the_report_says() -> None:
    html = page(report()).html
    rows = cells(html)
    assert ["Visit", "70", "50.0", "40.0 to 60.0", "3", "2.00", "20.0", "15.0 to 25.0", "0.500"] in rows
    assert ["email: <i>", "100", "70", "40", "10"] in rows
    assert ["2025-12", "40", "10", "4"] in rows
    assert ["2026-02", "8", "–", "–"] in rows
    assert "<i>" not in html
    assert "a note" in html
    specs = [json.loads(one) for one in re.findall(r'data-chart="\d+">(.*?)</script>', html)]
    shares = [one for spec in specs for data in spec["datasets"].values() for one in data if "after" in one]
    assert shares == [
        {"cohort": "2025-12", "after": 1, "share": 25.0},
        {"cohort": "2025-12", "after": 2, "share": 10.0},
        {"cohort": "2026-01", "after": 1, "share": 25.0},
    ]


@pytest.mark.parametrize(
    ("incremental", "tone", "words"),
    [(20.0, "good", "+20.0 customers ordered"), (-20.0, "bad", "−20.0 customers"), (1.0, "flat", "Not distinguish"),
     (None, "flat", "What it changed cannot be told")],
)  # fmt: skip
def test_the_verdict_is_how_many_ordered_because_of_it(incremental: float | None, tone: str, words: str) -> None:
    html = page(report(incremental)).html
    assert f'<div class="verdict {tone}"' in html
    assert words in html


def test_increments_that_are_not_to_be_believed_are_said_so_and_a_report_without_cohorts_shows_none() -> None:
    found = report(why="the holdout is not as large as planned")
    del found["cohorts"]
    html = page(found).html
    assert "not to be believed: the holdout is not as large as planned" in html
    assert "Who came again" not in html


@pytest.mark.browser
def test_the_page_is_drawn_on_every_screen(tmp_path: Path, drawn: Any, faults: Any) -> None:
    paths = write(create(tmp_path / "shop"), report())
    assert [path.name for path in paths] == ["journey.json", "journey.html", "journey.csv"]
    for width, tab in drawn(paths[1], 4):
        assert faults(tab) == [], width
