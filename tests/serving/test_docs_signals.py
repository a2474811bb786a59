"""What docs/signals.md says to do works as written, with a key of the service's workspace."""

import json
import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from features.history import live_events
from features.keys import create
from features.ledger import Ledger
from features.workspace import Workspace

PAGE = (Path(__file__).parents[2] / "docs" / "signals.md").read_text()
OURS = "http://127.0.0.1:3000"


@pytest.fixture(scope="module")
def key(shop: Workspace) -> str:
    return create(Ledger.at(shop.ledger), "docs", "send", datetime.now(UTC))


def test_every_curl_line_is_taken(service: httpx.Client, key: str) -> None:
    lines = re.findall(r"^curl .*$", PAGE, flags=re.MULTILINE)
    assert len(lines) == 5
    for line in lines:
        ours = line.replace(OURS, str(service.base_url).rstrip("/")).replace("WRITE_KEY", key)
        done = subprocess.run(["bash", "-c", ours], capture_output=True, text=True, check=True)
        assert json.loads(done.stdout)["success"] is True, line
        assert json.loads(done.stdout)["stored"] == 1, line


def test_every_python_example_delivers(service: httpx.Client, shop: Workspace, key: str) -> None:
    examples = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    assert len(examples) == 2
    for example in examples:
        given = {"WRITE_KEY": key}
        text = example.replace(OURS, str(service.base_url).rstrip("/"))
        exec(compile(text, "docs/signals.md", "exec"), given)  # noqa: S102  # our own page
        given["client"].join()
    query = select(live_events.c.body).where(live_events.c.customer == "anna").order_by(live_events.c.sequence)
    with Ledger.at(shop.ledger).read() as connection:
        rows = [json.loads(body) for body in connection.execute(query).scalars()]
    names = [row["name"] for row in rows if row["source"] == "docs"]
    assert names[-3:] == ["Identify", "Product Viewed", "Product Added"]
