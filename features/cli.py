"""The verbs of the ground floor: init, import, simulate, features, doctor, backup, restore."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from features.workspace import Workspace

app = typer.Typer()
imports = typer.Typer(help="Bring data in.", no_args_is_help=True)
app.add_typer(imports, name="import")

WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", envvar="ATTUNE_WORKSPACE", help="The workspace folder; default: this folder."),
]


def opened(folder: Path | None) -> Workspace:
    """The workspace that the option, ATTUNE_WORKSPACE or the current folder names."""
    return Workspace.open(folder or Path(os.environ.get("ATTUNE_WORKSPACE") or "."))
