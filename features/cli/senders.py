"""The verbs that say who may ask and send: `attune keys`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from features.cli.opened import WorkspaceOption, opened

keys = typer.Typer(help="Say who may ask and send.", no_args_is_help=True)


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
    from features.keys import PUBLISHABLE, create, noted, secret_of
    from features.ledger import Ledger

    shop = opened(workspace)
    ledger = Ledger.at(shop.ledger)
    key = create(ledger, source, role, datetime.now(UTC), origin or (), rate)
    noted(shop, ledger)
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
    from features.keys import noted, revoke
    from features.ledger import Ledger

    shop = opened(workspace)
    ledger = Ledger.at(shop.ledger)
    gone = revoke(ledger, key, datetime.now(UTC))
    noted(shop, ledger)
    typer.echo(f"{gone.id}... of {gone.source}: revoked")
