"""A real service of two workers is asked without a pause while releases come, bad ones among them, and files change.

Version 1 of the recommender is `neighbours`, version 2 `popularity`; of version 3 a file is corrupt.
"""

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from features.interactions import Interactions
from features.workspace import Workspace
from training.recommenders.popularity import Popularity
from training.release import MODEL, point, save_model, write_release

PAUSE = 0.02  # seconds between two requests of one client: bounded load


@pytest.fixture(scope="module")
def own(untouched: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("swapped") / "shop"
    shutil.copytree(untouched.folder, folder)
    workspace = Workspace.open(folder)
    model = Popularity().fit(Interactions.load(workspace.runs / "r1"))
    for version in ("2", "3"):
        registered = folder / f"registered-{version}"
        save_model(model, registered, {"kind": "recommender", "name": "popularity", "as_of": "2026-01-31T00:00:00"})
        write_release(workspace, registered, version=version, run_id="r1", facts={})
    broken = next(path for path in (workspace.releases / "recommender/3" / MODEL).rglob("*") if path.is_file())
    broken.write_bytes(broken.read_bytes()[:-1] + b"?")
    return workspace


@pytest.fixture(scope="module")
def client(own: Workspace, serving) -> Iterator[httpx.Client]:
    with serving(own, "--workers", "2") as found:
        yield found


def settled(client: httpx.Client, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """What `/v1/ready` says, once it holds for long enough that every worker said so."""
    deadline, row, found = time.monotonic() + 300, 0, {}
    while row < 12:
        assert time.monotonic() < deadline, found
        found = httpx.get(f"{client.base_url}/v1/ready", timeout=10).json()  # a connection of its own: any worker
        row = row + 1 if holds(found) else 0
        time.sleep(0.1)
    return found


def asking(client: httpx.Client, stop: threading.Event, into: list[Any]) -> None:
    while not stop.is_set():
        try:
            answer = httpx.post(f"{client.base_url}/v1/recommend", json={"history": ["green"], "k": 3}, timeout=10)
            into.append((answer.status_code, answer.json()))
        except httpx.HTTPError as error:
            into.append((repr(error), {}))
        time.sleep(PAUSE)


def test_releases_and_rules_change_under_load_without_a_failed_request(own: Workspace, client: httpx.Client) -> None:
    stop, answers = threading.Event(), []
    threads = [threading.Thread(target=asking, args=(client, stop, answers)) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for version in ("2", "1", "2"):
            point(own, "recommender", version)
            settled(client, lambda found, version=version: found["releases"]["recommender"]["version"] == version)
        point(own, "recommender", "3")
        refused = settled(client, lambda found: "recommender" in found["refused"])
        (own.folder / "experiments" / "new.yaml").write_text("key: new\narms: {a: 0.5, b: 0.5}")
        changed = settled(client, lambda found: found["workspace_hash"] != refused["workspace_hash"])
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert "checksum" in refused["refused"]["recommender"]
    assert refused["releases"]["recommender"]["version"] == "2"
    assert changed["workspace_hash"] == Workspace.open(own.folder).hash
    assert {status for status, _ in answers} == {200}
    shown: dict[str, set[tuple[str, ...]]] = {}
    for _, answer in answers:
        assert answer["model"] == {"1": "neighbours", "2": "popularity"}[answer["model_version"]]
        shown.setdefault(answer["model_version"], set()).add(tuple(item["item"] for item in answer["items"]))
    assert {version: len(lists) for version, lists in shown.items()} == {"1": 1, "2": 1}  # each of one release, whole
    assert client.post("/v1/experiments/new/assign", json={"customer": "c000"}).status_code == 200
    assert client.get("/readyz").status_code == 200
    log = next(own.state.glob(f"service-{client.base_url.port}.log")).read_text()
    assert "recommender refused, what was there before stays" in log
