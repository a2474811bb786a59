"""`attune plan`: within all limits, for those who agreed and are not held out; the prices choose as the plan did.

2,000 customers; `coupon` and `letter` have random effects around 0.02; every tenth customer did not agree.
"""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.assignment import bucket
from features.consent import Basis, grant
from features.exposures import Exposures
from features.ledger import Ledger
from features.offers import HOLDOUT_SALT, read_offers
from features.registered import registered_files
from features.table import Feature, FeatureTable
from features.workspace import Workspace, create
from serving.cli import main
from training.plan import Limits, plan_offers
from training.policies.prices import FILE, Prices
from training.release import current, load_release, point, save_model, write_release
from training.uplift.base import Effects
from training.uplift.baseline import FOLDER, Baseline
from training.uplift.customer_effects import CustomerEffects
from training.uplift.t import TLinear

NOW = datetime(2026, 3, 1, tzinfo=UTC)
CUSTOMERS = np.array([f"c{number:04}" for number in range(2000)])
AGREED = [customer for number, customer in enumerate(CUSTOMERS.tolist()) if number % 10]
OFFERS = """\
offers:
  - {key: coupon, name: 10 % off, value: 20.0, cost: 0.05, redemption_cost: 2.0, stock: 150}
  - {key: letter, name: A letter, value: 20.0, cost: 0.30, budget: 60.0}
  - {key: sample, name: A sample, value: 5.0}
"""


@pytest.fixture
def shop(tmp_path: Path) -> Workspace:
    """The workspace of the docstring, its uplift release promoted."""
    workspace = create(tmp_path / "shop")
    (workspace.folder / "offers.yaml").write_text(OFFERS)
    basis = Basis(("personalisation",), "a box ticked")
    grant(Ledger.at(workspace.ledger), AGREED, basis, source="test", time=datetime(2026, 1, 1))
    rng = np.random.default_rng(0)
    arm = rng.choice(np.array(["none", "coupon", "letter"]), 600)
    outcome = (rng.random(600) < 0.1).astype(float)
    described = (Feature("tenure", "own", "count", "Known for long."),)
    table = FeatureTable(pd.DataFrame({"tenure": rng.normal(size=600)}), described)
    exposures = Exposures(arm, np.full(600, 1 / 3), np.ones(600))
    effects = Effects(("coupon", "letter"), rng.normal(0.02, 0.02, (2000, 2)), np.full((2000, 2), 0.01))
    CustomerEffects(CUSTOMERS, effects, rng.uniform(0.02, 0.2, 2000)).save(workspace.runs / "u1")
    folder = workspace.runs / "u1" / "registered"
    save_model(TLinear().fit(table, exposures, outcome), folder, {"kind": "uplift", "name": "t-linear", "as_of": NOW})
    Baseline().fit(table, exposures, outcome).save(folder / "model" / FOLDER)
    write_release(workspace, folder, version="1", run_id="u1", facts={})
    point(workspace, "uplift", "1")
    return workspace


def facts(shop: Workspace) -> dict:
    return json.loads((shop.releases / "uplift" / "1" / FILE).read_text())


def test_a_plan_keeps_to_every_limit_and_to_consent_and_holdout(shop: Workspace, tmp_path: Path) -> None:
    lines = plan_offers(shop, Limits(100.0, 400), tmp_path / "plan.csv", as_of=NOW)
    rows, told = pd.read_csv(tmp_path / "plan.csv"), facts(shop)
    assert all(limit["used"] <= limit["most"] for limit in told["limits"])
    assert 0 < told["spend"] <= 100
    assert told["profit"] == pytest.approx(rows["expected_profit"].sum())
    assert told["profit"] <= told["bound"] < told["profit"] + 1
    assert len(rows) == told["contacts"] == rows["customer"].nunique()
    assert set(rows["customer"]) <= set(AGREED)
    assert all(bucket(HOLDOUT_SALT, customer) >= 0.05 for customer in rows["customer"])
    assert (rows["offer"] == "coupon").sum() <= 150
    assert any("200 of 2,000 customers left out" in line for line in lines)
    assert any("does not know the offers ['sample']" in line for line in lines)
    assert [kind for _, kind in registered_files(Ledger.at(shop.ledger))] == ["plan"]


def test_the_plan_beside_the_release_names_no_customer(shop: Workspace) -> None:
    plan_offers(shop, Limits(100.0, None), None, as_of=NOW)
    assert "c000" not in (shop.releases / "uplift" / "1" / FILE).read_text()


def test_profit_rises_with_the_budget_up_to_all_that_pays(shop: Workspace) -> None:
    plan_offers(shop, Limits(1e6, None), None, as_of=NOW)
    told = facts(shop)
    profits = [point["profit"] for point in told["curve"]]
    assert profits == sorted(profits)
    assert profits[0] == 0
    assert profits[-1] == pytest.approx(told["profit"], rel=0.01)
    assert told["limits"][0]["price"] == 0


