"""Two workers answer from one workspace; what either decided is in one ledger."""

import time

from sqlalchemy import select

from features.decisions import decisions
from features.ledger import Ledger
from features.workspace import Workspace


def test_two_workers_lose_no_decision(shop: Workspace, serving) -> None:  # type: ignore[no-untyped-def]
    with serving(shop, "--workers", "2") as client:
        ids = {client.post("/v1/recommend", json={"customer": "c000"}).json()["decision_id"] for _ in range(100)}
        time.sleep(0.6)
        segments = list((shop.state / "journal").glob("*.segment"))
    with Ledger.at(shop.ledger).read() as connection:
        stored = set(connection.execute(select(decisions.c.decision_id)).scalars())
    assert len(ids) == 100
    assert ids - stored == set()
    assert len(segments) >= 2  # one per worker
