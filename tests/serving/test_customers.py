"""`GET /v1/customers/{id}`: found, unknown, bad request, not allowed; what it says is what would be decided."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import httpx
import pytest
from sqlalchemy import func, select

from features.decisions import decisions
from features.events import Event
from features.history import record
from features.ledger import Ledger
from features.workspace import Workspace

START = datetime(2026, 2, 1)  # UTC without a zone, as the tables keep it


def told(minute: int, name: str, customer: str, **properties: object) -> Event:
    moment = START + timedelta(minutes=minute)
    return Event(
        "crm", f"{customer}-{minute}", name, moment, moment, customer=customer, properties=json.dumps(properties)
    )


def journalled(shop: Workspace) -> int:
    with Ledger.at(shop.ledger).read() as connection:
        return int(connection.execute(select(func.count()).select_from(decisions)).scalar_one())


def test_a_customer_is_shown_with_all_that_is_known(service: httpx.Client, shop: Workspace) -> None:
    record(
        Ledger.at(shop.ledger),
        [told(1, "Identify", "c010", city="Bonn", plan="a"), told(2, "Identify", "c010", plan="b")],
    )
    segments = shop.folder / "segments" / "here.yaml"
    segments.parent.mkdir(exist_ok=True)
    who = "{key: bonners, who: {trait: city, is: Bonn}}, {key: others, who: {trait: city, is: Ulm}}"
    segments.write_text(f"segments: [{who}]")
    answer = service.get("/v1/customers/c010")
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert (found["customer"], found["ids"]) == ("c010", ["c010"])
    assert found["traits"] == {"city": "Bonn", "plan": "b"}
    assert found["profile"]["orders"] == 3
    assert found["stage"] in {"new", "active", "loyal", "at_risk", "lapsed"}
    assert {"bonners", "others"} & set(found["segments"]) == {"bonners"}
    assert found["consents"] == {"personalisation": True, "marketing": False, "analytics": True, "ads": False}
    assert {row["proof"] for row in found["consent_rows"]} == {"a box ticked"}
    assert [row["name"] for row in found["last_events"]] == ["Identify"] * 2 + ["Order Completed"] * 3
    assert [one["kind"] for one in found["models"]] == ["recommender", "uplift"]
    assert all(one["age_seconds"] > 0 for one in found["models"])


def test_it_says_what_would_be_decided_and_journals_nothing(service: httpx.Client, shop: Workspace) -> None:
    before = journalled(shop)
    found = service.get("/v1/customers/c012").json()
    assert journalled(shop) == before
    said = service.post("/v1/recommend", json={"customer": "c012"}).json()
    would, does = (
        [(one["item"], one["reason"]) for one in answer["items"]] for answer in (found["would_recommend"], said)
    )
    assert would == does  # scores fade with every second
    assert found["would_offer"]["reason"]
    assert "decision_id" not in found["would_recommend"]


def test_a_merged_customer_is_one_whichever_id_is_asked_for(service: httpx.Client, shop: Workspace) -> None:
    record(Ledger.at(shop.ledger), [told(5, "Alias", "c014", previous_id="c014-before")])
    by_old, by_new = (service.get(f"/v1/customers/{one}").json() for one in ("c014-before", "c014"))
    assert by_old["customer"] == by_new["customer"] == "c014"
    assert by_old["ids"] == ["c014", "c014-before"]
    assert by_old["profile"]["orders"] == 3
    assert by_old["consents"]["personalisation"] is False  # one of the two ids never said yes


def test_an_id_may_hold_a_slash(service: httpx.Client, shop: Workspace) -> None:
    record(Ledger.at(shop.ledger), [told(6, "Identify", "a/b?c#d", city="Bonn")])
    assert service.get("/v1/customers/a%2Fb%3Fc%23d").json()["traits"] == {"city": "Bonn"}


def test_nobody_is_unknown(service: httpx.Client) -> None:
    answer = service.get("/v1/customers/never-heard-of")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("customer", ["c" * 257, "c%00", "c%01"])
def test_what_is_no_id_is_refused(service: httpx.Client, customer: str) -> None:
    answer = service.get(f"/v1/customers/{customer}")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")


def test_another_method_is_not_allowed(service: httpx.Client) -> None:
    assert service.post("/v1/customers/c010").status_code == 405


def test_many_are_shown_at_once(service: httpx.Client) -> None:
    """Who waits too long is told to come back, and is shown then."""

    def shown(number: int) -> httpx.Response:
        for _ in range(30):
            answer = service.get(f"/v1/customers/c{number:03}")
            if answer.status_code != 503:
                break
            assert (answer.json()["code"], answer.headers["retry-after"]) == ("try_again", "1")
            time.sleep(1)
        return answer

    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(shown, range(20, 32)))
    assert [answer.json().get("customer") for answer in answers] == [f"c{number:03}" for number in range(20, 32)]
