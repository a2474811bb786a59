"""Lifetime value of campaigns, of a shop whose customers are drawn from the models themselves.

`vips` and `rest` are two campaigns: of the vips each orders four times as often. `few` reached twenty of them. Of the
global holdout there are half as many as of each, who order as the rest.
"""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.experiments_lifetime import World
from features.events import DELIVERED, ORDERED, PAGE, Event
from features.workspace import Workspace
from serving.experiments.worth import Bought, Worth
from serving.impact import shown
from serving.impact.report import build
from serving.reports import impact
from serving.reports.verify import verify

if TYPE_CHECKING:
    from conftest import Maker

SENT = datetime(2026, 1, 10)
AGE, AHEAD, SIZE, HELD, LIFT = 28, 56, 500, 250, {"vips": 4.0, "rest": 1.0}
Report = dict[str, Any]


def drawn(campaign: str) -> tuple[np.ndarray, ...]:
    ones, seed = np.ones(SIZE), list(LIFT).index(campaign)
    return World().purchases(np.full(SIZE, AGE), (ones * LIFT[campaign], ones), np.random.default_rng(seed))


def bought(campaign: str) -> Bought:
    """What they did, without the log."""
    return of(*drawn(campaign))


def of(orders: np.ndarray, last: np.ndarray, spend: np.ndarray, after: float = 0.0) -> Bought:
    return Bought(orders * spend, orders, np.where(orders > 0, last + after, 0.0), orders * spend)


def log(make: "Maker") -> list[Event]:
    treated, held = make.names(2 * SIZE, HELD)
    events = [make.event(PAGE, who, SENT) for who in (*treated, *held)]
    for who, many, day, mean in zip(held, *withheld(), strict=True):
        events += ordered(make, who, many, day, mean)
    for place, campaign in enumerate(LIFT):
        orders, last, spend = drawn(campaign)
        for who, many, day, mean in zip(treated[place * SIZE :], orders, last, spend, strict=False):
            events.append(make.event(DELIVERED, who, SENT, campaign=campaign, channel="email"))
            if campaign == "vips" and who in treated[:20]:
                events.append(make.event(DELIVERED, who, SENT, campaign="few", channel="sms"))
            events += ordered(make, who, many, day, mean)
    return events


def withheld() -> tuple[np.ndarray, ...]:
    return World().purchases(np.full(HELD, AGE), (np.ones(HELD), np.ones(HELD)), np.random.default_rng(9))


def ordered(make: "Maker", who: str, many: float, day: float, mean: float) -> list[Event]:
    days = [*np.linspace(0.1, day, int(many))[:-1], day] if many else []
    return [make.event(ORDERED, who, SENT + timedelta(days=float(at)), float(mean)) for at in days]


@pytest.fixture(scope="module")
def shop(make_once: "Maker") -> Workspace:
    made = make_once.shop(log(make_once))
    for path in (made.folder / "segments").glob("*.yaml"):  # each costs a third of a second
        path.unlink()
    return made


@pytest.fixture(scope="module")
def report(shop: Workspace) -> Report:
    return build(shop, date(2026, 1, 1), date(2026, 3, 31), datetime(2026, 4, 1, tzinfo=UTC))


@pytest.fixture(scope="module")
def stored(shop: Workspace, report: Report) -> list[Path]:
    return impact.write(shop, report)


def values(report: Report, part: str, metric: str = "lifetime-value") -> dict[str, Any]:
    return {row["key"]: row["metrics"][metric] for row in report[part]}


def test_a_campaigns_value_is_of_a_model_of_its_recipients_alone(report: Report) -> None:
    for campaign in LIFT:
        did, said = bought(campaign), values(report, "campaigns")[campaign]
        expected = Worth.of({"own": did}, AGE, AHEAD)
        assert said["realised"] == pytest.approx(did.realised.mean())
        assert said["mean"] == pytest.approx(expected.mean("own"), rel=1e-4)
        assert (said["lower"], said["upper"]) == pytest.approx(expected.interval("own"), rel=1e-3)
        assert said["realised"] + said["forecast"] == pytest.approx(said["mean"])
        assert (said["customers"], said["window_days"], said["horizon_days"]) == (SIZE, AGE, AHEAD)


