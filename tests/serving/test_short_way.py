"""What is asked most goes from BentoML's metrics straight to its endpoint; all the rest goes its way.

metrics -> Short -> the endpoint                        what is straight
                 -> middleware -> the app under /v1     the rest
"""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from features.workspace import Workspace
from serving.decisions.state import State
from serving.http.api import Short
from serving.http.app import Routes
from tests.serving.conftest import START

PATH = "/v1/offers/select"


class Around:
    """What stands around the app, and what it saw."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.seen = app, list[str]()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.seen.append(f"{scope['method']} {scope['path']}")
        await self.app(scope, receive, send)


@pytest.fixture
def routes(untouched: Workspace, tmp_path: Path) -> Iterator[Routes]:
    shutil.copytree(untouched.folder, tmp_path / "shop")
    routes, state = Routes(lambda: START), State.of(Workspace.open(tmp_path / "shop"))
    routes.state = state
    yield routes
    routes.state = None
    assert state.intake is not None
    assert state.journal is not None
    state.intake.close()
    state.journal.close()


def asked(app: ASGIApp, method: str, path: str, **given: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **given)

    return asyncio.run(ask())


def both(routes: Routes) -> tuple[Short, Around]:
    """The short way, and the long one that it may leave out."""
    around = Around(Starlette(routes=[Mount("/v1", routes.app())]))
    return Short(around, routes.straight), around


def test_an_answer_of_the_short_way_is_written_down(routes: Routes) -> None:
    short, around = both(routes)
    answer = asked(short, "POST", PATH, json={"customer": "c000"})
    assert answer.status_code == 200
    assert routes.state is not None
    assert routes.state.journal is not None
    routes.state.journal.commit()
    assert routes.state.journal.committed(answer.json()["decision_id"])
    assert not around.seen


@pytest.mark.parametrize(
    "given",
    [
        {"content": b"{"},
        {"json": ["c000"]},
        {"json": {"customer": 7}},
        {"json": {"customr": "c000"}},
        {"json": {"customer": "c000"}, "headers": {"origin": "https://elsewhere.example"}},
        {"json": {"customer": "c000"}, "headers": {"authorization": "Bearer of nothing"}},
    ],
)
def test_what_is_refused_is_refused_alike_on_both_ways(routes: Routes, given: dict[str, Any]) -> None:
    short, around = both(routes)
    straight, long = (asked(app, "POST", PATH, **given) for app in (short, around))
    assert straight.status_code >= 400
    assert (straight.status_code, straight.json(), straight.headers) == (long.status_code, long.json(), long.headers)
    assert around.seen == [f"POST {PATH}"]


def test_what_nobody_foresaw_is_answered_in_our_words(routes: Routes) -> None:
    def broken() -> Any:
        raise RuntimeError("the clock stands still")

    short, around = both(routes)
    routes.now = broken
    answer = asked(short, "POST", PATH, json={"customer": "c000"})
    assert (answer.status_code, answer.json()["code"]) == (500, "failed")
    assert not around.seen


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/v1/recommend", {}),  # the shop's model compares customers: it is not quick
        ("POST", "/v1/decide", {}),
        ("POST", PATH, {"idempotency-key": "k"}),
        ("GET", PATH, {}),
    ],
)
def test_what_may_wait_goes_the_long_way(routes: Routes, method: str, path: str, headers: dict[str, str]) -> None:
    short, around = both(routes)
    asked(short, method, path, json={"customer": "c000"}, headers=headers)
    assert around.seen == [f"{method} {path}"]


def test_nor_may_a_challenger_wait(routes: Routes) -> None:
    assert routes.state is not None
    short, around = both(routes)
    counted = tuple(one.model_copy(update={"stock": 9}) for one in routes.state.offers)
    beside = replace(routes.state, offers=counted)
    routes.state = replace(routes.state, variants={("uplift",): beside})
    asked(short, "POST", PATH, json={"customer": "c000"})
    assert around.seen == [f"POST {PATH}"]


def test_a_service_that_knows_nothing_yet_says_so(routes: Routes) -> None:
    short, around = both(routes)
    state, routes.state = routes.state, None
    assert asked(short, "POST", PATH, json={"customer": "c000"}).status_code == 503
    assert around.seen == [f"POST {PATH}"]
    routes.state = state
