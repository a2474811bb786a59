"""Consent: no row means no, the last word counts, and nobody's file answers for a customer who said no."""

from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from features.consent import Basis, allows, consented, consented_customers, grant, withdraw
from features.events import SCHEMA, Event, Events
from features.ledger import Ledger
from features.workspace import Workspace

DAY = datetime(2026, 3, 1)  # UTC, as the tables keep it
NEXT = DAY + timedelta(days=1)
BASIS = Basis(("personalisation", "analytics"), "newsletter form of 2026")


def test_no_row_means_no(ledger: Ledger) -> None:
    assert not allows(ledger, "anna", purpose="personalisation", as_of=NEXT)
    assert consented_customers(ledger, purpose="personalisation", as_of=NEXT) == []


def test_a_purpose_that_was_not_named_is_not_allowed(ledger: Ledger) -> None:
    grant(ledger, ["anna"], BASIS, source="form", time=DAY)
    assert allows(ledger, "anna", purpose="analytics", as_of=NEXT)
    assert not allows(ledger, "anna", purpose="marketing", as_of=NEXT)


def test_the_last_word_as_of_the_moment_counts(ledger: Ledger) -> None:
    grant(ledger, ["anna", "bert"], BASIS, source="form", time=DAY)
    withdraw(ledger, "anna", ["personalisation"], source="call", time=NEXT)
    assert consented_customers(ledger, purpose="personalisation", as_of=DAY) == ["anna", "bert"]
    assert consented_customers(ledger, purpose="personalisation", as_of=NEXT) == ["bert"]
    assert allows(ledger, "anna", purpose="personalisation", as_of=DAY)
    assert not allows(ledger, "anna", purpose="personalisation", as_of=NEXT)


def test_a_file_does_not_undo_what_a_customer_withdrew(ledger: Ledger) -> None:
    grant(ledger, ["anna"], BASIS, source="form", time=DAY)
    withdraw(ledger, "anna", ["personalisation"], source="call", time=DAY)
    grant(ledger, ["anna", "bert"], BASIS, source="another file", time=NEXT)
    assert consented_customers(ledger, purpose="personalisation", as_of=NEXT) == ["bert"]
    assert consented_customers(ledger, purpose="analytics", as_of=NEXT) == ["anna", "bert"]


def test_the_same_basis_is_written_once(ledger: Ledger) -> None:
    assert grant(ledger, ["anna"], BASIS, source="form", time=DAY) == 2
    assert grant(ledger, ["anna", "bert"], BASIS, source="form", time=NEXT) == 2


def test_events_of_customers_without_consent_are_left_out_and_counted(shop: Workspace, ledger: Ledger) -> None:
    grant(ledger, ["anna"], BASIS, source="form", time=DAY)
    rows = [
        Event("shop", name, "Product Viewed", DAY, DAY, customer=who).row()
        for name, who in (("1", "anna"), ("2", "bert"), ("3", None))
    ]
    events = Events.of(pa.Table.from_pylist(rows, schema=SCHEMA))
    kept, line = consented(events, shop, purpose="personalisation", as_of=NEXT)
    assert sorted(kept.before(NEXT).message_id.to_pyarrow().to_pylist()) == ["1", "3"]
    assert line == "consent: 1 of 2 customers left out (no consent to personalisation)"


def test_a_line_of_an_order_of_one_who_did_not_agree_is_not_nobodys(shop: Workspace, ledger: Ledger) -> None:
    grant(ledger, ["anna"], BASIS, source="form", time=DAY)
    lines = (("1", "bert", "o1"), ("2", None, "o1"), ("3", None, "o2"), ("4", "anna", "o3"), ("5", None, None))
    rows = [
        Event("shop", name, "Order Completed", DAY, DAY, customer=who, order_id=order).row()
        for name, who, order in lines
    ]
    kept, _ = consented(
        Events.of(pa.Table.from_pylist(rows, schema=SCHEMA)), shop, purpose="personalisation", as_of=NEXT
    )
    assert sorted(kept.before(NEXT).message_id.to_pyarrow().to_pylist()) == ["3", "4", "5"]


@pytest.mark.parametrize(
    ("purposes", "proof", "said"),
    [(("profiling",), "form", r"names \['profiling'\]; the purposes are"), (("ads",), " ", "has no proof")],
)
def test_a_basis_needs_known_purposes_and_a_proof(purposes: tuple[str, ...], proof: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Basis(purposes, proof)
