"""Six customers of a test; the window is 14 days from the first exposure.

day      0        5         20
ann   control   buys 10
bob   control                buys 99 (window closed)
cid   treatment buys 30, gives 5 back
dan   treatment buys 20
eve   control and treatment (left out)
fox   treatment, no consent to analytics (left out)
"""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pytest
from scipy.stats import chisquare

from features.consent import Basis, grant
from features.decisions import Decision
from features.events import ORDERED, REFUNDED, SCHEMA, Event, Events
from features.history import read_events
from features.ledger import Ledger
from features.workspace import Workspace, create
from serving.decisions.journal import Journal
from serving.experiments.definitions import Experiment, Shows, read_experiments
from serving.experiments.exposures import EXPERIENCE_CLICKED, EXPERIENCED, VIEWED, arm_of, exposed, viewed
from serving.experiments.gathered import people_of
from serving.experiments.metrics import standard
from serving.experiments.plans import note
from serving.experiments.ratio import watch
from serving.experiments.report import build, stored, table
from serving.experiments.split import split
from serving.experiments.values import PEOPLE, columns, values

START = datetime(2026, 1, 1)  # UTC without a zone, as the tables keep it
NOW = datetime(2026, 2, 1, tzinfo=UTC)
ARMS, ARMS_AB = {"control": 0.5, "treatment": 0.5}, {"a": 0.5, "b": 0.5}
ANALYTICS = Basis(("analytics",), "a box ticked")
TEST = Experiment(key="badge", arms=ARMS)


def event(name: str, customer: str, day: float, money: float | None = None, arm: str | None = None) -> Event:
    time = START + timedelta(days=day)
    return Event(
        source="test",
        message_id=f"{customer}-{name}-{day}-{arm}",
        name=name,
        time=time,
        received_at=time,
        customer=customer,
        item=None if money is None else "tea",
        quantity=None if money is None else 2.0,
        price=None if money is None else money / 2,
        properties=None if arm is None else json.dumps({"experiment_id": "badge", "variation": arm}),
    )


def log(*events: Event) -> Events:
    return Events.of(pa.Table.from_pylist([one.row() for one in events], schema=SCHEMA))


SIX = log(
    *(event(VIEWED, name, 0, arm="control") for name in ("ann", "bob", "eve")),
    *(event(VIEWED, name, 0, arm="treatment") for name in ("cid", "dan", "fox")),
    event(VIEWED, "eve", 1, arm="treatment"),
    event(ORDERED, "ann", -1, 1000.0),  # before the exposure: not an outcome
    event(ORDERED, "ann", 5, 10.0),
    event(ORDERED, "bob", 20, 99.0),
    event(ORDERED, "cid", 5, 30.0),
    event(REFUNDED, "cid", 6, 5.0),
    event(ORDERED, "dan", 5, 20.0),
)


def test_a_customer_who_saw_two_arms_is_left_out_and_counted() -> None:
    found = exposed(viewed(SIX, "badge", NOW), ARMS)
    assert sorted(found.first) == ["ann", "bob", "cid", "dan", "fox"]
    assert (found.crossed, found.strays) == (1, 0)


def test_an_arm_that_the_experiment_does_not_name_is_counted() -> None:
    seen = [("ann", "blue", START), ("bob", "control", START)]
    found = exposed(seen, ARMS)
    assert (list(found.first), found.strays) == (["bob"], 1)


def test_outcomes_are_summed_per_customer_within_the_window_and_refunds_subtract() -> None:
    found = exposed(viewed(SIX, "badge", NOW), ARMS)
    metrics = [standard()[key] for key in ("conversion-rate", "revenue")]
    rows = values(SIX.before(NOW), ibis.memtable(people_of(found)), columns(metrics, 14)).to_pyarrow().to_pydict()
    bought, money, before = (dict(zip(rows["customer"], rows[name], strict=True)) for name in ("m0", "m1", "m1b0"))
    assert money == {"ann": 10, "bob": 0, "cid": 25, "dan": 20, "fox": 0}
    assert bought == {"ann": 1, "bob": 0, "cid": 1, "dan": 1, "fox": 0}
    assert before == {"ann": 1000, "bob": 0, "cid": 0, "dan": 0, "fox": 0}


