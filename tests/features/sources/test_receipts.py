"""Receipts: events of a message, once each; machines flagged and never learned from; consent that ends."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from features.conditions import Facts, holds, matching, parsed
from features.consent import Basis, allows, grant
from features.events import CLICKED, OPENED
from features.history import read_events
from features.ledger import Ledger
from features.sources.receipts import NAMES, Receipt, take
from features.table import FeatureTable
from features.workspace import Workspace

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LATER = NOON + timedelta(days=1)


def receipt(kind: str, **data: object) -> Receipt:
    body = {"type": kind, "timestamp": NOON.isoformat(), "data": {"customer": "ann", "email_id": "m1"} | data}
    return Receipt.model_validate(body)


def rows(shop: Workspace) -> list[dict[str, object]]:
    return read_events(shop).before(LATER).to_pyarrow().to_pylist()


@pytest.mark.parametrize(("kind", "name"), [*NAMES.items(), ("email.sent", "email.sent")])
def test_a_report_is_an_event_once(shop: Workspace, ledger: Ledger, kind: str, name: str) -> None:
    for _ in range(2):
        take(ledger, "mailer", "w1", receipt(kind, campaign="spring", reason="because"), NOON)
    (row,) = rows(shop)
    assert (row["name"], row["customer"], row["source"], row["message_id"]) == (name, "ann", "mailer", "w1")
    assert (row["channel"], row["campaign"], row["machine"]) == ("email", "spring", False)
    assert json.loads(str(row["properties"])) == {"email_id": "m1", "reason": "because"}


def test_what_a_machine_did_is_kept_with_its_reason_and_without_its_address(shop: Workspace, ledger: Ledger) -> None:
    take(ledger, "mailer", "w1", receipt("email.opened", user_agent="Mozilla/5.0", ip="17.58.101.4"), NOON)
    (row,) = rows(shop)
    assert row["machine"] is True
    assert "apple-mpp" in json.loads(str(row["properties"]))["machine"]
    assert "17.58" not in str(row)


def test_a_scanner_is_told_by_the_reports_before(shop: Workspace, ledger: Ledger) -> None:
    assert take(ledger, "mailer", "w0", receipt("email.clicked", link="a"), NOON)["machine"] is None
    take(ledger, "mailer", "w1", receipt("email.clicked", link="b", email_id="another"), NOON)
    take(ledger, "mailer", "w2", receipt("email.delivered"), NOON)
    assert "prefetch" in take(ledger, "mailer", "w3", receipt("email.clicked", link="a"), NOON)["machine"]


def test_nothing_learns_from_a_machine_and_no_condition_sees_it(shop: Workspace, ledger: Ledger) -> None:
    take(ledger, "mailer", "w1", receipt("email.delivered", customer="bob"), NOON)
    take(ledger, "mailer", "w2", receipt("email.opened", user_agent="Mozilla/5.0"), NOON)
    take(ledger, "mailer", "w3", receipt("email.clicked", hidden=True), NOON)
    events = read_events(shop)
    table = FeatureTable.build(events, LATER, customers=["ann", "bob"]).to_pandas()
    assert table.loc["ann", ["opens_90d", "clicks_90d"]].tolist() == [0.0, 0.0]
    assert events.past(LATER).customers.to_pylist() == ["ann", "bob"]
    for name in (OPENED, CLICKED):
        condition = parsed({"event": name})
        assert matching(condition, events, LATER) == []
        assert not holds(condition, Facts.of([row for row in rows(shop) if row["customer"] == "ann"], LATER))


@pytest.mark.parametrize("kind", ["email.complained", "email.unsubscribed"])
def test_consent_to_marketing_ends_with(shop: Workspace, ledger: Ledger, kind: str) -> None:
    grant(ledger, ["ann"], Basis(("marketing", "analytics"), "a box"), source="crm", time=NOON - timedelta(days=9))
    take(ledger, "mailer", "w1", receipt(kind), NOON)
    assert not allows(ledger, "ann", purpose="marketing", as_of=LATER)
    assert allows(ledger, "ann", purpose="analytics", as_of=LATER)


def test_a_report_that_comes_again_does_not_end_a_consent_given_since(shop: Workspace, ledger: Ledger) -> None:
    from sqlalchemy import insert

    from features.consent import consents

    take(ledger, "mailer", "w1", receipt("email.complained"), NOON)
    again = {"customer": "ann", "purpose": "marketing", "granted": True, "source": "form", "proof": "a box"}
    with ledger.write() as connection:
        connection.execute(insert(consents), again | {"time": NOON.replace(tzinfo=None)})
    take(ledger, "mailer", "w1", receipt("email.complained"), NOON)
    assert allows(ledger, "ann", purpose="marketing", as_of=LATER)


def test_a_clock_that_is_ahead_is_held_to_the_time_of_receipt(shop: Workspace, ledger: Ledger) -> None:
    take(ledger, "mailer", "w1", receipt("email.opened"), NOON - timedelta(hours=1))
    assert rows(shop)[0]["time"] == datetime(2026, 3, 1, 11)


def test_who_is_only_known_by_an_address_is_the_address(shop: Workspace, ledger: Ledger) -> None:
    take(ledger, "mailer", "w1", receipt("email.opened", customer=None, email="ann@shop.example"), NOON)
    assert rows(shop)[0]["customer"] == "ann@shop.example"
