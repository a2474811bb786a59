"""What another policy would have brought, from decisions whose chances and outcomes are known."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import norm
from sqlalchemy import insert
from typer.testing import CliRunner

from features.consent import Basis, grant
from features.decisions import HELD, NOTHING, WEIGHED, Decision, Option, decisions
from features.events import ORDERED, SCHEMA, Event
from features.history import append, record
from features.ledger import Ledger
from features.offers import HOLDOUT_SALT
from features.workspace import OfferSettings, Workspace, create
from serving.cli import app
from serving.experiments.off_policy import Drawn, _logged, _target, _valued, build, policies, table
from serving.reports.verify import verify
from training.metrics.policy_value import Logged, in_force, snips
from training.policies.epsilon import Epsilon
from training.policies.prices import FILE
from training.release import point

START = datetime(2026, 1, 1)  # UTC without a zone, as the tables keep it
NOW = datetime(2026, 3, 1, tzinfo=UTC)
EPSILON = 0.5
BRINGS = {NOTHING: 2.0, "gift": 3.0, "percent": 6.0}  # money per customer; the scores say the contrary of the offers
COSTS = {"gift": 0.5, "percent": 1.0}
OPTIONS = (Option(NOTHING, 0.0), Option("gift", 2.0), Option("percent", 1.0))
OFFERS = "offers:\n" + "".join(f"  - {{key: {key}, name: {key}, cost: {cost}}}\n" for key, cost in COSTS.items())


def drawn(customers: int, seed: int) -> list[tuple[Decision, float]]:
    """Decisions of the policy epsilon, each with the money that the customer then brings."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(customers):
        # every third cannot have the dear offer
        options = [replace(one, eligible=one.key != "percent" or number % 3 > 0) for one in OPTIONS]
        choice = Epsilon(EPSILON).choose(options, rng)
        money = float(rng.exponential(BRINGS[choice.key])) if rng.random() < 0.5 else 0.0
        found.append((made(f"c{number:05}", number, options, choice.key, choice.probability), 2 * money))
    return found


def made(customer: str, number: int, options: Sequence[Option], chosen: str, chance: float) -> Decision:
    return Decision(
        decision_id=f"d{number}", kind="offer", time=START + timedelta(minutes=number), customer=customer,
        options=tuple(options), chosen=(chosen,), probability=chance, policy="epsilon", model=None, model_version=None,
        workspace_hash="0" * 12, reason="drawn",
    )  # fmt: skip


def shop(folder: Path, rows: Sequence[tuple[Decision, float]], context: Mapping[str, Any] | None = None) -> Workspace:
    workspace = create(folder / "shop")
    (workspace.folder / "offers.yaml").write_text(OFFERS)
    ledger = Ledger.at(workspace.ledger)
    told = [_stored(replace(one, context=context or {})) for one, _ in rows]
    with ledger.write() as connection:
        connection.execute(insert(decisions), told)
    grant(ledger, [str(one.customer) for one, _ in rows], Basis(("analytics",), "a box"), source="test", time=START)
    bought = [_order(one, money) for one, money in rows if money]
    append(workspace, pa.Table.from_pylist([one.row() for one in bought], schema=SCHEMA))
    return workspace


def _stored(decision: Decision) -> dict[str, Any]:
    row = decision.row()
    return row | {name: json.dumps(row[name]) for name in ("options", "chosen", "context")}


def _order(decision: Decision, money: float) -> Event:
    time = decision.time + timedelta(days=1)
    return Event(
        source="test", message_id=decision.decision_id, name=ORDERED, time=time, received_at=time,
        customer=decision.customer, item="tea", quantity=1.0, price=money, order_id=decision.decision_id, live=False,
    )  # fmt: skip


def truth(chances: Mapping[str, float]) -> float:
    return sum(chance * (BRINGS[key] - COSTS.get(key, 0.0)) for key, chance in chances.items())


