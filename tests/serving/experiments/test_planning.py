"""A plan from a history whose truth is known.

42 days; on each of the first 28 ten customers look at something, agreed to analytics, and every fifth of them orders
for 20 three days later, in the window of 14 days. Each tenth of all also ordered for 20 before these days began.
"""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest
from statsmodels.stats.power import NormalIndPower
from typer.testing import CliRunner

from benchmarks.experiments_lifetime import World
from features.consent import Basis, grant
from features.events import ORDERED, SCHEMA, VIEWED, Event
from features.history import append
from features.holdout import held_out
from features.ledger import Ledger
from features.workspace import Workspace, create
from serving.cli import app, main
from serving.experiments.analysis import Shape, compare
from serving.experiments.assignment import outside
from serving.experiments.bounds import anytime, bounds
from serving.experiments.definitions import Experiment, Layer, Planned
from serving.experiments.deviations import Spread, spreads
from serving.experiments.metrics import standard
from serving.experiments.moments import Moments
from serving.experiments.past import Past
from serving.experiments.planning import drift_needed, needed, plan, smallest, spread_over, table
from serving.experiments.values import columns
from serving.experiments.worth import Bought, Worth

START = datetime(2026, 1, 5)  # UTC without a zone, as the tables keep it
NOW = (START + timedelta(days=42)).replace(tzinfo=UTC)
DAYS, EACH = 28, 10
WHO = [f"c{number:03}" for number in range(DAYS * EACH)]
BUYS = 20.0
SEEN = 14  # days of a window
TEST = Experiment(
    key="test", arms={"control": 0.5, "treatment": 0.5}, primary=("conversion-rate",), planned=Planned(days=28)
)


