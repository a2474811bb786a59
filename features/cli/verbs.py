"""The verbs about a workspace: simulate, init, features, doctor, migrate, backup, restore."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from features.cli.opened import WorkspaceOption, opened

app = typer.Typer()


@app.command()
def simulate(
    folder: Annotated[Path | None, typer.Argument(help="Where the log is written.")] = None,
    world: Annotated[str, typer.Option(help="A shipped world: shop, no-effect.")] = "shop",
    customers: Annotated[int, typer.Option(help="How many customers.")] = 5000,
    days: Annotated[int, typer.Option(help="How many days of log.")] = 180,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.")] = 1,
    until: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The log's end, UTC.")] = datetime(2026, 1, 1),  # noqa: DTZ001  # UTC without a zone
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


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")] = Path("shop"),
) -> None:
    """Make a workspace: settings, offers, segments, slots and an experiment to start from.

    Example: attune init shop
    """
    from features import schemas
    from features.workspace import create

    create(folder)
    schemas.write(folder)
    typer.echo(f"{folder}: a workspace; its settings are in {folder / 'attune.yaml'}")


@app.command()
def schema(
    kind: Annotated[str, typer.Argument(help="segments, slots, placements, offers, experiments or metrics.")],
) -> None:
    """Print the JSON Schema by which an editor checks and completes such a file of a workspace; `init` writes them.

    Example: attune schema placements > shop/placements.schema.json
    """
    from features.schemas import schema as schema_of

    typer.echo(schema_of(kind))


@app.command("features")
def feature_table(
    workspace: WorkspaceOption = None,
    describe: Annotated[bool, typer.Option("--describe", help="Say what each feature means; reads no data.")] = False,
    out: Annotated[Path | None, typer.Option(help="Write the table here, as .parquet or .csv.")] = None,
    as_of: Annotated[datetime | None, typer.Option(help="As of this moment, UTC; default: now.")] = None,
) -> None:
    """Build what is known about each customer as of a moment, and show a summary.

    Example: attune features --out customers.parquet -w shop
    """
    from features.customers import listing
    from features.ledger import Ledger
    from features.registered import register_file

    shop = opened(workspace)
    if describe:
        typer.echo("\n".join(listing.listed(listing.all_features(shop))))
        return
    path = listing.require_format(out) if out else None
    now = datetime.now(UTC)
    table, left_out = listing.built(shop, as_of or now, now)
    typer.echo(left_out)
    if path:
        register_file(Ledger.at(shop.ledger), path, kind="features", time=now)
        listing.write(table, path)
        typer.echo(f"{path}: {len(table):,} customers, {len(table.features)} features")
    else:
        typer.echo("\n".join(listing.summary(table)))


@app.command()
def doctor(
    workspace: WorkspaceOption = None,
    port: Annotated[int, typer.Option(help="The port that the service would take.", min=1, max=65535)] = 3000,
    url: Annotated[str | None, typer.Option(help="Ask a running service at this address instead.")] = None,
    key: Annotated[str | None, typer.Option(envvar="ATTUNE_KEY", help="With --url: a key of the role read.")] = None,
) -> None:
    """Say what is installed, reachable and stale, here or of a running service; exit 1 when something is broken.

    Example: attune doctor -w shop
    """
    from features.doctor import BROKEN, checked, shown
    from features.running import asked

    folder = workspace or Path(os.environ.get("ATTUNE_WORKSPACE") or ".")
    checks = asked(url, key) if url else checked(folder, port=port, now=datetime.now(UTC))
    typer.echo(shown(checks))
    if any(check.state == BROKEN for check in checks):
        raise typer.Exit(1)


@app.command()
def migrate(workspace: WorkspaceOption = None) -> None:
    """Bring the ledger to the revision that this Attune needs, in one transaction; back it up first.

    Example: attune backup shop.tar.gz -w shop && attune migrate -w shop
    """
    from features.ledger import Ledger
    from features.migrations import NEWEST

    found = Ledger(opened(workspace).ledger).migrate()
    typer.echo(f"the ledger is of revision {NEWEST}; it was of {found or 'none: its tables are made'}")


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The backup to write, e.g. shop.tar.gz.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Write the whole workspace to one file, also while the service runs. MLflow's store is not in it.

    Nor is a ledger on PostgreSQL: the server's own backup holds that.

    Example: attune backup shop.tar.gz -w shop
    """
    from features.backup import backup as write
    from features.backup import not_held
    from features.progress import step

    shop = opened(workspace)
    with step(f"Writing {file.name}"):
        count = write(shop, file, datetime.now(UTC))
    typer.echo(f"{file}: {count:,} files, {file.stat().st_size:,} bytes")
    if line := not_held(shop):
        typer.echo(line)


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `attune backup` wrote.")],
    workspace: Annotated[Path, typer.Option("--workspace", "-w", help="An empty or new folder.")],
) -> None:
    """Unpack a backup into an empty or new folder, after its checksums were found right.

    Example: attune restore shop.tar.gz -w shop-again
    """
    from features.backup import not_held
    from features.backup import restore as unpack

    typer.echo(f"{workspace}: {unpack(file, workspace):,} files restored")
    if line := not_held(opened(workspace)):
        typer.echo(line)