def of_arms(**sizes: int) -> pa.Table:
    rows = [
        {"customer": f"{arm}{n}", "arm": arm, "first": START + timedelta(days=n % 3)}
        for arm in sizes
        for n in range(sizes[arm])
    ]
    return pa.Table.from_pylist(rows, schema=PEOPLE)


def test_the_split_is_checked_against_the_shares_in_all_and_day_by_day() -> None:
    found = split(of_arms(a=1120, b=880), {"a": 0.25, "b": 0.25})
    assert found["p_value"] == pytest.approx(chisquare([1120, 880]).pvalue)
    assert not found["as_planned"]
    assert "arm 'a' has 1,120 customers, 1,000 planned" in found["why"]
    right = split(of_arms(a=1005, b=995), {"a": 0.25, "b": 0.25})
    assert (right["as_planned"], right["why"], len(right["days"])) == (True, "", 3)
    assert right["days"][0] == {"day": "2026-01-01", "arms": {"a": 335, "b": 332}, "p_value": 1.0, "alarm": False}


def test_people_in_an_arm_of_share_0_are_an_alarm_and_nobody_in_it_is_none() -> None:
    shares = {"a": 0.5, "b": 0.5, "old": 0.0}
    assert split(of_arms(a=50, b=50), shares)["as_planned"]
    assert "arm 'old' has share 0 and 3 customers" in split(of_arms(a=50, b=50, old=3), shares)["why"]
    with pytest.raises(ValueError, match="the first and another one need a share > 0"):
        Experiment(key="x", arms={"old": 0.0, "a": 0.5, "b": 0.5})


def test_a_segment_is_watched_day_after_day_among_all_segments() -> None:
    """Twenty days of 53 to 47, which each day hides: one segment alone shows it; five more make it no alarm."""
    off, right = ({f"d{n:02}": Counter(a=a, b=100 - a) for n in range(20)} for a in (54, 50))
    people = of_arms(a=50, b=50)
    (alone,) = split(people, ARMS_AB, {"off": off})["segments"]
    assert alone["sequential"] == pytest.approx(watch(off, ARMS_AB).p_value)
    many = split(people, ARMS_AB, {"off": off, **{f"s{n}": right for n in range(5)}})["segments"]
    assert many[0]["sequential"] == pytest.approx(min(1.0, 6 * alone["sequential"]))
    gone = split(people, ARMS_AB, {"off": {f"d{n:02}": Counter(a=60, b=40) for n in range(20)}})
    assert (gone["as_planned"], gone["segments"][0]["alarm"]) == (False, True)
    assert gone["segments"][0]["arms"] == {"a": 1200, "b": 800}


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    """120 assigned customers: those of the treatment buy for about 30, one in two of the control for about 10."""
    workspace = create(tmp_path / "shop")
    ledger = Ledger.at(workspace.ledger)
    journal = Journal(workspace.state / "journal", ledger)
    for number in range(120):
        arm = "treatment" if number % 2 else "control"
        facts = ("assign", START, f"c{number:03}", (), (arm,), 0.5, "hash", None, None, workspace.hash, "r", None)
        journal.append(Decision(f"d{number}", *facts, {"experiment": "checkout-badge"}))
    journal.close()
    everyone = [f"c{number:03}" for number in range(120)]
    grant(ledger, everyone[:100], Basis(("analytics",), "a box ticked"), source="test", time=START)
    return workspace


def orders() -> pa.Table:
    bought = [number for number in range(120) if number % 2 or number % 4 == 0]
    rows = [event(ORDERED, f"c{n:03}", 3, (30.0 if n % 2 else 10.0) + n % 5).row() for n in bought]
    return pa.Table.from_pylist([row | {"live": False} for row in rows], schema=SCHEMA)


