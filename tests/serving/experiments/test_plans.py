"""The plan of a test: its hash stands in each assignment, and the report says when it was edited, and both hashes."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.decisions import Decision, Option
from features.ledger import Ledger
from features.workspace import Workspace, create
from serving.bundle import rules
from serving.decisions.journal import Journal
from serving.decisions.state import State
from serving.experiments.definitions import Experiment, read_experiments
from serving.experiments.metrics import Measure, Metric, read_metrics, standard
from serving.experiments.plans import FOLDER, edited, kept, note, plan_hash

NOW = datetime(2026, 3, 10, tzinfo=UTC)
TEST = Experiment(key="test", arms={"a": 0.5, "b": 0.5})


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    return create(tmp_path / "shop")


def exposed(shop: Workspace, *rows: tuple[datetime, dict[str, Any]]) -> None:
    """Assignments of so many moments with this context."""
    journal = Journal(shop.state / "journal", Ledger.at(shop.ledger))
    plain = {"experiment": "test", "in_experiment": True}
    for place, (time, context) in enumerate(rows):
        journal.append(
            Decision(
                decision_id=f"d{place}-{time}",
                kind="assign",
                time=time.replace(tzinfo=None),
                customer=f"c{place}",
                options=(Option("a", probability=0.5),),
                chosen=("a",),
                probability=0.5,
                policy="assignment-hash",
                model=None,
                model_version=None,
                workspace_hash="0" * 12,
                reason="",
                context=plain | context,
            )
        )
    journal.close()


@pytest.mark.parametrize(
    "change",
    [
        {"arms": {"a": 0.6, "b": 0.4}},
        {"arms": {"b": 0.5, "a": 0.5}},  # the other one is the control
        {"salt": "other"},
        {"audience": {"event": "Order Completed"}},
        {"layer": {"name": "page"}},
        {"start": date(2026, 3, 1)},
        {"end": date(2026, 3, 30)},
        {"window_days": 15},
        {"planned": {"customers": 10}},
        {"primary": ("revenue",)},
        {"secondary": ()},
        {"guardrails": ("complaint-rate",)},
        {"segments": ("loyal",)},
        {"hypothesis": "It sells more"},
    ],
)
def test_another_design_has_another_hash(change: dict[str, Any]) -> None:
    other = Experiment.model_validate(TEST.model_dump() | change)
    assert plan_hash(other, standard()) != plan_hash(TEST, standard())


def test_a_description_and_the_salt_that_it_has_anyway_change_nothing() -> None:
    same = TEST.model_copy(update={"description": "other words", "salt": "test"})
    assert plan_hash(same, standard()) == plan_hash(TEST, standard())


def test_another_definition_of_a_metric_is_another_plan() -> None:
    revenue = Metric(key="revenue", name="Revenue", numerator=Measure(event="Order Completed", sum="money"))
    assert plan_hash(TEST, {**standard(), "revenue": revenue}) != plan_hash(TEST, standard())


def test_the_service_knows_the_hash_of_each_experiment(shop: Workspace) -> None:
    state = State.rules(shop)
    known = read_metrics(shop.folder)
    assert state.plans == {key: plan_hash(one, known) for key, one in read_experiments(shop.folder).items()}


def test_a_bento_knows_them_too_by_the_workspaces_own_metrics(shop: Workspace, tmp_path: Path) -> None:
    (shop.folder / "metrics.yaml").write_text("metrics: [{key: wishes, name: Wishes, numerator: {event: Wished}}]")
    (shop.folder / "experiments" / "own.yaml").write_text("key: own\narms: {a: 0.5, b: 0.5}\nprimary: [wishes]\n")
    (bundled := tmp_path / "bundled").mkdir()
    rules(shop, bundled)
    plans = State.bundled(bundled).plans
    assert "own" in plans
    assert plans == State.rules(shop).plans


def test_an_edit_after_the_first_exposure_is_told_with_both_hashes(shop: Workspace) -> None:
    now, was = plan_hash(TEST, standard()), "abc123abc123"
    day = timedelta(days=1)
    exposed(
        shop,
        (NOW - 9 * day, {"in_experiment": False, "plan": now}),  # no exposure
        (NOW - 8 * day, {"experiment": "another", "plan": now}),
        (NOW - 7 * day, {"plan": was}),
        (NOW - 3 * day, {"plan": now}),
        (NOW - 2 * day, {"plan": now}),
    )
    plan = kept(shop, TEST, NOW)
    assert plan == {"hash": now, "at_first_exposure": was, "changed": True, "since": "2026-03-07T00:00:00Z"}
    (said,) = edited(plan)
    assert was in said
    assert now in said
    assert "since 2026-03-07" in said


def test_a_plan_that_stands_is_not_told_of(shop: Workspace) -> None:
    exposed(shop, (NOW - timedelta(days=1), {"plan": plan_hash(TEST, standard())}))
    plan = kept(shop, TEST, NOW)
    assert (plan["changed"], plan["since"]) == (False, None)
    assert edited(plan) == []


def test_what_is_seen_without_a_hash_is_measured_by_the_plan_of_the_first_report(shop: Workspace) -> None:
    first = reported(shop, TEST, NOW)
    assert (first["changed"], first["at_first_exposure"]) == (False, first["hash"])
    other = replace_arms(TEST)
    later = reported(shop, other, NOW + timedelta(days=1))
    assert (later["at_first_exposure"], later["changed"]) == (first["hash"], True)
    assert later["since"] == "2026-03-11T00:00:00Z"
    assert reported(shop, other, NOW + timedelta(days=2)) == later
    assert not reported(shop, TEST, NOW + timedelta(days=3))["changed"]  # it was put back
    assert kept(shop, other, NOW + timedelta(days=1)) == later  # as it was known then


def test_to_ask_whether_a_plan_stands_notes_nothing(shop: Workspace) -> None:
    kept(shop, TEST, NOW)
    assert not (shop.state / FOLDER).exists()


def reported(shop: Workspace, test: Experiment, now: datetime) -> dict[str, Any]:
    """What is known of the plan at a report, which is then stored."""
    plan = kept(shop, test, now)
    note(shop, test.key, plan["hash"], now)
    return plan


def replace_arms(test: Experiment) -> Experiment:
    return test.model_copy(update={"arms": {"a": 0.9, "b": 0.1}})
