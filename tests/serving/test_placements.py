"""Placements over HTTP: one that is not there is refused by its name, on every route that takes one."""

from typing import Any

import httpx
import pytest

ROUTES: list[tuple[str, dict[str, Any]]] = [
    ("", {"customer": "c000"}),
    ("", {}),
    ("/basket", {"cart": ["green"]}),
    ("/similar", {"item": "green"}),
    ("/batch", {"customers": ["c000", "c001"]}),
]


@pytest.mark.parametrize(("path", "body"), ROUTES)
@pytest.mark.parametrize(
    ("key", "hint"),
    [("home-pag", "did you mean 'home-page'?"), ("zzz", "known are ["), ("☕" * 256, "known are [")],
)
def test_an_unknown_placement_is_refused_by_name(
    service: httpx.Client, path: str, body: dict[str, Any], key: str, hint: str
) -> None:
    answer = service.post(f"/v1/recommend{path}", json=body | {"placement": key})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    message = answer.json()["message"]
    assert message.startswith(f"placement == '{key[:70]}")  # what is long is cut
    assert hint in message
    known = service.post(f"/v1/recommend{path}", json=body | {"placement": "home-page"})
    assert known.status_code == 200, known.text


@pytest.mark.parametrize(("path", "body"), ROUTES)
@pytest.mark.parametrize("key", ["", 7, ["home-page"], "home\npage", "x" * 257])
def test_what_is_no_placements_name_is_refused_by_name(
    service: httpx.Client, path: str, body: dict[str, Any], key: object
) -> None:
    answer = service.post(f"/v1/recommend{path}", json=body | {"placement": key})
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_request")
    assert answer.json()["message"].startswith("placement == ")
