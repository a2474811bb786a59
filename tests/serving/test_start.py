"""What stops the service from starting is one line; a missing release does not stop it."""

import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from features.workspace import Workspace, create


def refused(*words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "serving.cli", "serve", *words], capture_output=True, text=True, check=False
    )
    assert done.stderr.count("\n") == 1, done.stderr
    return done.returncode, done.stderr


def test_a_port_in_use_is_one_line(tmp_path: Path) -> None:
    create(tmp_path / "shop")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        code, line = refused("-w", str(tmp_path / "shop"), "--port", port)
    assert code == 1
    assert f"port {port}" in line


def test_a_host_beyond_the_loopback_is_refused(tmp_path: Path) -> None:
    create(tmp_path / "shop")
    code, line = refused("-w", str(tmp_path / "shop"), "--host", "0.0.0.0")  # noqa: S104  # refused
    assert code == 2
    assert "loopback" in line


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("offers.yaml", "offers: [{key: mail, name: A letter, cots: 1}]", "cots"),
        (
            "slots/new.yaml",
            "kind: web\nelements:\n  head:\n    default: '{{ nope }}'",
            "new.yaml:4: Liquid knows no name",
        ),
        ("slots/new.yaml", "kind: web\nelements: {head: {defualt: Hi}}", "did you mean 'default'"),
        ("templates/new.liquid", "one\n{% for %}", "templates/new.liquid:2: "),
        ("experiments/new.yaml", "key: new\narms: {a: 0.5, b: 0.6}", "sum to 1"),
        ("catalog.csv", "name,price\nGreen tea,4.0\n", "item"),
        ("attune.yaml", "name: shop\ncurency: EUR", "did you mean 'currency'"),
    ],
)
def test_a_wrong_file_of_the_workspace_is_one_line(tmp_path: Path, file: str, text: str, words: str) -> None:
    create(tmp_path / "shop")
    (tmp_path / "shop" / file).write_text(text)
    code, line = refused("-w", str(tmp_path / "shop"))
    assert code == 2
    assert words in line


def test_without_a_release_the_service_starts_and_says_what_is_missing(tmp_path: Path, serving) -> None:
    with serving(create(tmp_path / "shop")) as client:
        answer = client.post("/v1/offers/select", json={})
        assert (answer.status_code, answer.json()["offer"], answer.json()["probability"]) == (200, None, 1.0)
        assert "attune promote" in answer.json()["fallback"]
        again = client.post("/api/offers/select", json={"request": {}}).json()
        assert again | {"decision_id": ""} == answer.json() | {"decision_id": ""}
        told = client.post("/v1/recommend", json={}).json()
        assert (told["items"], told["model"]) == ([], None)
        assert "attune promote" in told["fallback"]
        assert told["reason"] == "no item is known: import a log or a catalogue"
        assert client.post("/v1/experiments/checkout-badge/assign", json={"customer": "a"}).status_code == 200


def test_an_answered_request_is_neither_logged_nor_traced(shop: Workspace, service: httpx.Client) -> None:
    """BentoML's middlewares for both cost more than most answers; the journal says what was decided."""
    assert service.post("/v1/recommend", json={"k": 1}).status_code == 200
    log = next(shop.state.glob(f"service-{service.base_url.port}.log")).read_text()
    assert "initialized" in log
    assert "/v1/recommend" not in log
    program = (
        "from bentoml._internal.configuration.containers import BentoMLContainer as given; "
        "from serving.service import Attune; Attune.inject_config(); "
        "assert given.tracing_excluded_urls.get().url_disabled('http://127.0.0.1/v1/recommend')"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
