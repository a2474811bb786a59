"""Erasure on each dialect: a person's rows leave ledger and history, everybody else's stay, transactions stay whole.

phone    view  Identify(anna)  view  Identify(bert)
tablet   view  (of nobody who ever identified)
"""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select

from features.consent import Basis, consents, grant
from features.erasure import erase_files, erase_rows, forget
from features.events import Event
from features.history import close_days, live_events, read_events, record
from features.ledger import Ledger
from features.person import Person, person_of
from features.workspace import Workspace

DAY = datetime(2026, 3, 1)  # UTC without a zone, as the tables keep it
LATER = DAY + timedelta(days=1)


def event(minute: int, name: str, customer: str | None, device: str | None) -> Event:
    time = DAY + timedelta(minutes=minute)
    return Event("web", f"m{minute}", name, time, time, customer=customer, anonymous=device)


@pytest.fixture
def filled(shop: Workspace, ledger: Ledger) -> Workspace:
    grant(ledger, ["anna", "bert"], Basis(("ads",), "a box"), source="form", time=DAY)
    shared = [event(1, "View", None, "phone"), event(2, "Identify", "anna", "phone")]
    record(ledger, [*shared, event(3, "View", None, "phone")])
    close_days(shop, LATER)
    record(ledger, [event(4, "Identify", "bert", "phone"), event(5, "View", None, "tablet")])
    record(ledger, [event(6, "View", "anna", None)])
    return shop


def erased(workspace: Workspace, ledger: Ledger, customer: str) -> str:
    person = person_of(workspace, customer)
    forget(workspace, person, LATER)
    return "\n".join([*erase_files(workspace, person), *erase_rows(ledger, person)])


def left(workspace: Workspace) -> list[str]:
    return sorted(read_events(workspace).before(LATER).message_id.to_pyarrow().to_pylist())


def test_only_the_persons_rows_go(filled: Workspace, ledger: Ledger) -> None:
    said = erased(filled, ledger, "anna")
    assert left(filled) == ["m3", "m4", "m5"]
    assert "history: 2 rows" in said
    assert "ledger, events: 1 rows" in said
    with ledger.read() as connection:
        assert connection.execute(select(consents.c.customer)).scalars().all() == ["bert"]


def test_what_somebody_did_on_anothers_device_goes_too(filled: Workspace, ledger: Ledger) -> None:
    assert person_of(filled, "bert") == Person(("bert",), ("bert",), {"phone": ("m3", "m4")})
    erased(filled, ledger, "bert")
    assert left(filled) == ["m1", "m2", "m5", "m6"]


def test_a_device_of_nobody_is_erased_by_its_id(filled: Workspace, ledger: Ledger) -> None:
    erased(filled, ledger, "tablet")
    assert left(filled) == ["m1", "m2", "m3", "m4", "m6"]


def test_afterwards_a_reader_still_has_one_consistent_view(filled: Workspace, ledger: Ledger) -> None:
    erased(filled, ledger, "anna")
    count = select(func.count()).select_from(consents)
    with ledger.read() as connection:
        before = connection.execute(count).scalar_one()
        grant(ledger, ["cora"], Basis(("ads",), "a box"), source="form", time=DAY)
        assert connection.execute(count).scalar_one() == before == 1


def test_an_erased_persons_events_are_not_stored_and_known_when_they_are_sent_again(
    filled: Workspace, ledger: Ledger
) -> None:
    erased(filled, ledger, "anna")
    with ledger.read() as connection:
        before = connection.execute(select(func.count()).select_from(live_events)).scalar_one()
    assert record(ledger, [event(9, "View", "anna", None)]) == 1
    assert record(ledger, [event(9, "View", "anna", None)]) == 0
    with ledger.read() as connection:
        assert connection.execute(select(func.count()).select_from(live_events)).scalar_one() == before
