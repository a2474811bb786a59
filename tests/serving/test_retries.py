"""An Idempotency-Key: one key and body is one decision and one answer, for all workers, also after a restart."""

import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import select

from features.decisions import decisions
from features.ledger import Ledger
from features.workspace import Workspace

OFFER, ARM = "/v1/offers/select", "/v1/experiments/checkout-badge/assign"
ASKED = [
    ("/v1/recommend", {"customer": "c000", "k": 3}),
    ("/v1/recommend/similar", {"item": "green"}),
    (OFFER, {"customer": "c001"}),
    (ARM, {"customer": "c001"}),
]


@pytest.fixture(scope="module")
def two(shop: Workspace, serving) -> Iterator[httpx.Client]:
    """A client of two workers; every request is a new connection, so that either may answer."""
    with serving(shop, "--workers", "2") as client:
        yield client


def ask(client: httpx.Client, path: str, key: str, body: object) -> httpx.Response:
    with httpx.Client(base_url=client.base_url, timeout=30) as fresh:
        return fresh.post(path, json=body, headers={"Idempotency-Key": key})


def journalled(shop: Workspace, decision_id: str) -> list[str]:
    query = select(decisions.c.chosen).where(decisions.c.decision_id == decision_id)
    with Ledger.at(shop.ledger).read() as connection:
        return [json.loads(chosen)[0] for chosen in connection.execute(query).scalars()]


@pytest.mark.parametrize(("path", "body"), ASKED)
def test_a_retry_gets_the_same_answer(two: httpx.Client, path: str, body: dict[str, object]) -> None:
    answers = [ask(two, path, "same", body) for _ in range(6)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1


def test_the_order_of_the_fields_and_what_is_default_make_no_other_body(two: httpx.Client) -> None:
    first = ask(two, "/v1/recommend", "order", {"customer": "c000", "k": 10})
    assert ask(two, "/v1/recommend", "order", {"k": 10, "customer": "c000"}).content == first.content
    assert ask(two, "/v1/recommend", "order", {"customer": "c000"}).content == first.content


@pytest.mark.parametrize(("path", "body"), ASKED)
def test_another_body_under_the_same_key_is_refused(two: httpx.Client, path: str, body: dict[str, object]) -> None:
    first = ask(two, path, "other", body)
    wrong = ask(two, path, "other", body | {next(iter(body)): "c002"})
    assert (wrong.status_code, wrong.json()["code"]) == (422, "key_reused")
    assert "'other'" in wrong.json()["message"]
    assert ask(two, path, "other", body).content == first.content


def test_a_key_belongs_to_one_route(two: httpx.Client) -> None:
    ids = {ask(two, path, "one key", body).json()["decision_id"] for path, body in ASKED}
    assert len(ids) == len(ASKED)


def test_bentomls_own_call_knows_the_key_too(two: httpx.Client) -> None:
    first = ask(two, OFFER, "api", {"customer": "c001"})
    again = ask(two, "/api/offers/select", "api", {"request": {"customer": "c001"}})
    assert again.json() == first.json()
    assert ask(two, "/api/offers/select", "api", {"request": {"customer": "c003"}}).status_code == 422


def test_first_requests_at_once_make_one_journalled_decision(two: httpx.Client, shop: Workspace) -> None:
    def asked(number: int) -> httpx.Response:
        return ask(two, OFFER, f"race {number // 8}", {"customer": f"c{number % 8 // 4:03}"})

    with ThreadPoolExecutor(16) as pool:  # per key eight requests, of them four with one body and four with another
        answers = list(pool.map(asked, range(8 * 15)))
    for race in range(15):
        mine = answers[race * 8 : race * 8 + 8]
        assert Counter(answer.status_code for answer in mine) == {200: 4, 422: 4}
        given = {answer.content for answer in mine if answer.status_code == 200}
        assert len(given) == 1
        answer = json.loads(given.pop())
        assert journalled(shop, answer["decision_id"]) == [answer["offer"] or "nothing"]


def test_a_refused_request_does_not_use_its_key_up(two: httpx.Client) -> None:
    assert ask(two, "/v1/recommend", "mistake", {"k": 0}).status_code == 400
    assert ask(two, OFFER, "mistake", {"offers": ["copon"]}).status_code == 400
    assert ask(two, "/v1/recommend", "mistake", {"k": 1}).status_code == 200
    assert ask(two, OFFER, "mistake", {"offers": ["coupon"]}).status_code == 200


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_a_key_has_1_to_255_characters(two: httpx.Client, key: str) -> None:
    answer = ask(two, OFFER, key, {"customer": "c001"})
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["message"]


def test_after_a_restart_under_other_rules_a_retry_gets_the_first_answer(shop: Workspace, serving) -> None:
    offers = shop.folder / "offers.yaml"
    before = offers.read_text()
    with serving(shop) as client:
        first = ask(client, OFFER, "restart", {"customer": "c001"})
    try:
        offers.write_text(before.replace("value: 20.0", "value: 999.0"))
        with serving(shop) as client:
            assert ask(client, OFFER, "restart", {"customer": "c001"}).content == first.content
            assert ask(client, OFFER, "restart", {"customer": "c003"}).status_code == 422
            fresh = ask(client, OFFER, "afterwards", {"customer": "c001"}).json()
            assert fresh["workspace_hash"] != first.json()["workspace_hash"]
    finally:
        offers.write_text(before)
