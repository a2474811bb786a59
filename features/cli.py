"""The verbs of the ground floor: init, import, simulate, features, doctor, backup, restore."""

from __future__ import annotations

import os
from datetime import datetime
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


@app.command()
def simulate(
    folder: Annotated[Path | None, typer.Argument(help="Where the log is written.")] = None,
    world: Annotated[str, typer.Option(help="A shipped world: shop, no-effect.")] = "shop",
    customers: Annotated[int, typer.Option(help="How many customers.")] = 5000,
    days: Annotated[int, typer.Option(help="How many days of log.")] = 180,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The log's end, UTC.")] = datetime(2026, 1, 1),  # noqa: DTZ001
    describe: Annotated[bool, typer.Option("--describe", help="Show the world's parameters and hash only.")] = False,
) -> None:
    """Write the log of a shop whose truth is known.

    Example: attune simulate out --customers 5000
    """
    from features.progress import step
    from features.sources.simulator.shop import Shop
    from features.sources.simulator.world import world_named
    from features.sources.simulator.write import write

    if describe:
        typer.echo(world_named(world).describe())
        return
    if folder is None:
        raise ValueError("the folder to write to is missing; attune simulate FOLDER")
    if customers < 1:
        raise ValueError(f"customers == {customers}, must be at least 1")
    shop = Shop(world_named(world), seed, until, days)
    with step(f"Simulating {customers:,} customers", customers) as bar:
        written = write(shop, customers, folder, bar.advance)
    counts = f"{written['events']:,} events, {written['exposures']:,} exposures"
    typer.echo(f"{folder}: {counts}, world {world} {shop.world.digest()}")
