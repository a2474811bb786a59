"""What a consent platform says beside events becomes consent, each change once, and undoes nothing said elsewhere."""

from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest
from sqlalchemy import select

from features.consent import allows, consents, withdraw
from features.events import Event
from features.history import record
from features.ledger import Ledger
from features.preferences import stated

NOON = datetime(2026, 3, 1, 12)  # UTC, as the tables keep it
LATER = NOON + timedelta(days=9)


def told(number: int, customer: str | None = "ann", source: str = "web", **said: bool) -> Event:
    time = NOON + timedelta(minutes=number)
    context = orjson.dumps({"context": {"consent": said}}).decode()
    whose: dict[str, Any] = {"customer": customer, "anonymous": "device"}
    return Event(source, f"m{number}", "Page Viewed", time, LATER - timedelta(days=1), properties=context, **whose)


def agreed(ledger: Ledger, customer: str = "ann", purpose: str = "marketing") -> bool:
    return allows(ledger, customer, purpose=purpose, as_of=LATER)


def rows(ledger: Ledger) -> list[tuple[str, str, bool]]:
    with ledger.read() as connection:
        found = select(consents.c.customer, consents.c.purpose, consents.c.granted).order_by(consents.c.id)
        return [tuple(row) for row in connection.execute(found)]


def test_a_word_is_added_where_it_is_new(ledger: Ledger) -> None:
    record(ledger, [told(1, marketing=True, ads=False), told(2, marketing=True), told(3, marketing=False)])
    record(ledger, [told(4, marketing=False), told(1, marketing=True)])
    assert rows(ledger) == [("ann", "marketing", True), ("ann", "ads", False), ("ann", "marketing", False)]
    assert not agreed(ledger)
    record(ledger, [told(5, marketing=True)])
    assert agreed(ledger)


def test_events_count_by_their_time(ledger: Ledger) -> None:
    record(ledger, [told(9, marketing=False), told(8, marketing=True)])
    assert not agreed(ledger)


def test_a_yes_that_comes_late_undoes_no_later_no(ledger: Ledger) -> None:
    """A library sends again what met a 503, after what the customer did next."""
    record(ledger, [told(9, marketing=False)])
    record(ledger, [told(8, marketing=True)])
    assert not agreed(ledger)
    record(ledger, [told(7, source="app", marketing=True)])
    withdraw(ledger, "ann", ["ads"], source="page", time=NOON + timedelta(hours=1))
    record(ledger, [told(10, ads=True)])
    assert not agreed(ledger)
    assert not agreed(ledger, purpose="ads")
    record(ledger, [told(90, marketing=True, ads=True)])
    assert agreed(ledger)
    assert agreed(ledger, purpose="ads")


def test_a_no_that_comes_late_counts_where_its_source_said_nothing_since(ledger: Ledger) -> None:
    record(ledger, [told(9, marketing=True)])
    record(ledger, [told(8, marketing=False)])
    assert agreed(ledger)
    record(ledger, [told(8, source="app", marketing=False)])
    assert not agreed(ledger)


def test_what_was_withdrawn_elsewhere_is_not_granted_by_repeating_a_yes(ledger: Ledger) -> None:
    record(ledger, [told(1, marketing=True)])
    withdraw(ledger, "ann", ["marketing"], source="page", time=NOON + timedelta(hours=1))
    record(ledger, [told(90, marketing=True)])
    assert not agreed(ledger)
    record(ledger, [told(91, marketing=False), told(92, marketing=True)])
    assert agreed(ledger)


def test_another_source_has_a_word_of_its_own(ledger: Ledger) -> None:
    record(ledger, [told(1, marketing=False), told(2, source="app", marketing=True)])
    assert rows(ledger) == [("ann", "marketing", False), ("ann", "marketing", True)]


def test_a_device_on_which_nobody_identified_speaks_for_itself(ledger: Ledger) -> None:
    record(ledger, [told(1, None, personalisation=True)])
    assert agreed(ledger, "device", "personalisation")
    assert not agreed(ledger, "ann", "personalisation")


@pytest.mark.parametrize(
    ("consent", "found"),
    [
        (
            {"categoryPreferences": {"Marketing": True, "ads": False, "functional": True}},
            {"marketing": True, "ads": False},
        ),
        ({"categoryPreferences": {"marketing": "yes", "ads": None}}, {}),
        ({"categoryPreferences": ["marketing"]}, {}),
        ("yes", {}),
        (None, {}),
    ],
)
def test_only_our_purposes_and_a_clear_yes_or_no_are_heard(consent: Any, found: dict[str, bool]) -> None:
    assert stated(consent) == found


@pytest.mark.parametrize("context", ['"consent"', '{"consent": 1}', '{"consent": {"ads": 0, "marketing": null}}'])
def test_properties_of_another_shape_say_nothing(ledger: Ledger, context: str) -> None:
    event = told(1)
    odd = Event(
        "web", "m9", "Click", event.time, event.received_at, customer="ann", properties=f'{{"context": {context}}}'
    )
    record(ledger, [odd])
    assert rows(ledger) == []