def test_each_policy_is_worth_what_it_would_have_brought(tmp_path: Path) -> None:
    report = build(shop(tmp_path, drawn(3_000, seed=4)), NOW)
    assert report["customers"] == 3_000
    found = {one["policy"]: one for one in report["policies"]}
    some, most = 1 / 3, 2 / 3  # who cannot have the dear offer, and who can
    planted = {
        "greedy": {"gift": 1.0},
        "epsilon": {NOTHING: 0.05 * some + 0.1 / 3 * most, "gift": 0.95 * some + (0.9 + 0.1 / 3) * most,
                    "percent": 0.1 / 3 * most},
        "nobody": {NOTHING: 1.0},
        "gift to all": {"gift": 1.0},
        "percent to all": {"percent": most, NOTHING: some},
    }  # fmt: skip
    assert found.keys() == planted.keys()
    for name, chances in planted.items():
        one = found[name]
        assert one["lower"] < truth(chances) < one["upper"], name
        assert one["offered"] == pytest.approx(1 - chances.get(NOTHING, 0.0), abs=1e-3)
        assert one["outside"] == 0
    assert found["greedy"]["value"] == pytest.approx(found["gift to all"]["value"])
    assert found["percent to all"]["difference"]["verdict"] == "higher than control"


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    """Over shops of 300 customers, of the arrays alone."""
    keys = [NOTHING, "gift", "percent"]
    held = 0
    for seed in range(200):
        rows = drawn(300, seed)
        first = [_of(one) for one, _ in rows]
        money = np.array([money - COSTS.get(one.chosen[0], 0.0) for one, money in rows])
        target = _target(first, keys, policies(OfferSettings(), keys)["percent to all"])
        interval = snips(_logged(first, keys, money), target).interval
        held += interval.lower < truth({"percent": 2 / 3, NOTHING: 1 / 3}) < interval.upper
    assert 0.90 <= held / 200 <= 0.99


def test_an_offer_that_changes_nothing_seldom_differs_from_the_rule_in_force() -> None:
    """Of 500 logs of 500 customers whose money has a heavy tail, one in ten of whom was given the offer."""
    rng, found = np.random.default_rng(0), 0
    target = np.tile([0.0, 1.0], (500, 1))
    for _ in range(500):
        arm = (rng.random(500) < 0.1).astype(np.intp)
        money = (rng.random(500) < 0.25) * rng.lognormal(3, 1, 500)
        logged = Logged(arm, np.where(arm, 0.1, 0.9), money, np.arange(500), np.ones(500))
        one = _valued("gift to all", logged, target, in_force(logged))
        assert one["value"] == pytest.approx(snips(logged, target).value)
        found += one["difference"]["verdict"] != "not distinguishable"
    assert found / 500 <= 0.05


def test_policies_that_go_by_more_than_the_scores_are_valued_where_the_journal_holds_it(tmp_path: Path) -> None:
    weighed = {"gift": {"spend": 0.5, "spread": 1.0}, "percent": {"spend": 0.2, "spread": None}}
    workspace = shop(tmp_path, drawn(3_000, seed=5), {WEIGHED: weighed})
    unplanned = {one["policy"]: one for one in build(workspace, NOW)["policies"]}
    assert "budgeted" not in unplanned
    _planned(workspace, {"gift": {"money": 3.0, "contact": 0.2}, "percent": {"money": 1.0, "contact": 0.1}})
    report = build(workspace, NOW)
    found = {one["policy"]: one for one in report["policies"]}
    gift = float(norm.cdf(1.0))  # N(2, 1) above 1, the sure score of the percent, for who can have it
    alone = float(norm.cdf(2.0))  # above 0, for the third who cannot
    planted = {
        "thompson": {"gift": gift * 2 / 3 + alone / 3, "percent": (1 - gift) * 2 / 3, NOTHING: (1 - alone) / 3},
        # 2 - 3 x .5 - .2 = .3 and 1 - .2 - .1 = .7: the percent where it can be given, else the gift
        "budgeted": {"percent": 2 / 3, "gift": 1 / 3},
    }
    for name, chances in planted.items():
        assert found[name]["lower"] < truth(chances) < found[name]["upper"], name
        assert found[name]["offered"] == pytest.approx(1 - chances.get(NOTHING, 0.0), abs=1e-3)
    assert report["prices"]["money"] == {"gift": 3.0, "percent": 1.0}
    _planned(workspace, {"gift": {"money": 3.0, "contact": 0.2}})  # the plan does not know the percent
    told = {one["policy"]: one for one in build(workspace, NOW)["policies"]}
    assert told["budgeted"]["value"] == pytest.approx(told["gift to all"]["value"])


