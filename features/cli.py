"""The verbs of the ground floor: init, import, simulate, features, keys, doctor, migrate, backup, restore."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from features.consent import Basis
    from features.workspace import Workspace

app = typer.Typer()
imports = typer.Typer(help="Bring data in.", no_args_is_help=True)
app.add_typer(imports, name="import")
keys = typer.Typer(help="Say who may ask and send.", no_args_is_help=True)
app.add_typer(keys, name="keys")

WorkspaceOption = Annotated[
    Path | None,
    typer.Option("--workspace", "-w", envvar="ATTUNE_WORKSPACE", help="The workspace folder; default: this folder."),
]


def opened(folder: Path | None) -> Workspace:
    """The workspace that the option, ATTUNE_WORKSPACE or the current folder names."""
    from features.workspace import Workspace

    return Workspace.open(folder or Path(os.environ.get("ATTUNE_WORKSPACE") or "."))


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
    """Make a workspace: settings, offers, segments and an experiment to start from.

    Example: attune init shop
    """
    from features.segments import FOLDER, SCHEMA_FILE, schema
    from features.workspace import create

    create(folder)
    (folder / FOLDER / SCHEMA_FILE).write_text(schema() + "\n", encoding="utf-8")
    typer.echo(f"{folder}: a workspace; its settings are in {folder / 'attune.yaml'}")


@imports.command("events")
def import_events_file(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet, one row per event or order line.")],
    workspace: WorkspaceOption = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="What the columns are; without it one is proposed.")
    ] = None,
    consent: Annotated[str, typer.Option(help="Purposes the customers agreed to; default: those of the map.")] = "",
    proof: Annotated[str, typer.Option(help="What proves the consent.")] = "",
) -> None:
    """Import your own events; without --map, look at the file and propose a map.

    Example: attune import events orders.csv --map map.yaml -w shop
    """
    from features.importing import import_file, propose_map

    shop = opened(workspace)
    if map_file is None:
        typer.echo(propose_map(shop, file))
        return
    typer.echo(import_file(shop, file, map_file, consent=consent, proof=proof, now=datetime.now(UTC)))


@imports.command("exposures")
def import_exposures(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet, one row per exposure.")],
    workspace: WorkspaceOption = None,
    map_file: Annotated[Path | None, typer.Option("--map", help="Roles that cannot be guessed.")] = None,
    consent: Annotated[str, typer.Option(help="Purposes the customers agreed to; default: those of the map.")] = "",
    proof: Annotated[str, typer.Option(help="What proves the consent.")] = "",
) -> None:
    """Import a campaign's log: who was given which arm, and what came of it.

    Example: attune import exposures campaign.csv -w shop
    """
    from features.importing import import_campaign

    typer.echo(import_campaign(opened(workspace), file, map_file, consent=consent, proof=proof, now=datetime.now(UTC)))


@imports.command("traits")
def import_traits_file(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet, one row per customer.")],
    workspace: WorkspaceOption = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", help="What the columns are; without it one is proposed.")
    ] = None,
    consent: Annotated[str, typer.Option(help="Purposes the customers agreed to; default: those of the map.")] = "",
    proof: Annotated[str, typer.Option(help="What proves the consent.")] = "",
) -> None:
    """Import what a CRM knows of customers; without --map, look at the file and propose a map.

    Example: attune import traits crm.csv --map map-crm.yaml -w shop
    """
    from features.importing import import_traits, propose_traits

    shop, now = opened(workspace), datetime.now(UTC)
    if map_file is None:
        typer.echo(propose_traits(shop, file, now))
        return
    typer.echo(import_traits(shop, file, map_file, consent=consent, proof=proof, now=now))


@imports.command("catalog")
def import_catalog_file(
    address: Annotated[str, typer.Argument(metavar="FILE|URL", help="CSV, or a Google Merchant feed (XML or TSV).")],
    workspace: WorkspaceOption = None,
) -> None:
    """Bring items, prices, stock and images up to date; a running service obeys at its next answer.

    Example: attune import catalog https://shop.example/feed.xml -w shop
    """
    from features.importing import import_catalog

    typer.echo(import_catalog(opened(workspace), address, datetime.now(UTC)))


@imports.command("online-retail")
def import_online_retail(
    file: Annotated[Path, typer.Argument(help="The data set as Parquet or CSV.")],
    workspace: WorkspaceOption = None,
    consent: Annotated[str, typer.Option(help="The purposes the customers agreed to.")] = "personalisation,analytics",
) -> None:
    """Import the Online Retail data set: purchases of a gift wholesaler.

    Example: attune import online-retail online_retail_sales.parquet -w shop
    """
    from features.imported import earlier, fingerprint, require_file
    from features.quality import described
    from features.sources import ONLINE_RETAIL

    shop, now = opened(workspace), datetime.now(UTC)
    mark = fingerprint(require_file(file), ONLINE_RETAIL, consent)
    result = earlier(shop, mark)
    if result is None:
        from features.imports import import_events
        from features.progress import step
        from features.sources import online_retail

        basis = _basis(consent, online_retail.PROOF)
        with step(f"Importing {file.name}"):
            parsed = online_retail.read(file, now)
            result = import_events(
                shop, parsed, source=online_retail.SOURCE, path=file, mark=mark, basis=basis, time=now
            )
    typer.echo(described(result))


@imports.command("hillstrom")
def import_hillstrom(
    file: Annotated[Path, typer.Argument(help="The data set as Parquet or CSV.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Import the Hillstrom e-mail test: two mailings against none, 64,000 customers.

    Example: attune import hillstrom hillstrom.parquet -w shop
    """
    from features.exposures import save_log
    from features.imported import require_file
    from features.sources import hillstrom

    log = hillstrom.read(require_file(file))
    save_log(opened(workspace), log)
    typer.echo(log.described())


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
) -> None:
    """Say what is installed, reachable and stale; exit 1 when something is broken.

    Example: attune doctor -w shop
    """
    from features.doctor import BROKEN, checked, shown

    folder = workspace or Path(os.environ.get("ATTUNE_WORKSPACE") or ".")
    checks = checked(folder, port=port, now=datetime.now(UTC))
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


