"""Brought: whose events files brought to the history since a version of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

from features.engine import connect
from features.history import newest_version
from features.workspace import Workspace


def brought_since(workspace: Workspace, version: int) -> tuple[int, list[str]] | None:
    """The newest version, and the customers in the rows that files brought after `version`; None: that cannot be told.

    Closed days are left out: their rows were in the ledger. So is what an erasure wrote again.
    """
    newest = newest_version(workspace)
    last = newest.version() if newest else -1
    logs = [workspace.history / "_delta_log" / f"{number:020}.json" for number in range(version + 1, last + 1)]
    if last < version or not all(log.exists() for log in logs):
        return None  # another history was put there; or Delta removed what its log said a month ago
    paths = [str(workspace.history / path) for log in logs for path in _added(log)]
    return last, _customers(paths) if paths else []


def _added(log: Path) -> Iterator[str]:
    """The files that a commit added, where it is an import."""
    actions: list[dict[str, Any]] = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    if not any("txn" in action or "remove" in action for action in actions):
        yield from (unquote(action["add"]["path"]) for action in actions if "add" in action)


def _customers(paths: Sequence[str]) -> list[str]:
    rows = connect().read_parquet(list(paths))
    named = rows.filter(rows.customer.notnull(), ~rows.machine)
    return [str(customer) for customer in named.select("customer").distinct().to_pyarrow()["customer"].to_pylist()]
