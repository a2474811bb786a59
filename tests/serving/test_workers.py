"""Workers and services share one workspace: what any of them decided is in one ledger, also after kill -9.

A full disk is a limit on the size of the worker's files: writes fall short and then fail, as without space.
"""

import os
import resource
import signal
import threading
import time
from contextlib import suppress
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import select

from features.decisions import decisions
from features.ledger import Ledger
from features.workspace import Workspace


def journalled(shop: Workspace) -> set[str]:
    with Ledger.at(shop.ledger).read() as connection:
        return set(connection.execute(select(decisions.c.decision_id)).scalars())


def workers(client: httpx.Client) -> list[psutil.Process]:
    """The processes that answer on the client's port."""
    mine = (child for child in psutil.Process().children() if str(client.base_url.port) in child.cmdline())
    return [one for service in mine for one in service.children() if "_bentoml_impl.worker.service" in one.cmdline()]


def recommended(client: httpx.Client, *, until: threading.Event, into: list[str]) -> None:
    """Asks until told to stop; keeps the ids of what was answered."""
    with httpx.Client(base_url=client.base_url, timeout=10) as own:
        while not until.is_set():
            with suppress(httpx.HTTPError):
                answer = own.post("/v1/recommend", json={"customer": "c000"})
                if answer.status_code == 200:
                    into.append(answer.json()["decision_id"])


@pytest.mark.slow
def test_two_services_on_one_workspace_lose_no_decision_also_not_to_kill_9(shop: Workspace, serving) -> None:
    answered: list[str] = []
    stop = threading.Event()
    others = set((shop.state / "journal").glob("*.segment"))  # of a service that other tests share
    with serving(shop, "--workers", "2") as one, serving(shop) as other:
        asking = [
            threading.Thread(target=recommended, args=(client,), kwargs={"until": stop, "into": answered})
            for client in (one, other, one, other)
        ]
        for thread in asking:
            thread.start()
        time.sleep(1)
        for client in (one, other):
            os.kill(workers(client)[0].pid, signal.SIGKILL)
        time.sleep(1)
        before = len(answered)
        deadline = time.monotonic() + 60
        while len(answered) < before + 200 and time.monotonic() < deadline:  # workers come back, or the others go on
            time.sleep(0.1)
        stop.set()
        for thread in asking:
            thread.join()
    assert len(answered) > 200
    assert len(set(answered)) == len(answered)
    with serving(shop):  # a start recovers what dead workers left
        pass
    assert set(answered) - journalled(shop) == set()
    assert set((shop.state / "journal").glob("*.segment")) <= others


@pytest.mark.slow
def test_a_full_disk_is_told_loses_nothing_and_is_recovered_from(shop: Workspace, serving) -> None:
    keyed = {"Idempotency-Key": "on a full disk"}
    with serving(shop) as client:
        answered = [client.post("/v1/recommend", json={"customer": "c000"}).json()["decision_id"] for _ in range(5)]
        worker = workers(client)[0].pid
        _, hard = resource.prlimit(worker, resource.RLIMIT_FSIZE)
        (segment,) = (Path(file.path) for file in psutil.Process(worker).open_files() if file.path.endswith(".segment"))
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (segment.stat().st_size + 5_000, hard))
        statuses = []
        while 503 not in statuses:
            answer = client.post("/v1/recommend", json={"customer": "c000"})
            statuses.append(answer.status_code)
            if answer.status_code == 200:
                answered.append(answer.json()["decision_id"])
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (segment.stat().st_size, hard))  # a shorter row fits no more
        full = [client.post("/v1/recommend", json={"customer": "c000"}) for _ in range(5)]
        full += [client.post("/api/recommend", json={"request": {"customer": "c000"}}), answer]
        full += [client.post("/v1/offers/select", json={"customer": "c001"}, headers=keyed)]
        assert {one.status_code for one in full} == {503}
        assert {one.json()["code"] for one in full} == {"not_journalled"}
        assert all("could not be written" in one.json()["message"] for one in full)
        assert client.get("/livez").status_code == 200
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (hard, hard))
        again = [client.post("/v1/recommend", json={"customer": "c000"}) for _ in range(5)]
        again += [client.post("/v1/offers/select", json={"customer": "c001"}, headers=keyed)]
        assert {one.status_code for one in again} == {200}
        answered += [one.json()["decision_id"] for one in again]
        time.sleep(1)  # the journal commits in groups
        assert set(answered) - journalled(shop) == set()
        os.kill(worker, signal.SIGKILL)
    assert set(answered) - journalled(shop) == set()


def test_two_workers_lose_no_decision(shop: Workspace, serving) -> None:
    with serving(shop, "--workers", "2") as client:
        ids = {client.post("/v1/recommend", json={"customer": "c000"}).json()["decision_id"] for _ in range(100)}
        time.sleep(0.6)
        segments = list((shop.state / "journal").glob("*.segment"))
    assert len(ids) == 100
    assert ids - journalled(shop) == set()
    assert len(segments) >= 2  # one per worker
