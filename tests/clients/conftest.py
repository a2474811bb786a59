"""The shop of tests/serving/conftest.py with a key of every role, its service, and what its ledger then holds."""

import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from features.decisions import decisions
from features.history import live_events
from features.keys import DECIDE, READ, SEND, create
from features.ledger import Ledger
from features.workspace import Workspace
from tests.serving.conftest import serving, untouched  # noqa: F401  # a fixture that pytest finds by its name

SLOT = """\
kind: web
elements:
  headline: {default: Welcome}
  text: {default: Look around}
  image: {default: /default.png}
contents:
  - key: everybody
    elements:
      headline: [{key: bold, text: "<b>Hello</b> <script>harm()</script>"}]
      text: [{key: more, text: '<a href="javascript:harm()" onclick="harm()">More</a><img src=x onerror="harm()">'}]
      image: [{key: tea, text: "/tea.png?a=1&amp;b=2"}]
"""
PLAIN = """\
kind: in-app
elements: {headline: {default: Welcome}}
contents:
  - {key: everybody, elements: {headline: [{key: bold, text: "<b>Hello</b>"}]}}
"""


@dataclass(frozen=True)
class Place:
    """A running service and its ledger."""

    workspace: Workspace
    ledger: Ledger
    url: str
    keys: dict[str, str]

    def events(self, who: str) -> list[dict[str, Any]]:
        """The live events of a customer or a device, as they came."""
        mine = (live_events.c.customer == who) | live_events.c.body.contains(f'"anonymous":"{who}"')
        with self.ledger.read() as connection:
            found = connection.execute(select(live_events.c.body).where(mine).order_by(live_events.c.sequence))
            return [json.loads(body) for body in found.scalars()]

    def awaited(self, who: str, count: int, seconds: float = 15) -> list[dict[str, Any]]:
        """The events once there are so many, or no more time."""
        deadline = time.monotonic() + seconds
        while len(found := self.events(who)) < count and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def decided(self, who: str) -> list[str]:
        """The ids of the decisions for a customer or a device, once the journal has committed them."""
        time.sleep(1)  # it commits in groups
        with self.ledger.read() as connection:
            query = select(decisions.c.decision_id).where(decisions.c.customer == who)
            return list(connection.execute(query).scalars())


@pytest.fixture(scope="session")
def place(untouched: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:  # noqa: F811  # see above
    folder: Path = tmp_path_factory.mktemp("asked") / "shop"
    shutil.copytree(untouched.folder, folder)
    (folder / "slots" / "block.yaml").write_text(SLOT)
    (folder / "slots" / "prompt.yaml").write_text(PLAIN)
    workspace = Workspace.open(folder)
    ledger = Ledger.at(workspace.ledger)
    keys = {role: create(ledger, role, role, datetime.now(UTC)) for role in (SEND, DECIDE, READ)}
    with serving(workspace) as client:
        yield Place(workspace, ledger, str(client.base_url).rstrip("/"), keys)
