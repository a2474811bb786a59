"""Lifetime value of campaigns, of a shop whose customers are drawn from the models themselves.

`vips` and `rest` are two campaigns: of the vips each orders four times as often. `few` reached twenty of them.
"""

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from benchmarks.experiments_lifetime import World
from features.events import DELIVERED, ORDERED, Event
from features.workspace import Workspace
from serving.experiments.worth import Bought, Worth
from serving.impact import shown
from serving.impact.report import build
from serving.reports import impact
from serving.reports.verify import verify

if TYPE_CHECKING:
    from conftest import Maker

SENT = datetime(2026, 1, 10)
AGE, AHEAD, SIZE, LIFT = 28, 56, 500, {"vips": 4.0, "rest": 1.0}
Report = dict[str, Any]


def drawn(campaign: str) -> tuple[np.ndarray, ...]:
    ones, seed = np.ones(SIZE), list(LIFT).index(campaign)
    return World().purchases(np.full(SIZE, AGE), (ones * LIFT[campaign], ones), np.random.default_rng(seed))


def bought(campaign: str) -> Bought:
    """What they did, without the log."""
    orders, last, spend = drawn(campaign)
    return Bought(orders * spend, orders, last, orders * spend)


def log(make: "Maker") -> list[Event]:
    treated, _ = make.names(2 * SIZE, 0)
    events = []
    for place, campaign in enumerate(LIFT):
        orders, last, spend = drawn(campaign)
        for who, many, day, mean in zip(treated[place * SIZE :], orders, last, spend, strict=False):
            events.append(make.event(DELIVERED, who, SENT, campaign=campaign, channel="email"))
            if campaign == "vips" and who in treated[:20]:
                events.append(make.event(DELIVERED, who, SENT, campaign="few", channel="sms"))
            days = [*np.linspace(0.1, day, int(many))[:-1], day] if many else []
            events += [make.event(ORDERED, who, SENT + timedelta(days=float(at)), float(mean)) for at in days]
    return events


@pytest.fixture(scope="module")
def shop(make_once: "Maker") -> Workspace:
    made = make_once.shop(log(make_once))
    for path in (made.folder / "segments").glob("*.yaml"):  # each costs a third of a second
        path.unlink()
    return made


@pytest.fixture(scope="module")
def report(shop: Workspace) -> Report:
    return build(shop, date(2026, 1, 1), date(2026, 3, 31), datetime(2026, 4, 1, tzinfo=UTC))


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


def test_pages_table_and_terminal_tell_it(shop: Workspace, report: Report) -> None:
    *_, path = impact.write(shop, report)
    said = values(report, "campaigns")["vips"]
    html = (shop.reports / "campaign-vips.html").read_text()
    assert f"{said['realised']:.1f} EUR in the 28 days that were seen" in html
    assert "expected in the 56 days after them" in html
    assert "a forecast needs 10" in (shop.reports / "campaign-few.html").read_text()
    whole = (shop.reports / "impact.html").read_text()
    assert "few, Customer lifetime value: " in whole
    assert f"vips / metrics / lifetime-value,lower,{said['lower']}" in path.read_text()
    assert any(f"{said['mean']:,.2f}" in line for line in shown.impact(report))


def test_all_but_what_was_changed_is_recomputed_to_the_same_numbers(shop: Workspace, report: Report) -> None:
    path = impact.write(shop, report)[0]
    told = json.loads(path.read_text())
    told["campaigns"][0]["metrics"]["lifetime-value"]["mean"] += 0.01
    path.write_text(json.dumps(told))
    assert [one.where for one in verify(shop, "impact").different] == [
        f"campaigns / {told['campaigns'][0]['key']} / metrics / lifetime-value / mean"
    ]
