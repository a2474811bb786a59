"""What is told of a shop, against arithmetic done by hand. Workspace: Europe/Berlin, money in EUR.

ann, bob   treated; hal, ida   of the holdout; one secret customer, and an order of nobody
ann   mail of `march` on 10 March; opens it on the 11th (a machine had on the 10th), clicks on the 12th
      orders on the 13th for 50 (no campaign, web), gives 10 of it back on 2 April
bob   mail of `march` on 10 March and of `april` on 2 April, which he opens; a mail without a campaign on 5 April
      orders on 8 April for 30, of the campaign `april`, in the app; 20 days after that again for 40, untouched
hal   orders at 22:30 UTC on 31 March for 20: in Berlin that is 1 April, because of summer time
ida   orders at 23:30 UTC on 31 January for 10 of something without a cost: in Berlin that is 1 February
"""

import json
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert

from features.codes import codes
from features.decisions import decisions
from features.events import CLICKED, COMPLAINED, DELIVERED, OPENED, ORDERED, REFUNDED, UNSUBSCRIBED, Event
from features.ledger import Ledger
from features.workspace import Workspace
from serving.impact.report import build
from serving.impact.tested import TOLD

if TYPE_CHECKING:
    from conftest import Maker

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OFFERS = "offers:\n  - {key: coupon, name: 10 % off, channel: email, cost: 0.5}\n  - {key: free, name: Nothing}\n"
SHARE_OF_REVENUE = {"code": "X2", "redeemed_at": datetime(2026, 4, 28), "redemption_cost": 0.1, "of_revenue": True}
Report = dict[str, Any]


def at(month: int, day: int, hour: int = 12, minute: int = 0) -> datetime:
    return datetime(2026, month, day, hour, minute)


def log(make: "Maker", ann: str, bob: str, hal: str, ida: str) -> list[Event]:
    march, april = {"campaign": "march", "channel": "email"}, {"campaign": "april", "channel": "email"}
    return [
        make.event(DELIVERED, ann, at(3, 10), **march),
        make.event(OPENED, ann, at(3, 10, 13), machine=True, **march),
        make.event(OPENED, ann, at(3, 11), **march),
        make.event(CLICKED, ann, at(3, 12), **march),
        make.event(ORDERED, ann, at(3, 13), 50.0, channel="web", order_id="a1"),
        make.event(REFUNDED, ann, at(4, 2), 10.0, order_id="a1", channel="store"),
        make.event(DELIVERED, bob, at(3, 10), **march),
        make.event(DELIVERED, bob, at(4, 2), **april),
        make.event(OPENED, bob, at(4, 3), **april),
        make.event(DELIVERED, bob, at(4, 5), channel="email"),
        make.event(UNSUBSCRIBED, bob, at(4, 6), channel="email"),
        make.event(COMPLAINED, bob, at(4, 6), **april),
        make.event(ORDERED, bob, at(4, 8), 30.0, channel="app", campaign="april", order_id="b1"),
        make.event(ORDERED, bob, at(4, 28), 40.0, channel="app", order_id="b2", properties='{"coupon": "X2"}'),
        make.event(ORDERED, hal, at(3, 31, 22, 30), 20.0, channel="web", order_id="h1"),
        make.event(ORDERED, ida, at(1, 31, 23, 30), 10.0, channel="web", order_id="i1", item="cup"),
        make.event(ORDERED, "secret", at(4, 1), 7.0, order_id="s1"),
        make.event(ORDERED, None, at(4, 1), 5.0, order_id="n1"),
    ]


@pytest.fixture(scope="module")
def shop(make_once: "Maker") -> Workspace:
    (ann, bob), (hal, ida) = make_once.names(2, 2)
    shop = make_once.shop(log(make_once, ann, bob, hal, ida))
    (shop.folder / "offers.yaml").write_text(OFFERS)
    common = {"policy": "p", "workspace_hash": "w", "probability": 1.0, "reason": "r", "options": "[]", "context": "{}"}
    made = [
        ("d1", "offer", at(3, 10), ann, '["coupon"]'),
        ("d2", "decide", at(4, 2), bob, '["content:hero","offer:coupon"]'),
        ("d3", "offer", at(4, 2), bob, '["nothing"]'),
        ("d4", "offer", at(4, 2), bob, '["free"]'),
        ("d5", "offer", at(4, 2), "secret", '["coupon"]'),
        ("d6", "offer", at(12, 24), ann, '["coupon"]'),  # after the period
    ]
    names = ("decision_id", "kind", "time", "customer", "chosen")
    code = {"code": "X1", "offer": "coupon", "customer": bob, "redeemed_at": at(4, 8), "redemption_cost": 3.0}
    with Ledger.at(shop.ledger).write() as connection:
        connection.execute(insert(decisions), [dict(zip(names, row, strict=True)) | common for row in made])
        connection.execute(insert(codes), [code | {"of_revenue": False}, code | SHARE_OF_REVENUE])
    arms = [
        {"arm": "control", "customers": 5, "metrics": {"open-rate": {"mean": 0.4}}},
        {"arm": "mail", "customers": 5, "metrics": {"open-rate": {"mean": 0.5, "lift": 0.25, "verdict": "higher"}}},
    ]
    (shop.folder / "experiments" / "march.yaml").write_text("key: march\narms: {control: 0.5, mail: 0.5}\n")
    test = {"experiment": "march", "computed_at": "2026-05-01T00:00:00Z", "control": "control", "verdict": "ship mail"}
    shop.reports.mkdir()
    (shop.reports / "experiment-march.json").write_text(json.dumps(test | {"arms": arms}))
    return shop


@pytest.fixture(scope="module")
def report(shop: Workspace) -> Report:
    return build(shop, date(2026, 1, 1), date(2026, 4, 30), NOW)