def test_decisions_of_before_the_spread_was_kept_are_said_to_be_the_reason(tmp_path: Path) -> None:
    report = build(shop(tmp_path, drawn(60, seed=2)), NOW)
    assert not {"thompson", "budgeted"} & {one["policy"] for one in report["policies"]}
    assert "thompson and budgeted are not told: some decisions were made before" in "\n".join(table(report))


def test_what_the_log_gave_nobody_cannot_be_valued(tmp_path: Path) -> None:
    never = [(replace(one, chosen=(NOTHING,), probability=1.0), money) for one, money in drawn(100, seed=1)]
    report = build(shop(tmp_path, never), NOW)
    gift = next(one for one in report["policies"] if one["policy"] == "gift to all")
    assert (gift["outside"], gift["value"], gift["difference"]["verdict"]) == (1.0, None, None)
    assert any("100% of it was never given" in line for line in table(report))


def test_only_the_first_decision_of_a_customer_counts_and_no_holdout(tmp_path: Path) -> None:
    rows = drawn(60, seed=2)
    again = [
        (replace(one, decision_id=f"again-{one.decision_id}", time=one.time + timedelta(hours=9)), 0.0)
        for one, _ in rows
    ]
    assert build(shop(tmp_path, [*rows, *again]), NOW)["customers"] == 60
    (tmp_path / "held").mkdir()
    with pytest.raises(ValueError, match="offer decisions of 0 customers who agreed to analytics"):
        build(shop(tmp_path / "held", rows, {HELD: HOLDOUT_SALT}), NOW)


def test_who_is_merged_after_the_report_does_not_change_it(tmp_path: Path) -> None:
    workspace = shop(tmp_path, drawn(60, seed=2))
    same = Event(
        source="test", message_id="same", name="Alias", time=NOW.replace(tzinfo=None) + timedelta(hours=1),
        received_at=NOW.replace(tzinfo=None) + timedelta(hours=1), customer="c00001",
        properties=json.dumps({"previous_id": "c00000"}),
    )  # fmt: skip
    before = build(workspace, NOW)
    record(Ledger.at(workspace.ledger), [same])
    assert build(workspace, NOW) == before
    assert build(workspace, NOW + timedelta(hours=2))["customers"] == 59


def test_the_command_prints_stores_and_refuses_in_one_line(tmp_path: Path) -> None:
    workspace = shop(tmp_path, drawn(200, seed=3))
    told = CliRunner().invoke(app, ["report", "policy", "-w", str(workspace.folder)])
    assert told.exit_code == 0, told.output
    assert "percent to all" in told.stdout
    stored = json.loads((workspace.reports / "policy.json").read_text())
    assert stored["customers"] == 200
    assert verify(workspace, "policy").same
    page = (workspace.reports / "policy.html").read_text()
    assert "percent to all" in page
    empty = create(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"they come from POST /v1/offers/select"):
        build(empty, NOW)


def _of(decision: Decision) -> Drawn:
    return Drawn(str(decision.customer), decision.time, decision.options, decision.chosen[0], decision.probability)


def _planned(workspace: Workspace, prices: Mapping[str, Mapping[str, float]]) -> None:
    """The plan of a release, as `attune plan` leaves it beside the manifest."""
    folder = workspace.releases / "uplift" / "1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps({"prices": prices}))
    point(workspace, "uplift", "1")
