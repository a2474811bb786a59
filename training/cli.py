"""The verbs of the middle floor: train, compare, promote, rollback, score, report uplift."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from features.cli import WorkspaceOption, opened

app = typer.Typer()
trains = typer.Typer(help="Fit models, compare them with baselines and register the best.", no_args_is_help=True)
reports = typer.Typer(help="Write a report.", no_args_is_help=True)
app.add_typer(trains, name="train")
app.add_typer(reports, name="report")


@trains.command("uplift")
def train_uplift(
    workspace: WorkspaceOption = None,
    log: Annotated[str, typer.Option(help="The campaign's log; may be left out where there is one.")] = "",
    outcome: Annotated[str, typer.Option(help="A column of outcomes; default: uplift.outcome of attune.yaml.")] = "",
    learner: Annotated[str, typer.Option(help="Only this learner, beside the baselines.")] = "",
    seed: Annotated[int | None, typer.Option(help="Default: the seed of attune.yaml.")] = None,
) -> None:
    """Learn what an offer changes from a campaign's log, judge it against baselines and register it.

    Example: attune train uplift --log hillstrom --outcome visit
    """
    from training.pipelines.uplift_run import run

    for line in run(opened(workspace), log, outcome, learner, seed=seed, as_of=datetime.now(UTC)):
        typer.echo(line)