def rows(report: Report, name: str, part: str) -> dict[str | None, tuple[float, float]]:
    return {row["key"]: (row[part]["treated"], row[part]["held_out"]) for row in report["by"][name]}


def test_refunds_take_money_off_and_no_order(report: Report) -> None:
    total = report["total"]
    assert (total["orders"]["treated"], total["orders"]["held_out"]) == (3, 2)
    assert (total["revenue"]["treated"], total["revenue"]["held_out"]) == (50 - 10 + 30 + 40, 20 + 10)


def test_a_month_is_the_workspaces_in_summer_time_too(report: Report) -> None:
    assert rows(report, "month", "revenue") == {
        "2026-01": (0, 0),
        "2026-02": (0, 10),
        "2026-03": (50, 0),
        "2026-04": (30 + 40 - 10, 20),
    }


def test_channel_and_campaign_are_the_orders_own_also_for_what_came_back(report: Report) -> None:
    assert rows(report, "channel", "revenue") == {"web": (40, 30), "app": (70, 0), "email": (0, 0), None: (0, 0)}
    assert rows(report, "campaign", "orders") == {"april": (1, 0), "march": (0, 0), None: (2, 2)}


def test_the_last_click_counts_and_else_the_last_open_by_a_person_in_seven_days(report: Report) -> None:
    found = {row["key"]: row["attributed"] for row in report["by"]["campaign"]}
    assert found == {
        "march": {"orders": 1, "revenue": 40},  # ann's click
        "april": {"orders": 1, "revenue": 30},  # bob's open, five days before
        None: {"orders": 3, "revenue": 40 + 20 + 10},
    }


def test_orders_of_nobody_and_of_who_did_not_agree_are_outside(report: Report) -> None:
    assert report["outside"] == {"orders": 2, "revenue": 12, "cost": 0.5}
    assert report["population"]["customers"] == 4


def test_margin_is_of_what_the_catalogue_knows(report: Report) -> None:
    margin = report["total"]["margin"]
    assert (margin["treated"], margin["held_out"]) == (pytest.approx(0.4 * 110), pytest.approx(0.4 * 20))
    assert report["margin"]["covers"] == pytest.approx(150 / 160)  # all but the cup for 10, the refund's money too


def test_cost_is_of_contacts_and_redeemed_codes_in_the_offers_channel(report: Report) -> None:
    assert report["total"]["cost"] == pytest.approx(0.5 + 0.5 + 3.0 + 0.1 * 40)
    assert {row["key"]: row["cost"] for row in report["by"]["month"]} == pytest.approx(
        {"2026-01": 0, "2026-02": 0, "2026-03": 0.5, "2026-04": 7.5}
    )
    assert {row["key"]: row["cost"] for row in report["by"]["channel"]}["email"] == pytest.approx(8.0)
    assert all(row["net"] is None for row in report["by"]["channel"])


def test_the_increment_is_the_difference_per_customer_times_the_treated(report: Report) -> None:
    revenue = report["total"]["revenue"]
    assert revenue["incremental"] == pytest.approx(2 * (110 / 2 - 30 / 2))
    march = next(row for row in report["by"]["month"] if row["key"] == "2026-03")["revenue"]
    assert march["incremental"] == pytest.approx(2 * (50 / 2 - 0))


def test_a_campaigns_recipients_are_followed_for_two_weeks(report: Report) -> None:
    found = {row["key"]: (row["recipients"], row["metrics"]) for row in report["campaigns"]}
    assert {key: size for key, (size, _) in found.items()} == {"march": 2, "april": 1, None: 1}
    march = {key: one["mean"] for key, one in found["march"][1].items()}
    assert march["open-rate"] == march["open-rate-machines"] == 0.5  # ann's, once by a machine and once by her
    assert march["click-through-rate"] == march["conversion-rate"] == 0.5
    assert march["revenue"] == pytest.approx(49.6 / 2)  # capped at the 99th percentile of 50, 30 and 30; no refund yet
    assert march["unsubscribe-rate"] == 0  # it was in nobody's window of march
    low, high = (found["march"][1]["conversion-rate"][end] for end in ("lower", "upper"))
    assert (low, high) == (pytest.approx(0.0945, abs=1e-3), pytest.approx(0.9055, abs=1e-3))  # Wilson of 1 in 2


def test_a_campaigns_test_stands_beside_it(report: Report) -> None:
    march, *others = report["campaigns"]
    assert march["experiment"]["verdict"] == "ship mail"
    control, mail = march["experiment"]["arms"]
    assert (mail["arm"], mail["metrics"]["open-rate"]["lift"]) == ("mail", 0.25)
    assert control["metrics"]["open-rate"] == {"mean": 0.4} | dict.fromkeys(TOLD[1:])
    assert [row["experiment"] for row in others] == [None, None]


def test_a_channel_counts_messages_of_all_its_campaigns(report: Report) -> None:
    (email,) = report["channels"]
    assert (email["key"], email["recipients"]) == ("email", 2)
    assert email["metrics"]["open-rate"]["mean"] == pytest.approx(1 / 2)  # two mails of march, in 14 days


def test_a_segment_stands_beside_its_holdout(report: Report) -> None:
    everybody = report["segments"][0]
    assert (everybody["group"], everybody["key"]) == (None, "all")
    conversion = everybody["metrics"]["conversion-rate"]
    assert (conversion["treated"]["mean"], conversion["held_out"]["mean"]) == (1, 1)
    assert conversion["verdict"] == "not distinguishable"
    repeat = everybody["metrics"]["repeat-purchase-rate"]
    assert (repeat["treated"]["mean"], repeat["held_out"]["mean"], repeat["difference"]) == (0.5, 0, 0.5)
