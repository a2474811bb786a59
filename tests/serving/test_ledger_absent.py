"""A worker that begins while PostgreSQL is away answers from what is on disk, and knows customers once it is back."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psutil
import psycopg
import pytest
from sqlalchemy import select

from benchmarks.postgresql import Server
from features.codes import codes
from features.decisions import decisions
from features.items import Item, upsert
from features.keys import DECIDE, NOTE, SEND, create, noted, revoke
from features.ledger import Ledger
from features.migrations import NEWEST
from features.workspace import Workspace
from serving.decisions.eligibility import barred
from serving.decisions.glance import Glance
from serving.decisions.recommend import recommend
from serving.decisions.requests import RecommendRequest
from serving.http.app import Routes
from serving.http.errors import HttpError
from serving.watch import Watch

Serving = Callable[..., AbstractContextManager[httpx.Client]]
NOW = datetime(2026, 3, 1, tzinfo=UTC)
UNREAD = "cannot be read"
MINE = {"customer": "c000", "k": 3}
ASKED = {
    "/v1/recommend": MINE,
    "/v1/recommend/basket": {"cart": ["green"], "customer": "c000", "k": 2},
    "/v1/recommend/similar": {"item": "green", "k": 3},
    "/v1/offers/select": {"customer": "c001"},
    "/v1/decide": {"slot": "home-hero", "customer": "c000"},
    "/v1/experiments/checkout-badge/assign": {"customer": "c000"},
}
EVENT = {"event": "Product Viewed", "userId": "c000", "messageId": "m1", "properties": {"product_id": "green"}}


@pytest.fixture
def routes(away: Workspace) -> Iterator[Routes]:
    """A worker of the shop whose keys another one has read before."""
    noted(away, Ledger.at(away.ledger))
    routes = Routes(lambda: NOW)
    yield routes
    if routes.state is not None:
        routes.state.intake.close()
        with suppress(OSError):  # the ledger may be away
            routes.state.journal.close()


def begun(away: Workspace, routes: Routes) -> Watch:
    watch = Watch(away.folder, routes, routes.now)
    watch.look()
    return watch


def fallback(routes: Routes) -> str | None:
    return recommend(routes.state, RecommendRequest(**MINE), "d", NOW)[1]["fallback"]


def where(database: Server) -> str:
    """What no answer says."""
    return str(database.folder)


@pytest.mark.slow
def test_a_service_that_starts_without_its_ledger_answers_and_loses_nothing_and_knows_customers_later(
    away: Workspace, database: Server, serving: Serving
) -> None:
    sender = create(Ledger.at(away.ledger), "app", SEND, NOW)
    with serving(away) as client:
        until(client, lambda: personal(client))
        database.stop(signal.SIGINT)
        made = [client.post("/v1/recommend", json=MINE).json()["decision_id"]]  # in a segment that it leaves behind
    with serving(away) as client:
        made += answered(client, database)
        event = client.post("/v1/track", json=EVENT, auth=(sender, ""))
        assert (event.status_code, event.json()["code"]) == (503, "try_again")
        item = client.post("/v1/catalog/items", json={"item": "green", "stock": 0}, auth=("f" * 40, ""))
        assert (item.status_code, item.json()["code"]) == (503, "try_again")
        keyed = client.post("/v1/recommend", json={}, headers={"Idempotency-Key": "a"})
        assert (keyed.status_code, keyed.json()["code"]) == (503, "not_journalled")
        assert client.get("/v1/customers/c000").status_code == 503
        assert "attune_ledger_up 0.0" in client.get("/metrics").text
        until(client, lambda: client.get("/readyz").json()["degraded"] == ["decisions waiting", "ledger away"])
        ready = client.get("/readyz")
        assert ready.status_code == 200
        assert not any(where(database) in one.text for one in (event, item, keyed, ready))
        killed(client, away)
        made += answered(client, database)
        database.start()
        until(client, lambda: personal(client))
        assert client.post("/v1/track", json=EVENT, auth=(sender, "")).status_code == 200
        until(client, lambda: client.get("/readyz").json()["degraded"] == [])
        until(client, lambda: set(made) <= kept(away))


def answered(client: httpx.Client, database: Server) -> list[str]:
    """The ids of the decisions: all is answered, as while a ledger that was there is away."""
    answers = {path: client.post(path, json=body) for path, body in ASKED.items()}
    assert {path: one.status_code for path, one in answers.items()} == dict.fromkeys(ASKED, 200)
    for path in ("/v1/recommend", "/v1/offers/select", "/v1/decide"):
        assert UNREAD in answers[path].json()["fallback"], answers[path].text
    (one,) = client.post("/v1/recommend/batch", json={"customers": ["c000"]}).json()["answers"]
    assert UNREAD in one["fallback"]
    assert not any(where(database) in one.text for one in answers.values())
    return [one.json()["decision_id"] for one in answers.values()]


def killed(client: httpx.Client, away: Workspace) -> None:
    """Ends the worker by kill -9 and returns when another one answers."""
    mine = psutil.Process().children(recursive=True)
    workers = [one for one in mine if "_bentoml_impl.worker.service" in one.cmdline()]
    (worker,) = [one for one in workers if one.environ().get("ATTUNE_WORKSPACE") == str(away.folder)]
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait(timeout=20)
    until(client, lambda: client.get("/readyz").status_code == 200)


def personal(client: httpx.Client) -> bool:
    return client.post("/v1/recommend", json=MINE).json()["fallback"] is None


def kept(away: Workspace) -> set[str]:
    with Ledger.at(away.ledger).read() as connection:
        return set(connection.execute(select(decisions.c.decision_id)).scalars())


def until(client: httpx.Client, right: Callable[[], bool]) -> None:
    """Returns when it is so."""
    deadline = time.monotonic() + 90
    while True:
        try:
            if right():
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, client.get("/v1/ready").text
        time.sleep(0.2)


@pytest.mark.slow
def test_without_its_ledger_a_service_lets_in_whom_it_knows_and_nobody_else(
    away: Workspace, database: Server, serving: Serving
) -> None:
    ledger = Ledger.at(away.ledger)
    key, gone = create(ledger, "backend", DECIDE, NOW), create(ledger, "old", DECIDE, NOW)
    with serving(away) as client:
        assert client.post("/v1/recommend", json=MINE, auth=(gone, "")).status_code == 200
    attune = [sys.executable, "-m", "serving.cli", "keys", "revoke", gone[:8], "-w", str(away.folder)]
    subprocess.run(attune, check=True, capture_output=True)
    database.stop(signal.SIGINT)
    assert (away.state / NOTE).stat().st_mode & 0o777 == 0o600
    with serving(away) as client:
        assert UNREAD in client.post("/v1/recommend", json=MINE, auth=(key, "")).json()["fallback"]
        refused = {None: (401, "no_key"), gone: (503, "try_again"), "f" * 40: (503, "try_again")}
        for other, said in refused.items():
            found = client.post("/v1/recommend", json=MINE, auth=(other, "") if other else None)
            assert (found.status_code, found.json()["code"]) == said
            assert where(database) not in found.text


@pytest.mark.parametrize("note", [None, b"", b'["postgresql://elsewhere/shop",[]]'])
def test_where_it_is_not_known_who_may_ask_nobody_is_answered_until_the_ledger_is_back(
    away: Workspace, database: Server, routes: Routes, note: bytes | None
) -> None:
    path = away.state / NOTE
    path.unlink()
    if note is not None:
        path.write_bytes(note)
    database.stop(signal.SIGINT)
    watch = begun(away, routes)
    with pytest.raises(HttpError) as told:
        routes.ready()
    assert (told.value.status, told.value.code) == (503, "starting")
    assert where(database) not in told.value.message
    assert "the service's log" in told.value.message
    database.start()
    watch.look()
    assert fallback(routes) is None


def test_what_only_the_ledger_says_is_there_once_it_is_back(away: Workspace, database: Server, routes: Routes) -> None:
    ledger = Ledger.at(away.ledger)
    upsert(ledger, [Item(item="mocha", stock=0), Item(item="sencha", name="Sencha")], time=NOW)
    ledger.close()
    (away.folder / "codes").mkdir()
    (away.folder / "codes/coupon.txt").write_text("code-1\n")
    offers = away.folder / "offers.yaml"
    more = "codes: codes/coupon.txt, eligible: {event: Order Completed}}"
    offers.write_text(offers.read_text().replace("cost: 0.30}", f"cost: 0.30, {more}"))
    database.stop(signal.SIGINT)
    watch = begun(away, routes)
    assert UNREAD in str(fallback(routes))
    assert "sencha" not in routes.state.catalog.frame.index
    assert len(routes.state.seen.customers.table) == 0
    watch.look()
    assert routes.state.ledger.away
    database.start()
    watch.look()
    assert fallback(routes) is None
    assert "sencha" in routes.state.catalog.frame.index
    assert "mocha" in routes.state.catalog.out_of_stock
    assert len(routes.state.seen.customers.table)
    with routes.state.ledger.read() as connection:
        assert connection.execute(select(codes.c.code)).scalars().all() == ["code-1"]


def test_conditions_hold_for_nobody_before_the_history_was_read(
    away: Workspace, database: Server, routes: Routes
) -> None:
    offers = away.folder / "offers.yaml"
    never = "eligible: {event: Order Completed, count: {at_most: 0}}}"
    offers.write_text(offers.read_text().replace("cost: 0.30}", f"cost: 0.30, {never}"))
    database.stop(signal.SIGINT)
    watch = begun(away, routes)
    database.start()
    assert routes.state.ledger.is_back()  # as the first step of a look, which reads the history after it

    def why() -> str:
        known = Glance(["c000"], agreed=True)
        return barred(routes.state, routes.state.offers, "c000", known, NOW)["coupon"]

    assert UNREAD in why()
    watch._answer(routes.state, ["history"])
    assert "Order Completed" in why()


def test_a_ledger_that_comes_back_with_another_schema_is_not_asked_before_it_is_right(
    away: Workspace, database: Server, routes: Routes
) -> None:
    database.stop(signal.SIGINT)
    watch = begun(away, routes)
    database.start()
    version(database, "0007")
    before = kept_now(database)
    watch.look()
    assert "of revision 0007" in routes.state.refused["ledger"]
    assert UNREAD in str(fallback(routes))
    routes.state.journal.append(recommend(routes.state, RecommendRequest(**MINE), "d-other", NOW)[0])
    time.sleep(1)  # the journal commits in groups
    assert kept_now(database) == before
    version(database, NEWEST)
    watch.look()
    assert fallback(routes) is None
    assert routes.state.refused == {}


def test_a_server_that_hangs_holds_up_no_look(away: Workspace, database: Server, routes: Routes) -> None:
    database.stop(signal.SIGINT)
    watch = begun(away, routes)
    database.start()
    database.process.send_signal(signal.SIGSTOP)
    try:
        started = time.monotonic()
        watch.look()
        assert time.monotonic() - started < 8  # a connection is waited for ten seconds
        assert routes.state.ledger.away
    finally:
        database.process.send_signal(signal.SIGCONT)
    watch.look()
    assert fallback(routes) is None


def test_a_worker_that_begins_with_another_schema_is_refused_as_ever(
    away: Workspace, database: Server, routes: Routes
) -> None:
    version(database, "0007")
    watch = begun(away, routes)
    assert routes.state is None
    assert where(database) not in routes.fault
    version(database, NEWEST)
    watch.look()
    assert fallback(routes) is None


def version(database: Server, revision: str) -> None:
    with psycopg.connect(database.address) as connection:
        connection.execute("UPDATE alembic_version SET version_num = %s", (revision,))


def kept_now(database: Server) -> int:
    with psycopg.connect(database.address) as connection:
        return int(connection.execute("SELECT count(*) FROM decisions").fetchone()[0])


def test_a_key_that_is_made_or_revoked_is_noted_at_once(away: Workspace) -> None:
    attune, folder = [sys.executable, "-m", "serving.cli", "keys"], str(away.folder)
    made = subprocess.run(
        [*attune, "create", "app", "--role", "decide", "-w", folder], capture_output=True, text=True, check=True
    )
    first = (away.state / NOTE).read_text()
    assert made.stdout.strip()[:8] in first
    assert made.stdout.strip() not in first
    revoke(Ledger.at(away.ledger), made.stdout.strip(), NOW)
    assert (away.state / NOTE).read_text() == first
    noted(away, Ledger.at(away.ledger))
    assert (away.state / NOTE).read_text() != first
    (away.state / NOTE).chmod(0o644)  # as a copy of the folder may leave it
    noted(away, Ledger.at(away.ledger))
    assert (away.state / NOTE).stat().st_mode & 0o777 == 0o600


def test_a_ledger_in_the_workspace_notes_no_keys(untouched: Workspace, tmp_path: Path) -> None:
    noted(untouched, Ledger.at(untouched.ledger))
    assert not (untouched.state / NOTE).exists()
