"""Roles: no route is without one, and what a page may ask is no more than what is meant."""

from datetime import UTC, datetime

import pytest
from starlette.routing import Route

from features.keys import DECIDE, SEND
from serving.http.api import CALLS
from serving.http.app import Routes
from serving.http.guarded import guarded
from serving.http.openapi import document
from serving.http.roles import NEEDED, OPEN, PAGES, SIGNED


def routes() -> Routes:
    return Routes(lambda: datetime.now(UTC))


def mounted() -> set[str]:
    """Every path that is answered."""
    mine = {f"/v1{route.path.replace(':path', '')}" for route in routes().known}
    pages = {f"/reports{route.path}" for route in routes().sources.pages()}
    return mine | pages | set(CALLS) | {"/", "/livez", "/readyz", "/healthz", "/metrics", "/schema.json"}


def test_every_route_has_a_role_and_every_role_a_route() -> None:
    assert mounted() == set(NEEDED)


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