@keys.command("create")
def create_key(
    source: Annotated[str, typer.Argument(help="Who asks; whose events they will be, e.g. web.")],
    workspace: WorkspaceOption = None,
    role: Annotated[
        str, typer.Option(help="What the key is for: send, catalog, decide, read, admin (all of these), publishable.")
    ] = "send",
    origin: Annotated[
        list[str] | None,
        typer.Option(help="Whose pages may ask with a publishable key, e.g. https://shop.example; more than once."),
    ] = None,
    rate: Annotated[
        int | None, typer.Option(help="Requests a second in one worker; default: 1000, publishable 100.", min=1)
    ] = None,
) -> None:
    """Make a key and show it, once; the ledger keeps its hash. A publishable key's secret is shown below it.

    Example: attune keys create shop-page --role publishable --origin https://shop.example -w shop
    """
    from features.keys import PUBLISHABLE, create, secret_of
    from features.ledger import Ledger

    ledger = Ledger.at(opened(workspace).ledger)
    key = create(ledger, source, role, datetime.now(UTC), origin or (), rate)
    typer.echo(key)
    if role == PUBLISHABLE:
        typer.echo(secret_of(ledger, key))
        typer.echo("the first line is for the page, the second for the shop's server alone", err=True)


@keys.command("webhook")
def keep_webhook_secret(
    source: Annotated[str, typer.Argument(help="Whose reports they will be, e.g. the provider's name.")],
    workspace: WorkspaceOption = None,
    secret: Annotated[
        str | None,
        typer.Option(envvar="ATTUNE_WEBHOOK_SECRET", help="The provider's own, whsec_...; default: a new one."),
    ] = None,
) -> None:
    """Keep the secret by which a provider signs its webhooks, and show it, once, where it is made here.

    Example: attune keys webhook mailer -w shop
    """
    from features.ledger import Ledger
    from features.webhooks import keep

    kept = keep(Ledger.at(opened(workspace).ledger), source, secret, datetime.now(UTC))
    typer.echo(kept if secret is None else f"{source}: kept")


@keys.command("list")
def list_keys(workspace: WorkspaceOption = None) -> None:
    """Show the keys: their first characters, role, source and state.

    Example: attune keys list -w shop
    """
    from features.keys import described, every
    from features.ledger import Ledger

    known = every(Ledger.at(opened(workspace).ledger))
    typer.echo("\n".join(map(described, known)) or "no keys; `attune keys create SOURCE` makes one")


@keys.command("revoke")
def revoke_key(
    key: Annotated[str, typer.Argument(help="The key's first characters, as `attune keys list` shows them.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Make a key useless; a running service refuses it within seconds.

    Example: attune keys revoke 3f2c0a9b -w shop
    """
    from features.keys import revoke
    from features.ledger import Ledger

    gone = revoke(Ledger.at(opened(workspace).ledger), key, datetime.now(UTC))
    typer.echo(f"{gone.id}... of {gone.source}: revoked")


@imports.command("complete-journey")
def import_complete_journey(
    folder: Annotated[Path, typer.Argument(help="The folder with transactions, products and demographics.")],
    workspace: WorkspaceOption = None,
    consent: Annotated[str, typer.Option(help="The purposes the customers agreed to.")] = "personalisation,analytics",
) -> None:
    """Import The Complete Journey: a grocer's purchases, products and households.

    Example: attune import complete-journey completejourney -w shop
    """
    from features.imported import earlier
    from features.imports import import_events
    from features.progress import step
    from features.quality import described
    from features.sources import complete_journey as journey

    shop, now = opened(workspace), datetime.now(UTC)
    mark = journey.mark(folder, consent)
    result = earlier(shop, mark)
    if result is None:
        with step(f"Importing {folder.name}"):
            parsed = journey.read(folder, now)
            basis = _basis(consent, journey.PROOF)
            result = import_events(shop, parsed, source=journey.SOURCE, path=folder, mark=mark, basis=basis, time=now)
    typer.echo(described(result))


def _basis(purposes: str, proof: str) -> Basis:
    from features.consent import Basis

    return Basis(tuple(word.strip() for word in purposes.split(",") if word.strip()), proof)
