"""What was imported before: one row per import. Light, so that the same file again is known at once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import orjson
from sqlalchemy import BigInteger, Column, DateTime, String, Table, Text, select

from features.ledger import Ledger, metadata
from features.workspace import Workspace

imports = Table(
    "imports",
    metadata,
    Column("fingerprint", String(64), primary_key=True),
    Column("source", String(128), nullable=False),
    Column("file", Text, nullable=False),
    Column("time", DateTime, nullable=False),
    Column("read", BigInteger, nullable=False),
    Column("stored", BigInteger, nullable=False),
    Column("rejected", Text, nullable=False),
    Column("noted", Text, nullable=False),
    Column("basis", Text, nullable=False),
)


@dataclass(frozen=True)
class ImportResult:
    """What an import read, stored and rejected, by reason; `again`: this very file was imported before."""

    source: str
    read: int
    stored: int
    rejected: Mapping[str, int]
    noted: Mapping[str, int]
    again: bool = False
    rejects: Path | None = None
    examples: Mapping[str, list[str]] = field(default_factory=dict)


def fingerprint(path: Path, *settings: str) -> str:
    """SHA-256 over the file's bytes and whatever else decides what it becomes."""
    digest = hashlib.sha256("\0".join(settings).encode())
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def require_file(path: Path) -> Path:
    """The path, where a file is; an error in one line where none is."""
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    return path


def earlier(workspace: Workspace, mark: str) -> ImportResult | None:
    """The result of the import with this fingerprint, or None when there was none."""
    with Ledger.at(workspace.ledger).read() as connection:
        row = connection.execute(select(imports).where(imports.c.fingerprint == mark)).mappings().first()
    if row is None:
        return None
    counts = {name: orjson.loads(row[name]) for name in ("rejected", "noted")}
    return ImportResult(row["source"], row["read"], row["stored"], **counts, again=True)