def test_a_report_is_built_from_assignments_and_orders_and_stored(shop: Workspace) -> None:
    from features.history import append

    append(shop, orders())
    experiment = read_experiments(shop.folder)["checkout-badge"]
    report = build(shop, experiment, NOW)
    control, treatment = report["arms"]
    assert (control["customers"], treatment["customers"]) == (50, 50)
    assert control["metrics"]["conversion-rate"]["mean"] == pytest.approx(0.5)
    assert treatment["metrics"]["revenue"]["verdict"] == "higher than control"
    assert treatment["metrics"]["revenue"]["chance_to_beat"] > 0.999
    assert treatment["metrics"]["revenue"]["expected_loss"] < 1e-6
    waited = treatment["metrics"]["time-to-conversion"]  # all of them bought on day 3 of 14, half of the others
    assert waited["mean"] == pytest.approx(3.0)
    assert control["metrics"]["time-to-conversion"]["mean"] == pytest.approx((3 + 14) / 2)
    assert (waited["difference"], waited["tau_days"]) == (pytest.approx(-5.5), 14)
    assert waited["verdict"] == "lower than control"
    assert waited["curve"]["times"][:2] == [0, 3]
    repeated = treatment["metrics"]["repeat-purchase-rate"]  # nobody did: one secondary metric is left to be tested
    assert (repeated["p_value"], waited["p_adjusted"]) == (None, waited["p_value"])
    assert treatment["metrics"]["complaint-rate"]["verdict"] == "not distinguishable"
    json.loads(json.dumps(report, allow_nan=False))
    assert "20 of 120 customers left out" in report["left_out"]
    shop.reports.mkdir()
    (shop.reports / "experiment-checkout-badge.json").write_text(json.dumps(report))
    again = stored(shop.reports, "checkout-badge", NOW + timedelta(hours=1))
    assert again is not None
    assert again.pop("age_seconds") == 3600
    assert again == report
    assert "higher than control" in "\n".join(table(report))
    assert report["verdict"].startswith("ship treatment: conversion-rate is better by +0.3")


def test_a_definition_that_was_edited_while_it_ran_is_told_with_both_hashes(shop: Workspace) -> None:
    from features.history import append

    append(shop, orders())
    path = shop.folder / "experiments" / "checkout-badge.yaml"
    planned = build(shop, read_experiments(shop.folder)["checkout-badge"], NOW)
    assert planned["plan"]["hash"] == planned["plan"]["at_first_exposure"]
    note(shop, "checkout-badge", planned["plan"]["hash"], NOW)  # it is stored
    path.write_text(path.read_text().replace("window_days: 14", "window_days: 10"))
    report = build(shop, read_experiments(shop.folder)["checkout-badge"], NOW + timedelta(days=1))
    then, now = planned["plan"]["hash"], report["plan"]["hash"]
    assert report["plan"] == {
        "hash": now, "at_first_exposure": then, "changed": True, "since": "2026-02-02T00:00:00Z",
    }  # fmt: skip
    said = (
        f"the definition was edited after the first exposure (plan {then} then, {now} now since 2026-02-02T00:00:00Z)"
    )
    assert said in report["verdict"]
    assert report["verdict"].startswith("ship treatment: ")
    assert any(said in one for one in report["warnings"])


def test_before_a_window_has_closed_it_is_too_early_and_when_that_will_be_is_said(shop: Workspace) -> None:
    from features.history import append

    append(shop, orders())
    report = build(shop, read_experiments(shop.folder)["checkout-badge"], datetime(2026, 1, 10, tzinfo=UTC))
    assert report["verdict"] == (
        "keep going: the 14 days in which a customer counts are over for too few; the first end on 2026-01-15 00:00 UTC"
    )
    found = report["arms"][1]["metrics"]
    assert (found["revenue"]["customers"], found["revenue"]["mean"], found["revenue"]["lower"]) == (0, None, None)
    assert found["time-to-conversion"]["tau_days"] == 9  # all of them are followed from the first day on
    assert report["sample_ratio"]["as_planned"]
    assert "keep going" in "\n".join(table(report))