def test_what_was_planted_lies_in_the_interval(report: Report) -> None:
    for campaign, lift in LIFT.items():
        said = values(report, "campaigns")[campaign]
        assert said["lower"] < World().value(np.array([AGE]), (lift, 1.0), AHEAD) < said["upper"]


def test_a_campaign_of_too_few_is_told_by_what_it_brought_and_says_how_many_are_needed(report: Report) -> None:
    few = values(report, "campaigns")["few"]
    assert few["realised"] is not None
    assert (few["mean"], few["lower"], few["upper"], few["forecast"]) == (None, None, None, None)
    assert "of 20 customers of 'few' bought in the window; a forecast needs 10" in few["untold"]
    assert values(report, "campaigns", "alive")["few"]["customers"] == 0  # nobody had ordered before


def test_a_channel_has_the_customers_of_all_its_campaigns(report: Report) -> None:
    email, sms = values(report, "channels")["email"], values(report, "channels")["sms"]
    assert (email["customers"], sms["customers"]) == (2 * SIZE, 20)
    of_each = [values(report, "campaigns")[campaign]["realised"] for campaign in LIFT]
    assert email["realised"] == pytest.approx(np.mean(of_each))
    assert email["lower"] < email["mean"] < email["upper"]


def test_of_a_segment_the_treated_stand_beside_the_holdout_over_the_period(report: Report) -> None:
    """From 1 January in Berlin, 89 whole days because of summer time; the first mail was 9 days and an hour later."""
    value = values(report, "segments")["all"]
    treated = tuple(np.concatenate(parts) for parts in zip(*(drawn(one) for one in LIFT), strict=True))
    arms = {"treated": of(*treated, 9 + 1 / 24), "held_out": of(*withheld(), 9 + 1 / 24)}
    expected = Worth.of(arms, 89, 178)
    test = expected.test("treated", "held_out")
    assert test is not None
    assert value["treated"]["realised"] == pytest.approx(arms["treated"].realised.mean())
    assert value["treated"]["mean"] == pytest.approx(expected.mean("treated"), rel=1e-4)
    assert (value["held_out"]["lower"], value["held_out"]["upper"]) == pytest.approx(
        expected.interval("held_out"), rel=1e-3
    )
    assert (value["difference"], value["lower"]) == (
        pytest.approx(test.difference, rel=1e-3),
        pytest.approx(test.lower, rel=1e-3),
    )
    assert value["p_value"] == pytest.approx(test.p_value, rel=1e-2)
    assert value["verdict"] == "higher than control"  # half of the treated order four times as often


def test_pages_table_and_terminal_tell_it(shop: Workspace, stored: list[Path], report: Report) -> None:
    *_, path = stored
    said = values(report, "campaigns")["vips"]
    html = (shop.reports / "campaign-vips.html").read_text()
    assert f"{said['realised']:.1f} EUR in the 28 days that were seen" in html
    assert "expected in the 56 days after them" in html
    assert "a forecast needs 10" in (shop.reports / "campaign-few.html").read_text()
    whole = (shop.reports / "impact.html").read_text()
    assert "few, Customer lifetime value: " in whole
    assert f"vips / metrics / lifetime-value,lower,{said['lower']}" in path.read_text()
    assert any(f"{said['mean']:,.2f}" in line for line in shown.impact(report))


def test_all_but_what_was_changed_is_recomputed_to_the_same_numbers(shop: Workspace, stored: list[Path]) -> None:
    path = stored[0]
    told = json.loads(path.read_text())
    told["campaigns"][0]["metrics"]["lifetime-value"]["mean"] += 0.01
    path.write_text(json.dumps(told))
    assert [one.where for one in verify(shop, "impact").different] == [
        f"campaigns / {told['campaigns'][0]['key']} / metrics / lifetime-value / mean"
    ]
