"""Marks: what tells, by a look at times and sizes of files, whether a part of the workspace changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from features.workspace import STATE, own_files
from serving.experiments.challenges import KINDS
from training.policies.prices import FILE as PLAN
from training.release import CURRENT, MANIFEST

WORKSPACE = "workspace"
HISTORY = "history"
LEDGER = "ledger"  # only looked at by who began without it
BESIDE = {f"{kind} challenger": kind for kind in KINDS}  # part -> kind
PARTS = (WORKSPACE, HISTORY, *KINDS, *BESIDE)
Mark = tuple[Any, ...]


def marks_of(folder: Path) -> dict[str, Mark]:
    """A mark per part of the workspace in this folder: another one where the part changed."""
    history = _stat(folder / STATE / "history" / "_delta_log")  # a version is a file there
    return {WORKSPACE: files_of(folder), HISTORY: history, **_releases(folder / STATE / "releases")}


def files_of(folder: Path) -> Mark:
    """The mark of the workspace's own files."""
    return tuple((str(path), *_stat(path)) for path in own_files(folder))


def _releases(home: Path) -> dict[str, Mark]:
    pointers = {kind: _pointer(home / kind) for kind in KINDS}
    champions = {kind: _release(home / kind, pointer.get("version")) for kind, pointer in pointers.items()}
    challengers = {
        part: (*_release(home / kind, pointers[kind].get("challenger")), *pointers[kind].values())
        for part, kind in BESIDE.items()
    }
    return champions | challengers


def _pointer(home: Path) -> dict[str, Any]:
    try:
        found = json.loads((home / CURRENT).read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        return {"version": str(error)}  # a mark as any other: who reads it next says what is wrong
    return found if isinstance(found, dict) else {"version": str(found)}


def _release(home: Path, version: Any) -> Mark:
    """The release's version, and when its manifest and its plan were written."""
    return (version, *_stat(home / str(version) / MANIFEST), *_stat(home / str(version) / PLAN))


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)
