"""Roles: no route is without one, and what a page may ask is no more than what is meant."""

import json
import subprocess
import sys
from datetime import UTC, datetime

import httpx
import pytest
from starlette.routing import Route

from features.keys import DECIDE, SEND
from serving.http.app import Routes
from serving.http.guarded import guarded
from serving.http.openapi import document
from serving.http.roles import NEEDED, OPEN, PAGES, SIGNED


def routes() -> Routes:
    return Routes(lambda: datetime.now(UTC))


PROGRAM = """
import json
from starlette.applications import Starlette
from starlette.routing import Route
from serving.service import Attune

def found(app, prefix=""):
    for route in app.routes:
        path = prefix + route.path.replace(":path", "")
        if isinstance(route, Route):
            yield from ([path, method.lower()] for method in route.methods or ())
        elif isinstance(route.app, Starlette):
            yield from found(route.app, path)
        else:
            yield [path, "get"]

print(json.dumps(sorted(found(Attune.to_asgi(is_main=True)))))
"""
CLOSED = {"/docs.json", "/static_content"}  # what BentoML shows of itself; the door lets nobody in
UNKNOWN = {"/v1/{path}", "/reports/{path}"}  # whatever is no route: 404 names the nearest one, or the list
ASIDE = {"head", "options"}  # about an answer, and what browsers ask beforehand


@pytest.fixture(scope="module")
def mounted() -> set[tuple[str, str]]:
    """Path and method of every route of the app that the service runs, ours and BentoML's."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    every = {(path, method) for path, method in json.loads(done.stdout.splitlines()[-1])}
    assert {path for path, _ in every} > CLOSED | UNKNOWN
    return {(path, method) for path, method in every if path not in CLOSED | UNKNOWN and method not in ASIDE}


def test_every_route_has_a_role_and_every_role_a_route(mounted: set[tuple[str, str]]) -> None:
    assert {path for path, _ in mounted} == set(NEEDED)


def test_the_openapi_describes_every_route_and_no_other(mounted: set[tuple[str, str]]) -> None:
    assert {(path, method) for path, one in document()["paths"].items() for method in one} == mounted


def test_what_bentoml_shows_of_itself_is_answered_to_nobody(service: httpx.Client) -> None:
    for path in (*CLOSED, "/static_content/index.css"):
        assert service.get(path).status_code == 404


def test_a_route_without_a_role_cannot_be_mounted() -> None:
    with pytest.raises(KeyError, match="/v1/new"):
        guarded("/v1", [Route("/new", routes().openapi)], routes().keys, routes().now)


def test_a_page_may_ask_for_decisions_and_send_one_by_one_and_nothing_else() -> None:
    assert {NEEDED[path] for path in PAGES} == {DECIDE, SEND}
    assert not {path for path in PAGES if "batch" in path or "import" in path or "alias" in path or "/api/" in path}
    assert not {"/v1/b", "/v1/a"} & PAGES


def test_the_openapi_says_of_each_route_what_it_needs() -> None:
    described = {
        (path, method): operation
        for path, operations in document()["paths"].items()
        for method, operation in operations.items()
    }
    assert described
    for (path, _), operation in described.items():
        keyless = NEEDED[path] in (OPEN, SIGNED) or ("{key}" in path and NEEDED[path] == SEND)
        assert bool(operation.get("security")) != keyless, path
        if not keyless:
            assert NEEDED[path] in operation["description"]
            assert {"401", "403", "429"} <= set(operation["responses"])
        assert any("token" in one for one in operation.get("security", [])) == (path in PAGES), path
