"""Checksums: whether the files of a release are those that its manifest names."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path


def sha256(path: Path) -> str:
    """The hex digest over the file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def first_broken(folder: Path, files: Mapping[str, str]) -> str | None:
    """The first file of the folder that is absent or has another checksum than the one told; None where all hold."""
    for name, checksum in files.items():
        if not (folder / name).is_file() or sha256(folder / name) != checksum:
            return str(name)
    return None
