"""Impact of a shop whose truth is planted: everybody orders once, treated customers for 4 more.

Half of the treated ordered by the campaign `spring`, which the holdout never got.
"""

import json
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from features.events import CLICKED, DELIVERED, IDENTIFIED, ORDERED, PAGE, REFUNDED, Event
from features.holdout import held_out
from features.workspace import Workspace
from serving.cli import main
from serving.impact import shown
from serving.impact.gathered import gather
from serving.impact.population import AGAIN
from serving.impact.report import build

if TYPE_CHECKING:
    from conftest import Maker

MANUAL = (Path(__file__).parents[3] / "docs" / "impact.md").read_text()
NOW = datetime(2026, 5, 1, tzinfo=UTC)
FIRST, LAST = date(2026, 1, 1), date(2026, 4, 30)
MEASURES = ("orders", "revenue", "margin")
MORE = 4.0
SHARE = 0.2
Report = dict[str, Any]


def planted(make: "Maker", customers: int, rng: np.random.Generator) -> list[Event]:
    found = []
    for number in range(customers):
        who, before = f"c{number:05}", datetime(2025, 12, 1) + timedelta(hours=int(rng.integers(0, 600)))
        treated = not held_out(who, SHARE)
        found.append(make.event(PAGE, who, before))
        if rng.random() < 0.5:
            found.append(make.event(ORDERED, who, before + timedelta(hours=1), 10.0))
        time, campaign = datetime(2026, 1, 2) + timedelta(hours=int(rng.integers(0, 2800))), None
        if treated:
            mail = {"campaign": "spring", "channel": "email"}
            found.append(make.event(DELIVERED, who, time - timedelta(days=1), **mail))
            found.append(make.event(CLICKED, who, time - timedelta(hours=3), **mail))
            campaign = "spring" if rng.random() < 0.5 else None
        money = 10.0 * int(rng.integers(1, 4)) + MORE * treated
        found.append(make.event(ORDERED, who, time, money, channel="web", campaign=campaign, order_id=f"o{number}"))
        if rng.random() < 0.1:
            found.append(make.event(REFUNDED, who, time + timedelta(days=2), 10.0, order_id=f"o{number}"))
    return found


@pytest.fixture(scope="module")
def shop(make_once: "Maker") -> Workspace:
    return make_once.shop(planted(make_once, 700, np.random.default_rng(0)))


@pytest.fixture(scope="module")
def report(shop: Workspace) -> Report:
    return build(shop, FIRST, LAST, NOW)


def test_the_planted_money_is_found(report: Report) -> None:
    revenue, treated = report["total"]["revenue"], report["holdout"]["treated"]
    assert revenue["lower"] < MORE * treated < revenue["upper"]
    assert revenue["verdict"] == "more"
    assert report["total"]["orders"]["incremental"] == pytest.approx(0, abs=1e-6)  # everybody orders once
    assert report["holdout"]["sample_ratio"]["as_planned"]


def test_margin_is_money_less_the_catalogues_cost_and_net_takes_the_offers_off(report: Report) -> None:
    total = report["total"]
    assert report["margin"] == {"column": "cost", "covers": 1.0}
    assert total["margin"]["treated"] == pytest.approx(0.4 * total["revenue"]["treated"])
    assert total["net"]["value"] == pytest.approx(total["margin"]["incremental"] - total["cost"])
    assert total["net"]["verdict"] == "earned"


def test_the_rows_of_each_breakdown_add_up_to_the_total(report: Report) -> None:
    groups = {name: report["by"][name] for name in ("month", "channel", "campaign")}
    for row in report["by"]["segment"]:
        groups.setdefault(row["group"], []).append(row)
    assert {"lifecycle", "rfm"} < groups.keys()
    for rows in groups.values():
        assert sum(row["cost"] for row in rows) == pytest.approx(report["total"]["cost"])
        for name in MEASURES:
            for part in ("treated", "held_out", "incremental"):
                whole = report["total"][name][part]
                assert sum(row[name][part] for row in rows) == pytest.approx(whole, abs=1e-6), (name, part)


