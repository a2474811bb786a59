"""While PostgreSQL is away decisions go on, not personal, and are in the ledger once it is back."""

import shutil
import signal
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from benchmarks.postgresql import NEEDED, Server, binaries, server
from features.consent import Basis, grant
from features.decisions import decisions
from features.ledger import Ledger
from features.workspace import Workspace

ASKED = {
    "/v1/recommend": {"customer": "c000", "k": 3},
    "/v1/recommend/basket": {"cart": ["green"], "customer": "c000", "k": 2},
    "/v1/recommend/similar": {"item": "green", "k": 3},
    "/v1/offers/select": {"customer": "c001"},
    "/v1/decide": {"slot": "home-hero", "customer": "c000"},
    "/v1/experiments/checkout-badge/assign": {"customer": "c000"},
}


@pytest.fixture
def database() -> Iterator[Server]:
    if binaries() is None:
        pytest.skip(NEEDED)
    with server({"fsync": "off", "shared_buffers": "16MB"}) as started:
        yield started


@pytest.mark.slow
def test_decisions_go_on_without_the_ledger_and_are_in_it_later(
    untouched: Workspace, database: Server, tmp_path: Path, serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(untouched.folder, tmp_path / "shop", ignore=shutil.ignore_patterns("ledger.db*", "journal"))
    monkeypatch.setenv("ATTUNE_LEDGER_URL", database.address)
    shop = Workspace.open(tmp_path / "shop")
    basis = Basis(("personalisation",), "a box ticked")
    grant(Ledger.at(shop.ledger), ["c000", "c001"], basis, source="test", time=datetime(2026, 1, 1))
    with serving(shop) as client:
        assert client.post("/v1/recommend", json=ASKED["/v1/recommend"]).json()["fallback"] is None
        database.stop(signal.SIGINT)
        answers = {path: client.post(path, json=body) for path, body in ASKED.items()}
        assert {path: one.status_code for path, one in answers.items()} == dict.fromkeys(ASKED, 200)
        assert "agreed to cannot be read" in answers["/v1/recommend"].json()["fallback"]
        (one,) = client.post("/v1/recommend/batch", json={"customers": ["c000"]}).json()["answers"]
        assert "agreed to cannot be read" in one["fallback"]
        keyed = client.post("/v1/recommend", json={}, headers={"Idempotency-Key": "a"})
        assert (keyed.status_code, keyed.json()["code"]) == (503, "not_journalled")
        assert client.get("/readyz").status_code == 200
        assert any("ledger" in one for one in client.get("/v1/ready").json()["degraded"])
        assert "attune_ledger_up 0.0" in client.get("/metrics").text
        database.start()
        until_personal(client)
        time.sleep(1)  # the journal commits in groups
    with Ledger.at(shop.ledger).read() as connection:
        kept = set(connection.execute(select(decisions.c.decision_id)).scalars())
    assert {one.json()["decision_id"] for one in answers.values()} <= kept


def until_personal(client: httpx.Client) -> None:
    """Returns when the customer's own answer is back."""
    deadline = time.monotonic() + 20
    while client.post("/v1/recommend", json=ASKED["/v1/recommend"]).json()["fallback"] is not None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
