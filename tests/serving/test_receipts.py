"""Receipts over HTTP: signed by the standard, or refused; the secret is in no log."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

from features.history import read_events
from features.workspace import Workspace

PATH = "/v1/receipts/mailer"
OPENED = {"type": "email.opened", "data": {"customer": "c000", "email_id": "m1", "user_agent": "Mozilla/5.0"}}
NO_TIMES = ("lately", "1969-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00")


def attune(*words: str, **environment: str) -> str:
    command = [str(Path(sys.executable).with_name("attune")), *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=True, env=os.environ | environment
    ).stdout.strip()


@pytest.fixture(scope="module")
def copied(shop: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("receipts") / "shop"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("ledger.db*", "journal"))
    return Workspace.open(folder)


@pytest.fixture(scope="module")
def secret(copied: Workspace) -> str:
    return attune("keys", "webhook", "mailer", "-w", str(copied.folder))


@pytest.fixture(scope="module")
def client(
    copied: Workspace, secret: str, serving: Callable[..., AbstractContextManager[httpx.Client]]
) -> Iterator[httpx.Client]:
    with serving(copied) as client:
        yield client


def sent(
    client: httpx.Client, secret: str, body: bytes, name: str = "w1", age: float = 0, instead: bytes | None = None
) -> httpx.Response:
    """The answer to this body, or to another one `instead` under its signature."""
    time = datetime.now(UTC) - timedelta(seconds=age)
    signature = Webhook(secret).sign(name, time, body.decode("utf-8", "replace"))
    stamp = str(int(time.timestamp()))
    headers = {"webhook-id": name, "webhook-timestamp": stamp, "webhook-signature": signature}
    return client.post(PATH, content=instead or body, headers=headers)


def body(**fields: object) -> bytes:
    return json.dumps(OPENED | {"timestamp": datetime.now(UTC).isoformat()} | fields).encode()


def test_a_signed_report_is_an_event(client: httpx.Client, secret: str, copied: Workspace) -> None:
    told = sent(client, secret, body()).json()
    assert (told["accepted"], told["event"]) == (1, "Email Opened")
    assert "apple-mpp" in told["machine"]
    assert sent(client, secret, body()).json()["accepted"] == 0
    names = read_events(copied).before(datetime(2100, 1, 1)).to_pyarrow()["name"].to_pylist()
    assert names.count("Email Opened") == 1


@pytest.mark.parametrize("change", ["body", "secret", "old", "future", "none", "odd", "bytes"])
def test_what_is_not_signed_lately_with_the_secret_is_refused(client: httpx.Client, secret: str, change: str) -> None:
    other = "whsec_" + "b" * 32
    time = str(int(datetime.now(UTC).timestamp()))
    odd = {"webhook-id": "w9", "webhook-timestamp": time, "webhook-signature": "v1"}
    answers = {
        "body": lambda: sent(client, secret, body(), instead=body(type="email.sent")),
        "secret": lambda: sent(client, other, body()),
        "old": lambda: sent(client, secret, body(), age=600),
        "future": lambda: sent(client, secret, body(), age=-600),
        "none": lambda: client.post(PATH, content=body()),
        "odd": lambda: client.post(PATH, content=body(), headers=odd),
        "bytes": lambda: client.post(PATH, content=b"\xff", headers=odd),
    }
    answer = answers[change]()
    assert (answer.status_code, answer.json()["code"]) == (401, "wrong_signature")


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"[]",
        b"{",
        body(data={}),
        body(type=""),
        body(data={"customer": 7}),
        *(body(timestamp=time) for time in NO_TIMES),
        *(body(data={"customer": "c000", "delivered_at": time}) for time in NO_TIMES),
    ],
    ids=[
        "nothing",
        "list",
        "torn",
        "of-nobody",
        "no-type",
        "number",
        *NO_TIMES,
        *(f"delivered {time}" for time in NO_TIMES),
    ],
)
def test_a_signed_body_that_is_no_report_is_400(client: httpx.Client, secret: str, content: bytes) -> None:
    answer = sent(client, secret, content, name="w2")
    assert (answer.status_code, set(answer.json())) == (400, {"code", "message"})


def test_an_unknown_source_and_another_method_are_refused(client: httpx.Client) -> None:
    assert client.post("/v1/receipts/nobody", content=body()).status_code == 404
    assert client.get(PATH).status_code == 405


def test_the_secret_is_shown_once_and_is_in_no_log(copied: Workspace, secret: str, client: httpx.Client) -> None:
    own = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert attune("keys", "webhook", "other", "-w", str(copied.folder), ATTUNE_WEBHOOK_SECRET=own) == "other: kept"
    assert secret not in attune("keys", "list", "-w", str(copied.folder))
    for log in copied.state.glob("service-*.log"):
        assert secret not in log.read_text()


def test_a_secret_that_is_none_is_refused_without_being_shown(copied: Workspace) -> None:
    short = "whsec_c2hvcnQ="
    with pytest.raises(subprocess.CalledProcessError) as told:
        attune("keys", "webhook", "other", "-w", str(copied.folder), ATTUNE_WEBHOOK_SECRET=short)
    assert "must be 24 to 64" in told.value.stderr
    assert "c2hvcnQ" not in told.value.stderr
