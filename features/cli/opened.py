"""Which workspace a verb is about."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from features.workspace import Workspace

WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", envvar="ATTUNE_WORKSPACE", help="The workspace folder; default: this folder."),
]


def opened(folder: Path | None) -> Workspace:
    """The workspace that the option, ATTUNE_WORKSPACE or the current folder names."""
    from features.workspace import Workspace

    return Workspace.open(folder or Path(os.environ.get("ATTUNE_WORKSPACE") or "."))
