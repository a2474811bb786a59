"""The verbs that bring data in: `attune import`."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.cli.opened import WorkspaceOption, opened

if TYPE_CHECKING:
    from features.consent import Basis

imports = typer.Typer(help="Bring data in.", no_args_is_help=True)

MapOption = Annotated[Path | None, typer.Option("--map", help="What the columns are; without it one is proposed.")]
ConsentOption = Annotated[str, typer.Option(help="Purposes the customers agreed to; default: those of the map.")]
ProofOption = Annotated[str, typer.Option(help="What proves the consent.")]


@imports.command("events")
def import_events_file(
    file: Annotated[Path, typer.Argument(help="CSV or Parquet, one row per event or order line.")],
    workspace: WorkspaceOption = None,
    map_file: MapOption = None,
    consent: ConsentOption = "",
    proof: ProofOption = "",
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
    consent: ConsentOption = "",
    proof: ProofOption = "",
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
    map_file: MapOption = None,
    consent: ConsentOption = "",
    proof: ProofOption = "",
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
