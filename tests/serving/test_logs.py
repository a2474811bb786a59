"""With `--log json` each line is an object; each request has one, with its decision and nothing of what was asked."""

import json
import logging
import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from features.workspace import Workspace
from serving.http.logs import Lines


def test_each_request_is_a_line_with_its_route_and_decision(untouched: Workspace, tmp_path: Path, serving) -> None:
    shutil.copytree(untouched.folder, tmp_path / "shop")
    shop = Workspace.open(tmp_path / "shop")
    keyed = {"Idempotency-Key": "once"}
    with serving(shop, "--log", "json") as client:
        answers = [
            client.post("/v1/recommend", json={"customer": "c000"}),
            client.post("/v1/recommend", json={"customer": "c000"}, headers=keyed),
            client.post("/v1/recommend", json={"customer": "c000"}, headers=keyed),
            client.post("/api/offers/select", json={"request": {"customer": "c001"}}),
            client.get("/v1/customers/c000"),
            client.post("/v1/recommend", json={"custmer": "c000"}),
            client.get("/metrics"),
        ]
        port = client.base_url.port
    lines = [json.loads(line) for line in (shop.state / f"service-{port}.log").read_text().splitlines()]
    assert all(line.keys() >= {"time", "level", "logger"} for line in lines)
    told = [line for line in lines if line["logger"] == "attune.request"]
    assert [line.get("decision_id") for line in told] == [one.json().get("decision_id") for one in answers[:6]]
    assert [line["status"] for line in told] == [200, 200, 200, 200, 200, 400]
    assert told[4]["route"] == "/v1/customers/{customer}"
    assert all(0 < line["ms"] < 10_000 for line in told)
    assert all(datetime.fromisoformat(line["time"]) <= datetime.now(UTC) for line in told)
    said = json.dumps([{**line, "decision_id": None} for line in lines])  # an id of chance may hold any letters
    assert [private for private in ("c000", "c001", "custmer", "Idempotency") if private in said] == []
    assert "127.0.0.1" not in json.dumps(told)


def test_an_error_is_one_line_with_its_place() -> None:
    try:
        raise KeyError
    except KeyError:
        record = logging.LogRecord("attune.test", logging.ERROR, __file__, 1, "it %s", ("failed",), sys.exc_info())
    line = json.loads(Lines().format(record))
    assert (line["level"], line["logger"], line["message"]) == ("error", "attune.test", "it failed")
    assert "test_logs.py" in line["trace"]