def test_what_a_campaign_gained_others_lost(report: Report) -> None:
    spring, nothing = report["by"]["campaign"]
    assert (spring["key"], nothing["key"]) == ("spring", None)
    assert spring["orders"]["held_out"] == 0 < spring["orders"]["treated"]
    assert spring["orders"]["verdict"] == "more"
    assert nothing["orders"]["verdict"] == "less"


def test_attribution_stands_beside_and_adds_up_to_what_was_ordered(report: Report) -> None:
    for name in ("channel", "campaign"):
        rows = report["by"][name]
        for part in ("orders", "revenue"):
            ordered = report["total"][part]["treated"] + report["total"][part]["held_out"]
            assert sum(row["attributed"][part] for row in rows) == pytest.approx(ordered)
    assert report["by"]["campaign"][0]["attributed"]["orders"] == report["holdout"]["treated"]  # all clicked before


def test_who_is_in_several_segments_is_taken_off_once_more(report: Report) -> None:
    rows = {(row["group"], row["key"]): row for row in report["by"]["segment"]}
    assert rows["rfm", AGAIN]["revenue"]["treated"] < 0
    assert ("lifecycle", AGAIN) not in rows or rows["lifecycle", AGAIN]["customers"]["treated"] == 0


def test_lifetime_value_is_told_of_all_and_of_each_segment_and_why_where_it_cannot_be(report: Report) -> None:
    values = {(row["group"], row["key"]): row["metrics"]["lifetime-value"] for row in report["segments"]}
    everybody, others = values.pop((None, "all")), list(values.values())
    assert everybody["treated"]["realised"] == pytest.approx(report["total"]["revenue"]["per_treated"])
    assert everybody["held_out"]["realised"] == pytest.approx(report["total"]["revenue"]["per_held_out"])
    for value in (everybody, *others):
        for arm in (value["treated"], value["held_out"]):
            assert (arm["mean"] is None) == (arm["lower"] is None) == ("untold" in arm)
    assert {key for group, key in values if group == "lifecycle"} > {"active"}
    assert any("needs" in value["treated"].get("untold", "") for value in others)


def test_lifetime_value_of_a_campaign_is_of_its_recipients_four_weeks(report: Report) -> None:
    """Everybody ordered on the day after the mail, once, which no model can tell a rhythm from."""
    (spring,) = report["campaigns"]
    value = spring["metrics"]["lifetime-value"]
    assert (value["window_days"], value["horizon_days"]) == (28, 56)
    assert value["customers"] < spring["recipients"]  # those of April are still being seen
    assert value["realised"] == pytest.approx(20 + MORE - 1, abs=1.5)  # and 10 came back from a tenth
    assert (value["mean"], value["lower"], value["forecast"]) == (None, None, None)
    assert "customers all have the same repeats, recency and age; they need to differ" in value["untold"]


def test_no_customer_is_named_in_the_report_which_is_plain_json(report: Report) -> None:
    text = json.dumps(report, allow_nan=False)
    assert "c0000" not in text
    assert json.loads(text) == report


def test_the_commands_of_the_manual_print_and_store(shop: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"attune (report (\w+) -w shop[^`\n]*)", MANUAL)
    assert [name for _, name in commands] == ["impact", "journey"]
    for words, name in commands:
        days = [] if "--from" in words else ["--from", "2026-01-01"]  # else the last year, whenever that is
        with pytest.raises(SystemExit) as ended:
            main([*words.replace("-w shop", f"-w {shop.folder}").split(), *days])
        said = capsys.readouterr().out
        assert ended.value.code == 0
        assert f"stored: {shop.reports / name}.json" in said
        assert all((shop.reports / f"{name}{form}").is_file() for form in (".html", ".csv"))
        assert f"`.attune/reports/{name}.json`" in MANUAL
        if name == "impact":
            assert "money in EUR" in said
            assert "2026-03" in said


def test_what_the_manual_names_is_in_the_report(report: Report) -> None:
    rows = set(re.findall(r"^\| ([a-z, ]+) \|", MANUAL, flags=re.MULTILINE))
    assert {one for row in rows for one in row.split(", ")} == {*report["by"], *report["total"]} - {"key", "orders"}
    (treated, spent, held, theirs) = map(
        int, re.findall(r"(\d+) treated customers spent (\d+) .* (\d+) of the holdout (\d+)", MANUAL)[0]
    )
    assert f"= {treated * (spent / treated - theirs / held):.0f} of the {spent}" in MANUAL