def event(name: str, who: str, time: datetime) -> dict[str, Any]:
    more: dict[str, Any] = {"item": "tea", "quantity": 1.0, "price": BUYS} if name == ORDERED else {}
    return Event("shop", f"{name}-{who}-{time}", name, time, time, customer=who, **more).row() | {"live": False}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = create(tmp_path_factory.mktemp("planned") / "shop")
    rows = []
    for number, who in enumerate(WHO):
        seen = START + timedelta(days=number // EACH, hours=12)
        rows.append(event(VIEWED, who, seen))
        if number % 5 == 0:
            rows.append(event(ORDERED, who, seen + timedelta(days=3)))
        if number % 10 == 0:
            rows.append(event(ORDERED, who, START - timedelta(days=10)))
    rows += [event(VIEWED, "refuses", START + timedelta(days=day)) for day in (1, 41.9999999999)]
    append(workspace, pa.Table.from_pylist(rows, schema=SCHEMA))
    grant(Ledger.at(workspace.ledger), WHO, Basis(("analytics",), "a box"), source="test", time=START)
    return workspace


def test_the_history_says_who_would_come_and_what_they_do(shop: Workspace) -> None:
    found = plan(shop, TEST, NOW, 0.05)
    assert found["seen"] == {"customers": len(WHO), "days": DAYS}  # who did not agree would not count
    assert found["size"] == {"customers": len(WHO), "days": DAYS}
    (rate,) = found["metrics"]
    deviation = math.sqrt(0.2 * 0.8 * len(WHO) / (len(WHO) - 1))
    assert rate["mean"] == pytest.approx(0.2)
    assert rate["deviation"] == pytest.approx(deviation * math.sqrt(1 - rate["explained"]))
    by_hand = found["drift"] * rate["deviation"] * math.sqrt(4 / len(WHO))
    assert rate["smallest"] == pytest.approx(by_hand)
    assert rate["smallest_lift"] == pytest.approx(by_hand / 0.2)
    wanted = math.ceil(4 * (found["drift"] * rate["deviation"] / 0.01) ** 2)
    assert (rate["customers"], rate["days"]) == (wanted, math.ceil(wanted / EACH))


def test_a_longer_test_goes_on_with_as_many_a_day_and_more_customers_find_less(shop: Workspace) -> None:
    long = plan(shop, TEST.model_copy(update={"planned": Planned(days=112)}), NOW, 0.05)
    assert long["seen"] == {"customers": len(WHO), "days": 37}  # the history goes no further
    assert long["size"] == {"customers": len(WHO) + (112 - 37) * EACH, "days": 112}
    short = plan(shop, TEST, NOW, 0.05)
    assert long["metrics"][0]["smallest"] == pytest.approx(
        short["metrics"][0]["smallest"] * math.sqrt(280 / 1030), rel=1e-6
    )
    sized = plan(shop, TEST.model_copy(update={"planned": Planned(customers=155)}), NOW, 0.05)
    assert sized["size"] == {"customers": 155, "days": 16}


def test_what_a_customers_own_past_explains_makes_the_test_sharper(shop: Workspace) -> None:
    """Each tenth bought before and each fifth after, each tenth both: rho = 0.1 x 0.8 / sqrt(0.1 x 0.9 x 0.2 x 0.8)."""
    (shop.folder / "metrics.yaml").write_text(
        "metrics:\n"
        "  - {key: sharp, name: Money, numerator: {event: Order Completed, sum: money}, before_days: 90}\n"
        "  - {key: plain, name: Money, numerator: {event: Order Completed, sum: money}}\n"
    )
    asked = TEST.model_copy(update={"primary": ("sharp", "plain", "time-to-conversion")})
    sharp, plain, waited = plan(shop, asked, NOW, 0.05)["metrics"]
    explained = 0.08**2 / (0.09 * 0.16)
    assert sharp["explained"] == pytest.approx(explained)
    assert sharp["smallest"] == pytest.approx(plain["smallest"] * math.sqrt(1 - explained))
    assert plain["mean"] == pytest.approx(0.2 * BUYS)
    assert waited["mean"] == pytest.approx(0.2 * 3 + 0.8 * 14)  # days of the window
    assert waited["deviation"] == pytest.approx(11 * math.sqrt(0.16), rel=0.01)


def test_what_it_costs_is_what_the_control_and_the_holdout_would_have_brought(shop: Workspace) -> None:
    settings = shop.settings.model_copy(update={"holdout": 0.2})
    kept = Workspace(shop.folder, settings)
    found = plan(kept, TEST.model_copy(update={"arms": {"control": 0.05, "treatment": 0.95}}), NOW, 0.1)
    away = sum(held_out(who, 0.2) for who in WHO)
    cost = found["cost"]
    assert (found["seen"]["customers"], cost["holdout_customers"]) == (len(WHO) - away, away)
    inside = [number for number, who in enumerate(WHO) if not held_out(who, 0.2)]
    mean = BUYS * sum(number % 5 == 0 for number in inside) / len(inside)
    assert cost["at_wanted"]["control"] == pytest.approx(0.05 * len(inside) * 0.1 * mean)
    assert cost["at_wanted"]["holdout"] == pytest.approx(away * 0.1 * mean)
    lines = "\n".join(table(found))
    assert "of the control" in lines
    assert "of the global holdout" in lines


def test_audience_and_layer_say_who_would_be_in_it(shop: Workspace) -> None:
    layered = TEST.model_copy(update={"layer": Layer(name="page", end=0.5)})
    inside = sum(outside(layered, who) is None for who in WHO)
    assert plan(shop, layered, NOW, 0.05)["seen"]["customers"] == inside
    buyers = Experiment.model_validate(TEST.model_dump() | {"audience": {"event": ORDERED}})
    assert plan(shop, buyers, NOW, 0.05)["seen"]["customers"] == pytest.approx(len(WHO) / 5, abs=EACH)


@pytest.mark.parametrize("share", [0.5, 0.05])
@pytest.mark.parametrize("looks", [1, 5])
def test_the_smallest_effect_is_found_four_times_in_five(share: float, looks: int) -> None:
    """2,000 simulated tests; three standard errors of a rate of 80 % are 2.7 points."""
    rng, runs, customers = np.random.default_rng(0), 2_000, 4_000
    shares = {"control": share, "treatment": 1 - share}
    spread = Spread(mean=1.0, deviation=1.0)
    effect = smallest(spread, shares, customers, drift_needed(looks))
    parts = [int(share * customers), customers - int(share * customers)]
    limits, found = bounds(np.arange(1, looks + 1) / looks), 0
    for _ in range(runs):
        control, treated = rng.exponential(size=parts[0]), rng.exponential(size=parts[1]) + effect
        found += any(
            seen(control[: parts[0] * look // looks], treated[: parts[1] * look // looks], limits[look - 1])
            for look in range(1, looks + 1)
        )
    assert found / runs == pytest.approx(0.8, abs=0.035)


def seen(control: np.ndarray, treated: np.ndarray, bound: float) -> bool:
    """Whether the difference is beyond the bound, with one variance for both."""
    squares = control.var() * len(control) + treated.var() * len(treated)
    error = math.sqrt(squares / (len(control) + len(treated) - 2) * (1 / len(control) + 1 / len(treated)))
    return bool(abs(treated.mean() - control.mean()) > bound * error)


def test_the_report_finds_it_as_often_as_was_planned() -> None:
    """The very test of the report, on one draw whose difference is exactly the smallest: z is the drift."""
    rng, effect = np.random.default_rng(1), smallest(Spread(0.0, 1.0), TEST.arms, 10_000, drift_needed(1))
    values = rng.normal(size=5_000)
    values = (values - values.mean()) / values.std(ddof=1)
    told = compare(Moments.of(values[:, None]), Moments.of(values[:, None] + effect), Shape())
    assert told is not None
    assert told.difference / told.error == pytest.approx(drift_needed(1), rel=1e-3)


def test_models_that_the_history_is_too_small_for_say_why(shop: Workspace) -> None:
    asked = TEST.model_copy(update={"primary": ("lifetime-value", "alive", "return-per-spend")})
    value, alive, returned = (line["untold"] for line in plan(shop, asked, NOW, 0.05)["metrics"])
    assert value == "56 customers with repeat purchases all have the same mean spend; they need to differ"
    assert alive.startswith("28 customers whose window has closed had ordered before; ")
    assert alive.endswith("needs at least 100")
    assert returned == "a metric of kind 'return' is not planned by this"


def past_of(customers: int) -> dict[str, Spread]:
    """What is known of customers who buy as the model says; every other one had ordered before."""
    orders, last, spend = drawn(customers, 1.0, np.random.default_rng(7))
    before, silent = np.arange(customers) % 2 == 0, np.arange(customers) % 56.0
    bought = {"m0": orders * spend, "m0n": orders, "m0l": last, "m0s": orders * spend, "m1": orders * spend}
    rhythm = {"m1n": 3.0 * before, "m1l": (60 - silent) * before, "m1g": 60.0 * before}
    rows = pa.table(bought | rhythm | {"arm": ["all"] * customers, "first": pa.array([START] * customers)})
    told = columns([standard()["lifetime-value"], standard()["lapsed"]], SEEN)
    found, untold = spreads(ibis.memtable(rows), told, START + timedelta(days=SEEN))
    assert untold == {}
    return found


def drawn(customers: int, lift: float, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    ones = np.ones(customers)
    return World(r=0.6).purchases(np.full(customers, SEEN), (ones, lift * ones), rng)


@pytest.mark.parametrize("share", [0.5, 0.1])
def test_the_smallest_lift_of_lifetime_value_is_found_four_times_in_five(share: float) -> None:
    """100 simulated tests; three standard errors of a rate of 80 % are 12 points."""
    customers, shares, spread = 2_000, {"control": share, "treatment": 1 - share}, past_of(4_000)["lifetime-value"]
    least = smallest(spread, shares, customers, drift_needed(1))
    assert needed(spread, shares, least, drift_needed(1)) == pytest.approx(customers)
    few, found = int(share * customers), 0
    for seed in range(100):
        rng, arms = np.random.default_rng(seed), {}
        for arm, size, lift in (("control", few, 1.0), ("treatment", customers - few, 1 + least / spread.mean)):
            orders, last, spend = drawn(size, lift, rng)
            arms[arm] = Bought(orders * spend, orders, last, orders * spend)
        told = Worth.of(arms, SEEN, 2 * SEEN).test("treatment", "control")
        found += told is not None and told.lower > 0
    assert found / 100 == pytest.approx(0.8, abs=0.12)


def test_of_who_had_ordered_before_a_test_of_all_learns_by_fewer() -> None:
    spread = past_of(4_000)["lapsed"]
    assert 0 < spread.mean < 1
    assert spread.deviation == pytest.approx(math.sqrt(2 * spread.mean * (1 - spread.mean)), rel=1e-3)


def test_the_drift_is_that_of_the_books() -> None:
    ratio = 19.0
    size = NormalIndPower().solve_power(effect_size=0.1, alpha=0.05, power=0.8, ratio=ratio)
    own = needed(Spread(1.0, 1.0), {"a": 1 / (1 + ratio), "b": ratio / (1 + ratio)}, 0.1, drift_needed(1))
    assert own == pytest.approx(size * (1 + ratio), rel=1e-3)
    assert drift_needed(1) < drift_needed(14) < drift_needed("any")
    assert drift_needed(14) / drift_needed(1) < 1.03  # O'Brien and Fleming's looks cost little
    assert spread_over({"a": 0.5, "b": 0.3, "c": 0.2, "d": 0.0}) == pytest.approx(2 + 5)


def test_who_comes_no_more_never_makes_a_test_large_enough() -> None:
    past = Past(START, (10, 5, *[0] * 7), 0, {})
    assert (past.days(10), past.days(11), past.days(15), past.days(16)) == (1, 2, 2, None)
    assert past.by(30) == 15


def test_without_a_history_it_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    empty = create(tmp_path / "empty")
    with pytest.raises(ValueError, match="'checkout-badge' cannot be planned: the history is empty; 14 days"):
        plan(empty, Experiment(key="checkout-badge", arms=TEST.arms), NOW, 0.05)
    with pytest.raises(SystemExit) as ended:
        main(["experiment", "plan", "checkout-badge", "-w", str(empty.folder)])
    assert ended.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_history_that_is_too_short_or_of_others_says_so(shop: Workspace) -> None:
    with pytest.raises(ValueError, match="reaches from 2025-12-26 to "):
        plan(shop, TEST.model_copy(update={"window_days": 300}), NOW, 0.05)
    nobody = Experiment.model_validate(TEST.model_dump() | {"audience": {"event": "Wished"}})
    with pytest.raises(ValueError, match=r"of 0 customers who were seen in 28 days .* 0 would be in it"):
        plan(shop, nobody, NOW, 0.05)
    with pytest.raises(ValueError, match="lift == 0, must not be 0"):
        plan(shop, TEST, NOW, 0)


def test_the_verb_prints_a_table_or_json(shop: Workspace) -> None:
    (shop.folder / "metrics.yaml").unlink(missing_ok=True)
    words = ["experiment", "plan", "checkout-badge", "-w", str(shop.folder)]
    shown = CliRunner().invoke(app, words, catch_exceptions=False).stdout
    assert "conversion-rate" in shown
    assert "customers" in shown.splitlines()[0]
    found = json.loads(CliRunner().invoke(app, [*words, "--json", "--lift", "0.1"], catch_exceptions=False).stdout)
    assert found["wanted_lift"] == 0.1
    assert [one["key"] for one in found["metrics"]] == ["conversion-rate", "revenue"]


@pytest.mark.parametrize("looks", [14, "any"])
def test_the_drift_of_many_looks_is_found_four_times_in_five(looks: int | str) -> None:
    """20,000 paths of z; three standard errors are 0.85 points."""
    number = 28 if looks == "any" else int(looks)
    fractions = np.arange(1, number + 1) / number
    steps = np.random.default_rng(2).normal(size=(20_000, number)) * math.sqrt(1 / number)
    paths = steps.cumsum(axis=1) + drift_needed(looks) * fractions
    limits = (anytime(fractions) if looks == "any" else bounds(fractions)) * np.sqrt(fractions)
    assert (np.abs(paths) > limits).any(axis=1).mean() == pytest.approx(0.8, abs=0.01)
