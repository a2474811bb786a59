"""The verbs of the top floor, and the one command `attune` that joins all three."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.exceptions import TyperException

from features.cli import WorkspaceOption, keys, opened
from features.cli import app as features_app
from serving.reports.cli import app as measured
from serving.reports.cli import experiments
from training.cli import app as training_app

INTERRUPTED = 130  # what a shell expects after Ctrl-C, and what Typer answers

app = typer.Typer(
    name="attune",
    help="Decides, for every customer and moment, what to show, what to offer or to stay silent, "
    "and proves what that was worth.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(features_app)
app.add_typer(training_app)
app.add_typer(measured)
app.add_typer(experiments, name="experiment")


@app.callback()
def root(debug: bool = typer.Option(False, "--debug", help="Show the trace of an error.")) -> None:
    """One command for the whole house; `attune VERB --help` shows an example of each verb."""


@app.command()
def serve(
    workspace: WorkspaceOption = None,
    port: Annotated[int, typer.Option(help="The port to listen on.", min=1, max=65535)] = 3000,
    host: Annotated[str, typer.Option(help="The address to listen on; beyond this host only with keys.")] = "127.0.0.1",
    workers: Annotated[int, typer.Option(help="How many processes answer.", min=1, max=64)] = 1,
    log: Annotated[
        Literal["text", "json"], typer.Option(envvar="ATTUNE_LOG", help="json: a line per request.")
    ] = "text",
) -> None:
    """Answer over HTTP from the workspace's releases; Ctrl-C ends it.

    Example: attune serve -w shop --port 3000
    """
    from serving.process import run

    run(opened(workspace), host=host, port=port, workers=workers, log=log)


@app.command()
def work(
    workspace: WorkspaceOption = None,
    once: Annotated[bool, typer.Option("--once", help="One round, then end.")] = False,
) -> None:
    """Close days, keep features fresh, and train when attune.yaml says so, until it is ended; one worker per workspace.

    Example: attune work -w shop
    """
    from datetime import UTC

    from serving import work as worker

    shop = opened(workspace)
    if once:
        typer.echo("\n".join(worker.once(shop, datetime.now(UTC))) or "everything is up to date")
    else:
        worker.forever(shop, lambda: datetime.now(UTC), typer.echo)


@app.command()
def bento(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Write a folder that `bentoml build` turns into a bento: code, releases' item sides and rules, no customers.

    Example: attune bento build-here -w shop && cd build-here && bentoml build
    """
    from serving.bundle import write

    for line in write(opened(workspace), folder):
        typer.echo(f"{folder}: carries {line}")
    typer.echo(f"build it: cd {folder} && bentoml build")