def test_a_person_who_sat_in_two_arms_under_two_ids_is_left_out_and_counted(shop: Workspace) -> None:
    from features.history import append, record

    append(shop, orders())
    told = json.dumps({"previous_id": "c000"})
    merged = Event("web", "1", "Alias", START, START, customer="c001", properties=told)
    record(Ledger.at(shop.ledger), [merged])
    report = build(shop, read_experiments(shop.folder)["checkout-badge"], NOW)
    assert report["saw_two_arms"] == 1
    assert [arm["customers"] for arm in report["arms"]] == [49, 49]


def test_without_exposures_the_error_says_where_they_come_from(shop: Workspace) -> None:
    with pytest.raises(ValueError, match=r"experiment 'other'.*assign"):
        build(shop, Experiment(key="other", arms=ARMS), NOW)


def decided(journal: Journal, number: int, chosen: tuple[str, ...], held: str | None = None) -> None:
    facts = ("decide", START, f"c{number:03}", (), chosen, 0.5, "content", None, None, "hash", "r", None)
    journal.append(Decision(f"slot-{number}", *facts, {"slot": "hero", "held_out_of": held}))


def seen_slot(number: int, decision: int) -> Event:
    time, told = START + timedelta(days=1), json.dumps({"decision_id": f"slot-{decision}"})
    return Event("web", f"seen-{number}-{decision}", EXPERIENCED, time, time, customer=f"c{number:03}", properties=told)


def test_a_slot_is_compared_with_its_holdout_among_those_who_saw_it(shop: Workspace) -> None:
    """Of 120 a third is held out; every fourth never saw the page, and c001 told of what c000 was shown."""
    from features.history import append, record

    append(shop, orders())
    ledger = Ledger.at(shop.ledger)
    journal = Journal(shop.state / "journal", ledger)
    for number in range(120):
        held = "sale" if number % 3 == 0 else None
        decided(journal, number, ("content:default" if held else "content:sale", "item:tea", "head:default"), held)
    journal.close()
    record(ledger, [seen_slot(number, number) for number in range(120) if number % 4] + [seen_slot(1, 0)])
    shows = {"slot": "hero"}
    report = build(shop, Experiment(key="worth", arms={"held_out": 1 / 3, "shown": 2 / 3}, shows=shows), NOW)
    sizes = {arm["arm"]: arm["customers"] for arm in report["arms"]}
    agreed = [number for number in range(100) if number % 4]
    assert sizes == {"held_out": sum(n % 3 == 0 for n in agreed), "shown": sum(n % 3 != 0 for n in agreed)}
    assert (report["saw_two_arms"], report["unknown_arm"]) == (0, 0)


def test_a_click_on_what_a_slot_showed_is_an_outcome_of_its_decision(shop: Workspace) -> None:
    """All but two saw it on day 1. The even customers, all shown, clicked but for c098; c003 did too late."""
    from features.history import append, record

    append(shop, orders())
    ledger = Ledger.at(shop.ledger)
    journal = Journal(shop.state / "journal", ledger)
    for number in range(100):
        held = None if number % 2 == 0 else "sale"
        decided(journal, number, ("content:default" if held else "content:sale", "head:default"), held)
    journal.close()
    record(ledger, [seen_slot(number, number) for number in range(2, 100)])
    clicked = [replace(seen_slot(n, n), name=EXPERIENCE_CLICKED, message_id=f"click-{n}") for n in range(0, 98, 2)]
    late = replace(clicked[0], message_id="late", customer="c003", properties=json.dumps({"decision_id": "slot-3"}))
    another = replace(clicked[0], message_id="another", customer="c005")  # tells of what c000 was shown
    record(ledger, [*clicked, replace(late, time=START + timedelta(days=20)), another])
    report = build(shop, Experiment(key="worth", arms={"held_out": 0.5, "shown": 0.5}, shows={"slot": "hero"}), NOW)
    held, shown = report["arms"]
    assert (held["customers"], shown["customers"]) == (49, 50)  # c000 clicked, and so has seen it
    assert (held["metrics"]["click"]["mean"], shown["metrics"]["click"]["mean"]) == (0, 0.98)
    assert shown["metrics"]["click"]["verdict"] == "higher than control"
    assert "click is better by" in report["verdict"]


