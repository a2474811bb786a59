"""Brought: whose events files brought to the history since a version of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson

from features.engine import connect
from features.history import newest_version
from features.workspace import Workspace

if TYPE_CHECKING:
    import ibis.expr.types as ir


@dataclass(frozen=True)
class Brought:
    """The newest version of the history; the customers in the rows that files brought, and the devices of nobody."""

    version: int
    customers: list[str]
    devices: list[str]


def brought_since(workspace: Workspace, version: int) -> Brought | None:
    """What files brought after `version`; None: that cannot be told.

    Closed days are left out: their rows were in the ledger. So is what an erasure wrote again.
    """
    newest = newest_version(workspace)
    last = newest.version() if newest else -1
    logs = [workspace.history / "_delta_log" / f"{number:020}.json" for number in range(version + 1, last + 1)]
    if last < version or not all(log.exists() for log in logs):
        return None  # another history was put there; or the log has been shortened
    paths = [str(workspace.history / path) for log in logs for path in _added(log)]
    if not paths:
        return Brought(last, [], [])
    if not all(Path(path).exists() for path in paths):
        return None  # they were joined with others, long ago
    rows = connect().read_parquet(paths)
    nobody = rows.filter(rows.customer.isnull(), rows.anonymous.notnull())
    return Brought(last, _distinct(rows, "customer"), _distinct(nobody, "anonymous"))


def _added(log: Path) -> Iterator[str]:
    """The files that a commit added, where it is an import."""
    actions: list[dict[str, Any]] = [orjson.loads(line) for line in log.read_bytes().splitlines()]
    if not any("txn" in action or "remove" in action for action in actions):
        yield from (unquote(action["add"]["path"]) for action in actions if "add" in action)


def _distinct(rows: ir.Table, column: str) -> list[str]:
    found = rows.filter(rows[column].notnull()).select(column).distinct().to_pyarrow()
    return [str(one) for one in found[column].to_pylist()]