@app.command()
def explain(
    decision: Annotated[str, typer.Argument(help="A decision's id, as an answer named it.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Say who was answered what, when, why and with which probability.

    Example: attune explain 3f2c0a9be1d94c5f8a7b6c5d4e3f2a1b -w shop
    """
    from serving.decisions.explain import explain as explained

    for line in explained(opened(workspace), decision):
        typer.echo(line)


@app.command()
def replay(
    decision: Annotated[str, typer.Argument(help="A decision's id, as an answer named it.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Make a decision again as of its moment, by the release that made it, and say whether it is the same.

    Example: attune replay 3f2c0a9be1d94c5f8a7b6c5d4e3f2a1b -w shop
    """
    from serving.decisions.replay import replay as made_again

    for line in made_again(opened(workspace), decision):
        typer.echo(line)


@app.command()
def preview(
    slot: Annotated[str, typer.Argument(help="The slot's key, as its file in slots/ is named.")],
    workspace: WorkspaceOption = None,
    customer: Annotated[str | None, typer.Option(help="Who would see it.")] = None,
    anonymous: Annotated[str | None, typer.Option(help="A device on which nobody has identified.")] = None,
) -> None:
    """Show what a slot shows a customer now, and why; nothing is journalled.

    Example: attune preview home-hero --customer c000007 -w shop
    """
    from datetime import UTC

    from serving.decisions.preview import preview as shown
    from serving.decisions.requests import DecideRequest

    request = DecideRequest(slot=slot, customer=customer, anonymous=anonymous)
    for line in shown(opened(workspace), request, datetime.now(UTC)):
        typer.echo(line)


@app.command()
def export(
    customer: Annotated[str, typer.Argument(help="Any id of the customer.")],
    workspace: WorkspaceOption = None,
    out: Annotated[Path, typer.Option(help="The JSON file to write.")] = Path("export.json"),
) -> None:
    """Write everything that is kept about a customer to one JSON file, which an erasure names.

    Example: attune export c000007 --out c000007.json -w shop
    """
    from datetime import UTC

    from training.export import export as write

    found = write(opened(workspace), customer, out, datetime.now(UTC))
    rows = sum(map(len, found["ledger"].values()))
    typer.echo(f"{out}: {len(found['events']):,} events, {rows:,} rows of the ledger, {len(found['runs'])} runs")


@app.command()
def link(
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    page: Annotated[str, typer.Option(help="unsubscribe, preferences or why.")] = "preferences",
    workspace: WorkspaceOption = None,
    channel: Annotated[str | None, typer.Option(help="The messages' channel, e.g. email; default: all.")] = None,
    topic: Annotated[str | None, typer.Option(help="A key of `topics` in attune.yaml; default: all.")] = None,
    address: Annotated[str | None, typer.Option(help="The address that messages go to; default: all.")] = None,
) -> None:
    """Print the path of a customer's page, signed; put the address of your shop before it.

    Example: attune link c000007 --page unsubscribe --channel email -w shop
    """
    from features.consent import About
    from serving.pages.links import Link, path_of

    typer.echo(path_of(opened(workspace), Link(page, customer, About(address, channel, topic))))


@keys.command("token")
def sign_token(
    key: Annotated[str, typer.Argument(help="The publishable key's first characters.")],
    customer: Annotated[str, typer.Argument(help="The customer whom the page asks for.")],
    workspace: WorkspaceOption = None,
    minutes: Annotated[int, typer.Option(help="How long it is good for.", min=1, max=1440)] = 15,
) -> None:
    """Sign whom a page asks for, as the shop's server does; to try it out.

    Example: attune keys token 3f2c0a9b c000007 -w shop
    """
    from datetime import UTC

    from features.keys import secret_of
    from features.ledger import Ledger
    from serving.http.tokens import token

    secret = secret_of(Ledger.at(opened(workspace).ledger), key)
    typer.echo(token(secret, customer, datetime.now(UTC).timestamp() + 60 * minutes))


@app.command()
def erase(
    customer: Annotated[str, typer.Argument(help="Any id of the customer.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Erase a customer from everything in the workspace, for good; and name what cannot be reached from here.

    Example: attune erase c000007 -w shop
    """
    from datetime import UTC

    from serving.erasure import erase as erased

    for line in erased(opened(workspace), customer, datetime.now(UTC)):
        typer.echo(line)


def main(arguments: list[str] | None = None) -> None:
    """Runs a verb: bad input is one line and exit 2, a failure one line and exit 1; `--debug` shows the trace."""
    for name in ("BENTOML_DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "true")
    given = sys.argv[1:] if arguments is None else arguments
    debug = "--debug" in given
    try:
        code = app([word for word in given if word != "--debug"], standalone_mode=False)
    except typer.Abort:
        code = INTERRUPTED
    except TyperException as error:  # what is no verb or option, in its own words
        said = error.format_message()
        code = _say(said, 2) if said else 2  # without any word the help was shown instead
    except (ValueError, TypeError) as error:
        code = _fail(error, 2, debug=debug)
    except (OSError, RuntimeError) as error:
        code = _fail(error, 1, debug=debug)
    finally:
        if not debug:
            sys.excepthook = _unforeseen  # only now: Typer puts its own there
    if code == INTERRUPTED:
        _say("interrupted", INTERRUPTED)
    sys.exit(code if isinstance(code, int) else 0)


def _unforeseen(kind: type[BaseException], error: BaseException, _trace: object) -> None:
    """What nobody foresaw is one line too; Python ends with exit 1 after it."""
    _say(f"{kind.__name__}: {' '.join(str(error).split())[:500]} (--debug shows where)", 1)


def _fail(error: Exception, code: int, *, debug: bool) -> int:
    if debug:
        raise error
    return _say(" ".join(str(error).split()) or type(error).__name__, code)


def _say(line: Any, code: int) -> int:
    sys.stderr.write(f"attune: {line}\n")
    return code


if __name__ == "__main__":
    main()