def test_customers_decided_one_by_one_at_the_prices_spend_what_was_planned(shop: Workspace) -> None:
    plan_offers(shop, Limits(100.0, 300), None, as_of=NOW)
    folder = current(shop, "uplift")
    assert folder is not None
    release = load_release(folder)
    prices, stored = release.prices, release.effects
    assert isinstance(prices, Prices)
    assert stored is not None
    assert stored.baseline is not None
    spent = 0.0
    for row, customer in enumerate(CUSTOMERS.tolist()):
        if customer not in AGREED or bucket(HOLDOUT_SALT, customer) < 0.05:
            continue
        best = (0.0, 0.0)
        for number, offer in enumerate(read_offers(shop.folder)[:2]):
            effect = float(stored.effects.effect[row, number])
            outcome = min(max(float(stored.baseline[row]) + effect, 0.0), 1.0)
            spend = offer.spend(outcome)
            charge = prices.money[offer.key] * spend + prices.contact[offer.key]
            best = max(best, (offer.profit(effect, outcome) - charge, spend))
        spent += best[1]
    assert spent == pytest.approx(facts(shop)["spend"], rel=0.02)


def test_an_offer_is_planned_only_for_those_for_whom_its_condition_holds(shop: Workspace, tmp_path: Path) -> None:
    rule = "eligible: {all: [{score: effect of coupon, at_least: 0.03}, {event: Order Completed, count: {at_most: 0}}]}"
    (shop.folder / "offers.yaml").write_text(OFFERS.replace("stock: 150", rule))
    lines = plan_offers(shop, Limits(1e6, None), tmp_path / "plan.csv", as_of=NOW)
    folder, rows = current(shop, "uplift"), pd.read_csv(tmp_path / "plan.csv")
    assert folder is not None
    stored = load_release(folder).effects
    assert stored is not None
    effects = dict(zip(CUSTOMERS.tolist(), stored.effects.effect[:, 0].tolist(), strict=True))
    given = rows["customer"][rows["offer"] == "coupon"]
    assert min(effects[customer] for customer in given) >= 0.03
    planned = [one for one in AGREED if bucket(HOLDOUT_SALT, one) >= 0.05]
    may = [one for one in planned if effects[one] >= 0.03]
    assert 0 < len(given) <= len(may)
    assert f"eligible: the condition of coupon holds for {len(may):,} of {len(planned):,} customers" in lines


def test_a_condition_on_a_score_of_no_offer_is_one_line(shop: Workspace) -> None:
    (shop.folder / "offers.yaml").write_text(OFFERS.replace("stock: 150", "eligible: {score: churn, at_least: 0.5}"))
    with pytest.raises(ValueError, match=r"offers.yaml: eligible of 'coupon': there is no score 'churn'; known are"):
        plan_offers(shop, Limits(10.0, None), None, as_of=NOW)


def test_a_dearer_redemption_earns_less(shop: Workspace) -> None:
    plan_offers(shop, Limits(100.0, None), None, as_of=NOW)
    before = facts(shop)["bound"]
    (shop.folder / "offers.yaml").write_text(OFFERS.replace("redemption_cost: 2.0", "redemption_cost: 4.0"))
    plan_offers(shop, Limits(100.0, None), None, as_of=NOW)
    assert facts(shop)["bound"] < before


def test_the_verb_tells_spend_profit_and_gap(shop: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", "--budget", "80", "-w", str(shop.folder)])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "of 80.00 EUR expected" in said
    assert "gap 0." in said
    assert "highest fifth" in said


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--budget", "-5"], "--budget == -5.0, must be >= 0"),
        (["--budget", "nan"], "--budget == nan, must be >= 0"),
        (["--budget", "5", "--out", "plan.xls"], "must end with one of"),
    ],
)
def test_what_cannot_be_planned_is_said(
    shop: Workspace, capsys: pytest.CaptureFixture[str], words: list[str], line: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["plan", *words, "-w", str(shop.folder)])
    assert ended.value.code == 2
    assert line in capsys.readouterr().err
    assert not (shop.releases / "uplift" / "1" / FILE).exists()


def test_a_budget_of_zero_gives_nothing_that_costs(shop: Workspace) -> None:
    plan_offers(shop, Limits(0.0, None), None, as_of=NOW)
    assert (facts(shop)["contacts"], facts(shop)["spend"]) == (0, 0.0)


def test_an_offer_with_a_budget_or_stock_of_zero_is_given_to_nobody(shop: Workspace) -> None:
    none_left = OFFERS.replace("budget: 60.0", "budget: 0").replace("stock: 150", "stock: 0")
    (shop.folder / "offers.yaml").write_text(none_left)
    plan_offers(shop, Limits(100.0, None), None, as_of=NOW)
    assert (facts(shop)["contacts"], facts(shop)["spend"]) == (0, 0.0)


def test_a_budget_beyond_need_is_told_with_what_can_be_spent(shop: Workspace) -> None:
    said = plan_offers(shop, Limits(1e6, None), None, as_of=NOW)
    (line,) = [line for line in said if line.startswith("the budget is beyond need: about ")]
    assert line.endswith(" EUR is all that can be spent at a profit")


def test_without_an_offer_that_the_model_knows_the_error_is_one_line(shop: Workspace) -> None:
    (shop.folder / "offers.yaml").write_text("offers:\n  - {key: sample, name: A sample}\n")
    with pytest.raises(ValueError, match=r"offers \['sample'\], the model knows \['coupon', 'letter'\]"):
        plan_offers(shop, Limits(10.0, None), None, as_of=NOW)


@pytest.mark.parametrize("content", ["{", "[]", '{"prices": 3}', '{"prices": {"coupon": {"money": 1}}}'])
def test_a_plan_that_cannot_be_read_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(ValueError, match=r"plan\.json: not a readable plan .*; run `attune plan` again"):
        Prices.read(tmp_path)
