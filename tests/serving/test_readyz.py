"""`/readyz` says to anybody what is degraded, by name, and nothing of anybody or of where things are."""

import asyncio
import re
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response

from features.interactions import Interactions
from features.workspace import Workspace, create
from serving.http.api import Door
from serving.http.app import Routes
from training.recommenders.popularity import Popularity
from training.release import MODEL, point, save_model, write_release


def test_what_was_never_released_is_absent(tmp_path: Path, serving) -> None:
    with serving(create(tmp_path / "shop")) as client:
        answer = client.get("/readyz")
        assert answer.json() == {"ready": True, "degraded": ["recommender absent", "uplift absent"]}
        assert answer.headers["content-type"] == "application/json"
        assert client.head("/readyz").status_code == 200
        assert client.post("/readyz").status_code == 405


def test_what_is_refused_or_too_old_is_told_until_it_is_right(untouched: Workspace, tmp_path: Path, serving) -> None:
    shutil.copytree(untouched.folder, tmp_path / "shop")
    shop = Workspace.open(tmp_path / "shop")
    settings, offers = shop.folder / "attune.yaml", shop.folder / "offers.yaml"
    whole = offers.read_text()
    with serving(shop) as client:
        assert client.get("/readyz").json() == {"ready": True, "degraded": []}
        settings.write_text(settings.read_text() + "\nmax_model_age_days: 1\n")
        offers.write_text("offers: [{key: mail, cots: 1}]")
        until(client, {"workspace refused"})
        offers.write_text(whole)
        until(client, {"recommender too old", "uplift too old"})
        corrupt(shop)
        until(client, {"recommender refused", "recommender too old", "uplift too old"})


def corrupt(shop: Workspace) -> None:
    """Promotes a version 2 whose model is not what its manifest says."""
    folder = shop.runs / "r1" / "registered-2"
    model = Popularity().fit(Interactions.load(shop.runs / "r1"))
    save_model(model, folder, {"kind": "recommender", "name": "popularity", "as_of": "2026-01-31T00:00:00"})
    write_release(shop, folder, version="2", run_id="r1", facts={})
    broken = next(path for path in (shop.releases / "recommender" / "2" / MODEL).rglob("*") if path.is_file())
    broken.write_bytes(broken.read_bytes()[:-1] + b"?")
    point(shop, "recommender", "2")


def until(client: httpx.Client, names: set[str]) -> None:
    """Returns when these are degraded; each is told in plain words."""
    deadline = time.monotonic() + 60
    while True:
        answer = client.get("/readyz")
        assert answer.status_code == 200
        assert all(re.fullmatch("[a-z ]+", one) for one in answer.json()["degraded"])
        if set(answer.json()["degraded"]) == names:
            return
        assert time.monotonic() < deadline, answer.text
        time.sleep(0.3)


def test_who_has_nothing_to_answer_from_is_not_ready() -> None:
    routes = Routes(lambda: datetime.now(UTC))
    door = Door(Response("BentoML's"), routes.keys, routes.probe, routes.now)

    async def asked() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(door), base_url="http://shop") as client:
            return await client.get("/readyz")

    answer = asyncio.run(asked())
    assert (answer.status_code, answer.json()["code"]) == (503, "starting")


@pytest.mark.parametrize("path", ["/livez", "/healthz"])
def test_other_probes_are_bentomls(service: httpx.Client, path: str) -> None:
    assert service.get(path).text.strip() == ""
