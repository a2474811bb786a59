"""The verbs of the middle floor: train, compare, promote, rollback, score, report uplift."""

from __future__ import annotations

import typer

app = typer.Typer()
trains = typer.Typer(help="Fit models, compare them with baselines and register the best.", no_args_is_help=True)
reports = typer.Typer(help="Write a report.", no_args_is_help=True)
app.add_typer(trains, name="train")
app.add_typer(reports, name="report")