def test_without_a_holdout_nothing_is_incremental_and_it_is_said(make: "Maker") -> None:
    shop = make.shop(planted(make, 30, np.random.default_rng(0)), share=0.0)
    report = build(shop, FIRST, LAST, NOW)
    assert report["total"]["revenue"]["incremental"] is None
    assert report["total"]["net"] is None
    assert "`holdout: 0.05` in attune.yaml" in report["holdout"]["why"]
    assert report["by"]["campaign"][0]["attributed"]["orders"] > 0
    assert report["holdout"]["why"] in list(shown.impact(report))


def test_an_empty_history_and_an_impossible_period_are_one_line_each(make: "Maker") -> None:
    with pytest.raises(ValueError, match="there are no events yet"):
        build(make.shop([]), None, None, NOW)
    shop = make.shop([make.event(ORDERED, "c1", datetime(2026, 1, 5), 10.0)])
    with pytest.raises(ValueError, match="--to 2025-12-01 is before --from 2026-01-01"):
        build(shop, FIRST, date(2025, 12, 1), NOW)
    with pytest.raises(ValueError, match="--from 2026-06-01 is to come"):
        build(shop, date(2026, 6, 1), date(2026, 7, 1), NOW)
    few = build(shop, None, None, NOW)
    assert few["from"] == "2026-01-05"
    assert "each needs 2" in few["holdout"]["why"]


def test_one_customer_with_all_the_money_decides_nothing(make: "Maker") -> None:
    treated, held = make.names(80, 20)
    events = [make.event(PAGE, who, datetime(2026, 1, 5)) for who in (*treated, *held)]
    events.append(make.event(ORDERED, treated[0], datetime(2026, 2, 1), 1_000_000.0))
    revenue = build(make.shop(events), FIRST, LAST, NOW)["total"]["revenue"]
    assert revenue["treated"] == 1_000_000
    assert revenue["verdict"] == "not distinguishable"
    assert revenue["lower"] < 0 < revenue["upper"]


def test_who_was_only_sent_something_makes_no_arm_larger(make: "Maker") -> None:
    treated, held = make.names(8, 4)
    events = [make.event(PAGE, who, datetime(2026, 1, 5)) for who in held]
    events += [make.event(DELIVERED, who, datetime(2026, 1, 5), campaign="a") for who in treated]
    shop = make.shop(events)
    assert gather(shop, FIRST, LAST, NOW).found.counts == {True: 8, False: 4}  # known by their consent, which is older
    late = [event for event in events if event.name == DELIVERED]
    late += [make.event(PAGE, who, datetime(2026, 1, 5)) for who in held[:3]]
    agreed_after = make.shop(late, agreed=datetime(2026, 4, 1))
    assert gather(agreed_after, FIRST, date(2026, 1, 31), NOW).found.counts == {True: 0, False: 3}


def test_a_period_in_which_nobody_was_known_is_a_report_of_nothing(make: "Maker") -> None:
    shop = make.shop([make.event(ORDERED, "c1", datetime(2026, 1, 5), 10.0)])
    report = build(shop, date(2024, 1, 1), date(2024, 2, 1), NOW)
    assert (report["population"]["customers"], report["total"]["orders"]["treated"]) == (0, 0)
    assert report["campaigns"] == []


def test_a_segment_that_messages_make_is_not_to_be_believed(make: "Maker") -> None:
    treated, held = make.names(200, 50)
    clicks = [make.event(CLICKED, who, datetime(2025, 12, 20), campaign="a") for who in treated]
    events = [make.event(IDENTIFIED, who, datetime(2025, 12, 1)) for who in (*treated, *held)]
    report = build(make.shop(events + clicks), FIRST, LAST, NOW)
    rows = {row["key"]: row for row in report["by"]["segment"] if row["group"] == "source"}
    assert rows["from-email"]["customers"] == {"treated": 200, "held_out": 0}
    assert "200 customers, 160 planned" in rows["from-email"]["why"]
    assert any("not to be believed" in line for line in shown.impact(report))
