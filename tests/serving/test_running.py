"""`attune doctor --url`: what a service says of itself, in one line each.

The troubled service is a server that answers the three paths with what a service in trouble would.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from features.doctor import BROKEN, FINE, STALE, Check, installed
from features.running import asked

TROUBLED = """\
# TYPE bentoml_service_request_total counter
bentoml_service_request_total{endpoint="/v1/recommend",http_response_code="200"} 90.0
bentoml_service_request_total{endpoint="/v1/recommend",http_response_code="503"} 10.0
# TYPE attune_decisions_total counter
attune_decisions_total{fallback="yes",kind="recommend",policy="top-k"} 80.0
attune_decisions_total{fallback="no",kind="recommend",policy="top-k"} 10.0
# TYPE attune_ledger_up gauge
attune_ledger_up 0.0
# TYPE attune_features_behind_seconds gauge
attune_features_behind_seconds 4000.0
# TYPE attune_unclosed_seconds gauge
attune_unclosed_seconds 300000.0
# TYPE attune_waiting gauge
attune_waiting{queue="journal"} 20000.0
attune_waiting{queue="intake"} 3.0
# TYPE attune_journal_segments gauge
attune_journal_segments 5.0
# TYPE attune_workers gauge
attune_workers 2.0
# TYPE attune_offer_spent gauge
attune_offer_spent{offer="coupon"} 95.0
# TYPE attune_offer_budget gauge
attune_offer_budget{offer="coupon"} 100.0
"""


def ready(**more: object) -> dict[str, object]:
    """What `/v1/ready` of a service without any trouble says."""
    told = {"releases": {}, "challengers": {}, "refused": {}, "degraded": [], "version": installed()}
    return {**told, "time": datetime.now(UTC).isoformat(), **more}


@contextmanager
def answering(answers: dict[str, tuple[int, str]]) -> Iterator[str]:
    """The address of a server that answers these paths so, and others with 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:  # the library's name
            status, text = answers.get(self.path, (404, ""))
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            return

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def found(said: dict[str, object], metrics: str = "") -> list[Check]:
    answers = {"/readyz": (200, ""), "/v1/ready": (200, json.dumps(said)), "/metrics": (200, metrics)}
    with answering(answers) as url:
        return asked(url, None)


def doctor(*words: str) -> tuple[int, list[str]]:
    """The exit code of the verb, and its lines."""
    done = subprocess.run(
        [sys.executable, "-m", "serving.cli", "doctor", *words], capture_output=True, text=True, check=False
    )
    return done.returncode, (done.stdout + done.stderr).splitlines()


def test_a_running_service_is_asked_for_its_releases_clock_and_metrics(service: httpx.Client) -> None:
    told = {one.what: one for one in asked(str(service.base_url), None)}
    assert [told[what].state for what in ("ready", "clock", "version")] == [FINE, FINE, FINE]
    assert "neighbours, version 1" in told["recommender release"].found
    assert told["uplift release"].state == STALE
    assert not any(one.state == BROKEN for one in told.values())


def test_the_verb_shows_a_line_per_finding(service: httpx.Client) -> None:
    code, lines = doctor("--url", str(service.base_url))
    assert code == 0
    assert all(line.split()[0] in {FINE, STALE} for line in lines)


def test_a_wrong_address_is_one_line() -> None:
    assert doctor("--url", "127.0.0.1:3000")[0] == 2
    code, lines = doctor("--url", "http://127.0.0.1:9")
    assert (code, len(lines)) == (1, 1)
    assert "http://127.0.0.1:9: cannot be asked" in lines[0]


def test_a_service_that_is_well_has_nothing_wrong() -> None:
    assert {one.state for one in found(ready())} == {FINE}


def test_what_of_the_metrics_looks_wrong_is_told() -> None:
    told = {one.what: one for one in found(ready(), TROUBLED)}
    assert {what for what, one in told.items() if one.state == BROKEN} == {"ledger"}
    stale = {what for what, one in told.items() if one.state == STALE}
    assert stale == {"features", "worker", "journal", "requests", "decisions", "offer coupon"}
    assert "10 of 100 failed" in told["requests"].found


@pytest.mark.parametrize(
    ("more", "what", "words"),
    [
        ({"time": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "clock", "ahead of"),
        ({"version": "9.9"}, "version", "9.9"),
        ({"refused": {"workspace": "offers.yaml: wrong"}}, "refused", "offers.yaml: wrong"),
        ({"degraded": ["decisions wait"]}, "degraded", "decisions wait"),
        (
            {"releases": {"uplift": {"name": "t", "version": "3", "age_days": 90, "as_of": None}}},
            "uplift release",
            "90 days ago",
        ),
    ],
)
def test_what_the_service_says_is_wrong_is_told(more: dict[str, object], what: str, words: str) -> None:
    (told,) = [one for one in found(ready(**more)) if one.what == what]
    assert told.state == STALE
    assert words in told.found


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"/readyz": (200, ""), "/v1/ready": (401, '{"code": "no_key", "message": "a key is needed"}')}, "a key is"),
        ({}, "is this Attune"),
        ({"/v1/ready": (200, "<html>")}, "install the same on both"),
    ],
)
def test_who_does_not_answer_as_attune_does_is_one_broken_line(answers: dict[str, tuple[int, str]], words: str) -> None:
    with answering(answers) as url:
        last = asked(url, "key")[-1]
    assert (last.what, last.state) == ("service", BROKEN)
    assert words in last.found
