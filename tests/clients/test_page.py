"""attune.js in Chromium, in pages of another origin than the service's: what is filled, told and kept."""

import json
import time
import uuid
from datetime import UTC, datetime

import httpx
import pytest

from features.consent import allows
from features.history import read_events
from features.keys import secret_of
from serving.experiments.definitions import Shows
from serving.experiments.exposures import experienced
from serving.http.tokens import token
from tests.clients.conftest import AGREED, Place, Shop

pytestmark = pytest.mark.browser


def test_the_script_is_small_and_a_browser_keeps_it_for_a_while(place: Place) -> None:
    answer = httpx.get(f"{place.url}/v1/attune.js", headers={"accept-encoding": "identity"})
    assert len(answer.content) < 5_000
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "public, max-age=3600"


def test_a_slot_is_filled_within_the_time(shop: Shop) -> None:
    for _ in range(20):  # where the machine is busy an answer may be late, and then the default is right
        shop.open()
        shop.tab.wait_for_timeout(500)
        if shop.text("h1") == "Hello":
            return
    pytest.fail("no answer of twenty came within the time")


def test_a_text_is_html_or_plain_as_the_kind_of_its_slot_says(patient: Shop) -> None:
    patient.open()
    patient.shown()
    assert patient.tab.inner_html("h1").strip() == "<b>Hello</b>"
    assert patient.text("#prompt") == "<b>Hello</b>"
    assert patient.tab.get_attribute("[data-attune-element=image]", "src") == "/tea.png?a=1&b=2"


def test_nothing_in_a_text_runs(patient: Shop) -> None:
    patient.open()
    patient.shown()
    assert patient.tab.inner_html("p") == '<a>More</a><img src="x">'
    patient.tab.click("p a")
    patient.tab.wait_for_timeout(300)
    assert patient.tab.evaluate("window.harmed") is None
    assert patient.tab.evaluate("errors") == []


def test_what_was_in_view_is_told_once_with_its_decision(patient: Shop) -> None:
    patient.open(where="far")
    patient.shown()
    patient.tab.evaluate("scrollTo(0, 0)")
    patient.tab.wait_for_timeout(1500)
    assert "Experience Viewed" not in patient.names(1)
    for _ in range(2):
        patient.tab.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
        patient.tab.wait_for_timeout(2000)
        patient.tab.evaluate("scrollTo(0, 0)")
        patient.tab.wait_for_timeout(500)
    events = patient.place.awaited(patient.device, 3)
    viewed = [json.loads(one["properties"]) for one in events if one["name"] == "Experience Viewed"]
    assert sorted(one["slot"] for one in viewed) == ["block", "prompt"]
    assert sorted(one["decision_id"] for one in viewed) == sorted(patient.place.decided(patient.device))


def test_a_click_bears_its_decision_and_is_a_view(patient: Shop) -> None:
    patient.open()
    patient.shown()
    patient.tab.click("p a")
    events = patient.place.awaited(patient.device, 4)
    told = {(one["name"], json.loads(one["properties"]).get("slot")) for one in events}
    assert {("Experience Clicked", "block"), ("Experience Viewed", "block")} <= told
    clicked = [json.loads(one["properties"]) for one in events if one["name"] == "Experience Clicked"]
    assert clicked[0]["decision_id"] in patient.place.decided(patient.device)


def test_without_consent_to_analytics_no_view_is_told(patient: Shop) -> None:
    patient.open('data-consent="personalisation"')
    patient.shown()
    assert patient.text("h1") == "Hello"
    patient.tab.wait_for_timeout(1500)
    patient.tab.click("p a")
    patient.tab.wait_for_timeout(500)
    assert patient.names(1) == ["Identify"]


def test_a_browser_keeps_its_id(patient: Shop) -> None:
    patient.open()
    patient.shown()
    device = patient.device
    patient.open()
    patient.shown()
    assert patient.device == device
    assert patient.names(1).count("Identify") == 1


def test_the_id_of_the_shops_own_library_may_be_given(patient: Shop) -> None:
    own = uuid.uuid4().hex
    patient.open(f'{AGREED} data-anonymous="{own}"')
    patient.shown()
    assert len(patient.place.decided(own)) == 2


def test_a_signed_customer_is_decided_for_and_their_view_is_an_exposure(patient: Shop) -> None:
    who = f"page-{uuid.uuid4().hex}"
    signed = token(secret_of(patient.place.ledger, patient.key), who, time.time() + 60)
    patient.open(f'{AGREED} data-customer="{who}" data-token="{signed}"')
    patient.shown()
    names = [one["name"] for one in patient.place.awaited(who, 3)]
    assert sorted(names) == ["Experience Viewed", "Experience Viewed", "Identify"]
    assert len(patient.place.decided(who)) == 2
    seen = experienced(
        patient.place.ledger, read_events(patient.place.workspace), Shows(slot="block"), datetime.now(UTC)
    )
    assert (who, "shown") in {(customer, arm) for customer, arm, _ in seen}


QUIET = {
    "nothing agreed to": ("", ""),
    "asked not to track": (AGREED, "Object.defineProperty(Navigator.prototype, 'doNotTrack', {get: () => '1'})"),
    "global privacy control": (
        AGREED,
        "Object.defineProperty(Navigator.prototype, 'globalPrivacyControl', {get: () => true})",
    ),
    "no storage": (AGREED, "Object.defineProperty(window, 'localStorage', {get() { throw new DOMException('no') }})"),
}


@pytest.mark.parametrize(("more", "before"), QUIET.values(), ids=list(QUIET))
def test_without_consent_nothing_is_kept_or_told_and_everybody_sees_the_same(
    patient: Shop, more: str, before: str
) -> None:
    asked: list[tuple[str, str]] = []
    patient.tab.on("request", lambda one: asked.append((one.url, one.post_data or "")))
    patient.tab.add_init_script(before)
    patient.open(more)
    patient.shown()
    assert patient.text("h1") == "Welcome"
    patient.tab.wait_for_timeout(1500)
    ours = [(url.removeprefix(patient.place.url), body) for url, body in asked if "/v1/" in url]
    assert {url for url, _ in ours} == {"/v1/attune.js", "/v1/decide"}
    assert not [body for _, body in ours if "anonymous" in body]
    assert patient.tab.evaluate("errors") == []
    if "storage" not in before.lower():
        assert patient.tab.evaluate("localStorage.length") == 0


def test_who_agrees_no_longer_is_told_of_and_forgotten(patient: Shop) -> None:
    def agrees(purpose: str) -> bool:
        return allows(patient.place.ledger, device, purpose=purpose, as_of=datetime.now(UTC))

    patient.open()
    patient.shown()
    device = patient.device
    assert agrees("personalisation")
    assert agrees("analytics")
    patient.open('data-consent="personalisation"')
    patient.shown()
    assert (agrees("personalisation"), agrees("analytics")) == (True, False)
    patient.open("")
    patient.shown()
    assert not agrees("personalisation")
    assert patient.device == ""
