"""`POST /v1/decide` of a running service: an accepted signal is seen by the next request, and what was seen counts."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.consent import Basis, grant
from features.history import read_events
from features.keys import create
from features.ledger import Ledger
from features.workspace import Workspace
from serving.content.elements import held_out
from serving.experiments.definitions import Shows
from serving.experiments.exposures import experienced
from serving.http.openapi import document

SLOT = """\
kind: web
holdout: 0.5
elements: {head: {default: Welcome}}
contents:
  - key: mailed
    audience: {segment: from-email}
    elements:
      head: [{key: mail, text: "From {{ traits.first_source }}", share: 0.5}]
"""


@pytest.fixture(scope="module")
def own(untouched: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """The small shop with a slot for those who came by a mail, to write into."""
    folder: Path = tmp_path_factory.mktemp("decide") / "shop"
    shutil.copytree(untouched.folder, folder)
    (folder / "slots" / "block.yaml").write_text(SLOT)
    return Workspace.open(folder)


@pytest.fixture(scope="module")
def service(own: Workspace, serving: Callable[..., AbstractContextManager[httpx.Client]]) -> Iterator[httpx.Client]:
    with serving(own) as client:
        yield client


@pytest.fixture(scope="module")
def key(own: Workspace) -> str:
    return create(Ledger.at(own.ledger), "web", "send", datetime.now(UTC))


def named(prefix: str, *, held: bool) -> str:
    return next(one for n in range(1000) if held_out("block", 0.5, one := f"{prefix}-{n}") is held)


def sent(service: httpx.Client, key: str, name: str, properties: dict[str, Any], **who: str) -> None:
    body = {"event": name, "properties": properties, "messageId": uuid.uuid4().hex, **who}
    body["context"] = {"campaign": {"source": "june"}}
    assert service.post("/v1/track", json=body, auth=(key, "")).status_code == 200


def asked(service: httpx.Client, slot: str = "block", **said: Any) -> dict[str, Any]:
    answer = service.post("/v1/decide", json={"slot": slot, **said})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def agrees(own: Workspace, *customers: str) -> None:
    purposes = ("personalisation", "analytics")
    grant(Ledger.at(own.ledger), customers, Basis(purposes, "a box"), source="banner", time=datetime(2026, 1, 1))


def test_the_request_after_an_accepted_signal_sees_it(own: Workspace, service: httpx.Client, key: str) -> None:
    customer = named("next", held=False)
    agrees(own, customer)
    assert asked(service, customer=customer)["reason"].startswith(
        "the default content: no audience holds: mailed: not in"
    )
    sent(service, key, "Email Link Clicked", {}, userId=customer)
    answer = asked(service, customer=customer)
    assert (answer["content"], answer["fallback"]) == ("mailed", None)
    assert answer["probability"] == pytest.approx(0.25)
    assert answer["elements"]["head"]["text"] in {"Welcome", "From june"}
    assert asked(service, customer=customer)["elements"] == answer["elements"]


def test_a_device_is_a_visitor_of_its_own(own: Workspace, service: httpx.Client, key: str) -> None:
    device = named("device", held=True)
    agrees(own, device)
    sent(service, key, "Email Link Clicked", {}, anonymousId=device)
    answer = asked(service, anonymous=device)
    assert (answer["content"], answer["held_out"]) == ("default", True)
    assert answer["reason"].startswith("kept out to measure mailed: in from-email")


def test_a_retry_gets_the_same_and_another_body_is_refused(service: httpx.Client) -> None:
    keyed = {"Idempotency-Key": "page-1"}
    one, again = (
        service.post("/v1/decide", json={"slot": "block", "customer": "c001"}, headers=keyed) for _ in range(2)
    )
    assert one.json() == again.json()
    other = service.post("/v1/decide", json={"slot": "block", "customer": "c003"}, headers=keyed)
    assert (other.status_code, other.json()["code"]) == (422, "key_reused")


@pytest.mark.parametrize(("slot", "hint"), [("blok", "did you mean 'block'?"), ("x" * 200, "known are ['block', ")])
def test_an_unknown_slot_is_not_found_and_names_the_nearest(service: httpx.Client, slot: str, hint: str) -> None:
    answer = service.post("/v1/decide", json={"slot": slot})
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert hint in answer.json()["message"]


@pytest.mark.parametrize("body", [{}, {"slot": ""}, {"slot": 7}, {"slot": "block", "cart": ["a"] * 101}])
def test_a_wrong_body_names_the_field(service: httpx.Client, body: dict[str, Any]) -> None:
    answer = service.post("/v1/decide", json=body)
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.json()["message"].startswith("cart" if "cart" in body else "slot")


def test_the_example_of_the_openapi_is_answered_as_it_says(service: httpx.Client) -> None:
    described = document()["paths"]["/v1/decide"]["post"]
    example = described["requestBody"]["content"]["application/json"]["example"]
    answer = service.post("/v1/decide", json=example)
    assert answer.status_code == 200
    named = described["responses"]["200"]["content"]["application/json"]["schema"]["required"]
    assert set(named) <= answer.json().keys()
    assert set(answer.json()["elements"]) == {"headline", "text", "cta"}


def test_a_decision_is_an_exposure_once_its_customer_was_said_to_have_seen_it(
    own: Workspace, service: httpx.Client, key: str
) -> None:
    shown, held = named("seen", held=False), named("seen", held=True)
    agrees(own, shown, held)
    for customer in (shown, held):
        sent(service, key, "Email Link Clicked", {}, userId=customer)
    first, other, never = (asked(service, customer=customer) for customer in (shown, held, shown))
    time.sleep(1)  # the journal commits in groups

    def exposures(**said: str) -> list[tuple[str, str]]:
        now = datetime.now(UTC)
        found = experienced(Ledger.at(own.ledger), read_events(own), Shows(slot="block", **said), now)
        return sorted((customer, arm) for customer, arm, _ in found)

    assert exposures() == []
    sent(service, key, "Experience Viewed", {"decision_id": first["decision_id"]}, userId=shown)
    sent(service, key, "Experience Viewed", {"decision_id": other["decision_id"]}, userId=held)
    assert exposures() == sorted([(shown, "shown"), (held, "held_out")])
    variant = first["elements"]["head"]["variant"]
    assert exposures(content="mailed", element="head") == [(shown, variant)]
    assert exposures(content="other") == []
    sent(service, key, "Experience Viewed", {"decision_id": never["decision_id"]}, userId=held)  # was for another
    sent(service, key, "Experience Viewed", {"decision_id": "nobody's"}, userId=shown)
    sent(service, key, "Experience Viewed", {}, userId=shown)
    assert len(exposures()) == 2


def test_an_anonymous_decision_counts_for_who_identifies_on_the_device(
    own: Workspace, service: httpx.Client, key: str
) -> None:
    device = named("tablet", held=False)
    agrees(own, device)
    sent(service, key, "Email Link Clicked", {}, anonymousId=device)
    answer = asked(service, anonymous=device)
    sent(service, key, "Experience Viewed", {"decision_id": answer["decision_id"]}, anonymousId=device)
    body = {"userId": "tabea", "anonymousId": device, "messageId": uuid.uuid4().hex, "traits": {"city": "Bonn"}}
    assert service.post("/v1/identify", json=body, auth=(key, "")).status_code == 200
    time.sleep(1)  # the journal commits in groups
    found = experienced(Ledger.at(own.ledger), read_events(own), Shows(slot="block"), datetime.now(UTC))
    assert ("tabea", "shown") in {(customer, arm) for customer, arm, _ in found}
