"""Traits out of a CRM: one Identify per row, typed by column; what was told last counts."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.cli import app
from features.conditions import matching, parsed
from features.consent import allows
from features.history import read_events
from features.importing import import_traits, propose_traits
from features.ledger import Ledger
from features.workspace import Workspace, create

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CRM = """Customer ID,E-Mail,Age,Zip,VIP,City,Updated at
c1,ann@shop.example,34,01067,true,Dresden,2026-01-05 10:00
c2,bob@shop.example,,10115,false,,2026-01-06
,nobody@shop.example,50,1,true,Rome,2026-01-07
c3,cid@shop.example,41,20095,true,Hamburg,not yet
"""
MAP = "source: crm\ncustomer: id\ntraits: {plan: plan}\n"


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    return create(tmp_path / "shop")


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "crm.csv"
    path.write_text(text)
    return path


def imported(shop: Workspace, path: Path, using: str | None = None, now: datetime = NOW) -> str:
    target = shop.folder / "map.yaml"
    if using is None:
        propose_traits(shop, path, now)
    else:
        target.write_text(using)
    return import_traits(shop, path, target, consent="personalisation", proof="the CRM's own", now=now)


def told(shop: Workspace) -> dict[str, dict[str, object]]:
    rows = read_events(shop).before(datetime(2100, 1, 1)).order_by("time").to_pyarrow().to_pylist()
    return {row["customer"]: row | {"properties": json.loads(row["properties"])} for row in rows}


def test_a_row_is_what_is_told_of_a_customer_from_its_time_on(shop: Workspace, tmp_path: Path) -> None:
    said = imported(shop, file(tmp_path, CRM))
    rows = told(shop)
    assert set(rows) == {"c1", "c2"}
    assert (rows["c1"]["name"], rows["c1"]["time"], rows["c1"]["live"]) == (
        "Identify",
        datetime(2026, 1, 5, 9),
        False,
    )  # Berlin
    assert rows["c1"]["properties"] == {
        "e-mail": "ann@shop.example",
        "age": 34.0,
        "zip": "01067",
        "vip": True,
        "city": "Dresden",
    }
    assert (rows["c2"]["properties"]["age"], rows["c2"]["properties"]["city"]) == (None, None)
    assert "4 rows read, 2 stored" in said
    assert "customer is absent" in said
    assert "time cannot be read" in said
    assert allows(Ledger.at(shop.ledger), "c1", purpose="personalisation", as_of=NOW)


def test_conditions_ask_for_what_was_told(shop: Workspace, tmp_path: Path) -> None:
    imported(shop, file(tmp_path, CRM))
    events, later = read_events(shop), NOW + timedelta(days=1)
    for raw, who in (
        ({"trait": "age", "at_least": 30}, ["c1"]),
        ({"trait": "zip", "is": "01067"}, ["c1"]),
        ({"trait": "vip", "is": False}, ["c2"]),
    ):
        assert matching(parsed(raw), events, later) == who


def test_without_times_the_last_file_counts_also_when_it_says_what_the_first_said(
    shop: Workspace, tmp_path: Path
) -> None:
    for day, plan in enumerate(("basic", "gold", "basic")):
        imported(shop, file(tmp_path, f"id,plan\nc1,{plan}\n"), MAP, NOW + timedelta(days=day))
        assert told(shop)["c1"]["properties"] == {"plan": plan}


def test_the_same_file_on_the_same_day_changes_nothing(shop: Workspace, tmp_path: Path) -> None:
    path = file(tmp_path, "id,plan\nc1,gold\n")
    imported(shop, path, MAP)
    assert "imported before" in imported(shop, path, MAP, NOW + timedelta(hours=1))


def test_a_customer_who_comes_twice_without_times_is_taken_once(shop: Workspace, tmp_path: Path) -> None:
    said = imported(shop, file(tmp_path, "id,plan\nc1,gold\nc1,basic\n"), MAP)
    assert told(shop)["c1"]["properties"] == {"plan": "gold"}
    assert "the customer comes twice" in said


def test_the_view_shows_what_would_be_stored_and_stores_nothing(shop: Workspace, tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["import", "traits", str(file(tmp_path, CRM)), "-w", str(shop.folder)]).stdout
    assert 'c1  2026-01-05 09:00  {"e-mail":"ann@shop.example","age":34.0' in said
    assert "rejected: customer is absent" in said
    assert "attune import traits" in said
    assert not told(shop)


@pytest.mark.parametrize(
    ("text", "said"),
    [("name,age\nAnn,34\n", "no column looks like a customer's id"), ("", "holds nothing")],
)
def test_what_is_no_file_of_customers_is_one_line(shop: Workspace, tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        propose_traits(shop, file(tmp_path, text), NOW)


def test_a_map_that_names_absent_columns_is_one_line(shop: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"lacks the columns \['plan'\]"):
        imported(shop, file(tmp_path, "id,age\nc1,3\n"), MAP)