def on_device(name: str, device: str, day: float, **more: Any) -> Event:
    time = START + timedelta(days=day)
    return Event("web", f"{name}-{device}-{day}", name, time, time, anonymous=device, **more)


def test_a_visitor_who_never_identifies_is_one_unit_and_who_does_is_the_customer(shop: Workspace) -> None:
    """Forty devices saw the test twice. On d0 to d9 somebody then identified, and it was seen there once more."""
    from features.history import append, record

    append(shop, orders())
    ledger = Ledger.at(shop.ledger)
    devices = [f"d{number}" for number in range(40)]
    grant(ledger, [*devices, *(f"u{number}" for number in range(10))], ANALYTICS, source="test", time=START)
    told = [json.dumps({"experiment_id": "new", "variation": ("control", "treatment")[n % 2]}) for n in range(40)]
    seen = [on_device(VIEWED, one, day, properties=told[n]) for n, one in enumerate(devices) for day in (1, 2)]
    became = [on_device("Identify", one, 3, customer=f"u{number}") for number, one in enumerate(devices[:10])]
    after = [on_device(VIEWED, one, 4, properties=told[number]) for number, one in enumerate(devices[:10])]
    bought = {"item": "tea", "quantity": 1.0, "price": 7.0}
    orders_ = [on_device(ORDERED, "d21", 5, **bought), replace(on_device(ORDERED, "d1", 5, **bought), customer="u1")]
    record(ledger, [*seen, *became, *after, *orders_])
    report = build(shop, Experiment(key="new", arms=ARMS), NOW)
    control, treatment = report["arms"]
    assert (control["customers"], treatment["customers"]) == (20, 20)
    assert treatment["metrics"]["revenue"]["mean"] == pytest.approx(2 * 7.0 / 20)
    assert control["metrics"]["conversion-rate"]["mean"] == 0
    assert report["saw_two_arms"] == 0
    assert "0 of 40 customers" in report["left_out"]
    found = {who for who, _, _ in viewed(read_events(shop), "new", NOW)}
    assert found == {f"u{number}" for number in range(10)} | set(devices[10:])


CHOSEN = ("content:sale", "item:head:x", "offer:nothing", "head:red", "cta:default")


@pytest.mark.parametrize(
    ("shows", "context", "arm"),
    [
        ({}, {}, "shown"),
        ({"content": "sale"}, {}, "shown"),
        ({"content": "other"}, {}, None),
        ({"content": "sale", "element": "head"}, {}, "red"),
        ({"content": "sale", "element": "cta"}, {}, "default"),
        ({"content": "sale", "element": "foot"}, {}, None),
        ({}, {"held_out_of": "sale"}, "held_out"),
        ({"content": "sale", "element": "head"}, {"held_out_of": "sale"}, None),
        ({}, {"slot": "footer"}, None),
    ],
)
def test_a_decision_of_content_is_in_the_arm_that_it_drew(shows: dict, context: dict, arm: str | None) -> None:
    assert arm_of(Shows(slot="hero", **shows), CHOSEN, {"slot": "hero"} | context) == arm


def test_the_default_that_nobody_drew_is_no_arm() -> None:
    assert arm_of(Shows(slot="hero"), ("content:default",), {"slot": "hero", "held_out_of": None}) is None


def test_an_element_is_compared_within_one_content() -> None:
    with pytest.raises(ValueError, match="element == 'head' needs the content in which it is drawn"):
        Shows(slot="hero", element="head")


def test_no_report_yet_is_none(shop: Workspace) -> None:
    assert stored(shop.reports, "checkout-badge", NOW) is None
