"""An event that was recorded is obeyed by the next answer of a service that runs already."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from features.consent import Basis, grant, withdraw
from features.events import ORDERED, VIEWED, Event
from features.history import record
from features.ledger import Ledger
from features.workspace import Workspace

COFFEES = {"java", "mocha", "robusta"}


@pytest.fixture(scope="module")
def own(untouched: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The small shop, to write into."""
    folder: Path = tmp_path_factory.mktemp("next") / "shop"
    shutil.copytree(untouched.folder, folder)
    return Workspace.open(folder)


@pytest.fixture(scope="module")
def service(own: Workspace, serving: Callable[..., AbstractContextManager[httpx.Client]]) -> Iterator[httpx.Client]:
    with serving(own) as client:
        yield client


def happens(shop: Workspace, customer: str, name: str, item: str) -> None:
    ledger, now = Ledger.at(shop.ledger), datetime.now(UTC)
    record(ledger, [Event("sdk", f"{customer}-{name}-{item}", name, now, now, customer=customer, item=item)])
    ledger.close()


def asked(service: httpx.Client, customer: str, **body: object) -> tuple[list[str], str | None]:
    answer = service.post("/v1/recommend", json={"customer": customer, "k": 3, **body})
    assert answer.status_code == 200, answer.text
    return [one["item"] for one in answer.json()["items"]], answer.json()["fallback"]


def test_what_was_just_bought_is_not_recommended_any_more(own: Workspace, service: httpx.Client) -> None:
    items, _ = asked(service, "c000", include_bought="never")
    assert items[0] == "black"
    happens(own, "c000", ORDERED, "black")
    items, _ = asked(service, "c000", include_bought="never")
    assert "black" not in items
    again, _ = asked(service, "c000", include_bought="only")
    assert "black" in again


def test_somebody_the_model_never_saw_is_answered_by_what_they_just_did(own: Workspace, service: httpx.Client) -> None:
    ledger = Ledger.at(own.ledger)
    grant(ledger, ["zoe"], Basis(("personalisation",), "a box ticked"), source="banner", time=datetime(2026, 1, 1))
    ledger.close()
    assert "not known" in str(asked(service, "zoe")[1])
    happens(own, "zoe", VIEWED, "mocha")
    items, fallback = asked(service, "zoe")
    assert fallback is None
    assert set(items[:2]) < COFFEES


def test_a_visitor_is_answered_by_what_the_device_just_did(own: Workspace, service: httpx.Client) -> None:
    """With the consent that was given there; until somebody identifies, whose history it then is."""

    def answered(**who: str) -> tuple[list[str], str | None]:
        answer = service.post("/v1/recommend", json={"k": 3, **who}).json()
        return [one["item"] for one in answer["items"]], answer["fallback"]

    def sent(number: int, **who: str) -> None:
        now = datetime.now(UTC)
        record(ledger, [Event("sdk", f"phone-{number}", VIEWED, now, now, anonymous="phone", item="mocha", **who)])

    ledger = Ledger.at(own.ledger)
    sent(1)
    assert "has not agreed" in str(answered(anonymous="phone")[1])
    grant(ledger, ["phone", "xena"], Basis(("personalisation",), "a box"), source="banner", time=datetime(2026, 1, 1))
    items, fallback = answered(anonymous="phone")
    assert fallback is None
    assert set(items[:2]) < COFFEES
    sent(2, customer="xena")
    assert "the history is empty" in str(answered(anonymous="phone")[1])
    assert answered(customer="xena")[1] is None
    ledger.close()


def test_a_withdrawn_consent_is_obeyed_by_the_next_answer(own: Workspace, service: httpx.Client) -> None:
    assert asked(service, "c004")[1] is None
    ledger = Ledger.at(own.ledger)
    withdraw(ledger, "c004", ["personalisation"], source="page", time=datetime.now(UTC))
    ledger.close()
    assert "has not agreed" in str(asked(service, "c004")[1])


def test_without_consent_an_event_changes_nothing(own: Workspace, service: httpx.Client) -> None:
    before = asked(service, "yan")
    happens(own, "yan", ORDERED, "mocha")
    assert asked(service, "yan") == before
