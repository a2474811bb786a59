"""The runs that a report can be written of: folders of the workspace that hold the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from features.workspace import Workspace


def kept(workspace: Workspace, evidence: str, kind: str) -> list[Path]:
    """The folders of the runs that left this file, oldest first; an error where there is none."""
    files = sorted(workspace.runs.glob(f"*/{evidence}"), key=lambda path: path.stat().st_mtime)
    if not files:
        raise ValueError(f"{workspace.folder}: no {kind} run here; run `attune train {kind}`")
    return [path.parent for path in files]


def starting(folders: Sequence[Path], run: str, workspace: Workspace, option: str = "--run") -> Path:
    """The folder of the run whose id starts so."""
    matching = [folder for folder in folders if folder.name.startswith(run)]
    if len(matching) != 1:
        names = [folder.name for folder in folders]
        raise ValueError(
            f"{option} == {run!r} names {len(matching)} runs, must name one of {names} ({workspace.folder})"
        )
    return matching[0]
