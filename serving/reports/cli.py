"""The verbs of what was measured: reports, their verification, and the design of what is to be measured."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from features.cli import WorkspaceOption, opened
from training.cli import reports

app = typer.Typer()
experiments = typer.Typer(help="Design an experiment before it runs.", no_args_is_help=True)

FirstDay = Annotated[
    datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="The first day; default: 365 days.")
]
LastDay = Annotated[datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="The last day; default: today.")]


@app.command()
def verify(
    report: Annotated[str, typer.Argument(help="A test's key, `impact`, `journey`, `policy`, or a report's path.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Recompute every number of a stored report from the journal and the events; exit 1 where one differs.

    Example: attune verify checkout-badge -w shop
    """
    from serving.reports.verify import lines
    from serving.reports.verify import verify as verified

    found = verified(opened(workspace), report)
    for line in lines(found):
        typer.echo(line)
    if not found.same:
        raise typer.Exit(1)


@reports.callback(invoke_without_command=True)
def report_all(
    context: typer.Context,
    workspace: WorkspaceOption = None,
    all_: Annotated[bool, typer.Option("--all", help="Compute every test's report and impact's anew.")] = False,
    mail: Annotated[list[str] | None, typer.Option(help="Mail what the reports say first; again for another.")] = None,
) -> None:
    """Write a report; or all of them with --all, and mail what they say first with --mail.

    Example: ATTUNE_SMTP_URL=smtp://mail.example attune report --all --mail ann@shop.example -w shop
    """
    if context.invoked_subcommand is not None:
        if all_ or mail:
            raise ValueError(f"--all and --mail are for all reports together, not for {context.invoked_subcommand!r}")
        return
    if not (all_ or mail):
        typer.echo(context.get_help())
        return
    from serving.reports.post import post

    for line in post(opened(workspace), datetime.now(UTC), to=mail or [], anew=all_):
        typer.echo(line)


@reports.command("experiment")
def report_experiment(
    key: Annotated[str, typer.Argument(help="The experiment's key, as its file in experiments/ says.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Compare the arms of a test, with intervals and a verdict; also as an HTML file that works offline, and CSV.

    Example: attune report experiment checkout-badge -w shop
    """
    from serving.experiments import shadows
    from serving.experiments.challenges import experiment, shadow_keys
    from serving.experiments.report import build, table
    from serving.reports.experiment import write

    shop = opened(workspace)
    if key in shadow_keys(shop):
        typer.echo("\n".join(shadows.lines(shop, key)))
        return
    report = build(shop, experiment(shop, key), datetime.now(UTC))
    _told(table(report), write(shop, report))


@reports.command("impact")
def report_impact(workspace: WorkspaceOption = None, first: FirstDay = None, last: LastDay = None) -> None:
    """Say what came of everything against the global holdout: orders, revenue and margin, by month, channel and so on.

    Example: attune report impact -w shop --from 2026-01-01 --to 2026-03-31
    """
    from serving.impact import shown
    from serving.impact.report import build
    from serving.reports.impact import write

    shop = opened(workspace)
    report = build(shop, first and first.date(), last and last.date(), datetime.now(UTC))
    _told(shown.impact(report), write(shop, report))


@experiments.command("plan")
def plan_experiment(
    key: Annotated[str, typer.Argument(help="The experiment's key, as its file in experiments/ says.")],
    workspace: WorkspaceOption = None,
    lift: Annotated[float, typer.Option(help="The effect to find, relative to the control: 0.05 is 5 % more.")] = 0.05,
    as_json: Annotated[bool, typer.Option("--json", help="The plan as JSON.")] = False,
) -> None:
    """Say what effect a test finds, how long it takes to find a lift, and what its control costs, from the history.

    Example: attune experiment plan checkout-badge --lift 0.03 -w shop
    """
    import json

    from serving.experiments.challenges import experiment
    from serving.experiments.planning import plan, table

    shop = opened(workspace)
    found = plan(shop, experiment(shop, key), datetime.now(UTC), lift)
    typer.echo(json.dumps(found, indent=1) if as_json else "\n".join(table(found)))


@reports.command("journey")
def report_journey(workspace: WorkspaceOption = None, first: FirstDay = None, last: LastDay = None) -> None:
    """Say how far customers come, from the first touch to the second order: loss, time, and what of it was caused.

    Example: attune report journey -w shop --from 2026-01-01 --to 2026-03-31
    """
    from serving.impact import shown
    from serving.impact.journey import build
    from serving.reports.journey import write

    shop = opened(workspace)
    report = build(shop, first and first.date(), last and last.date(), datetime.now(UTC))
    _told(shown.journey(report), write(shop, report))


@reports.command("policy")
def report_policy(
    workspace: WorkspaceOption = None,
    days: Annotated[int, typer.Option(min=1, max=365, help="How long after a decision money counts.")] = 14,
) -> None:
    """Say what other policies would have brought on the offer decisions of the journal, each with its interval.

    Example: attune report policy --days 14 -w shop
    """
    from serving.experiments.off_policy import build, table
    from serving.reports.policy import write

    shop = opened(workspace)
    report = build(shop, datetime.now(UTC), days)
    _told(table(report), write(shop, report))


@experiments.command("sql")
def sql_of_experiment(
    key: Annotated[str, typer.Argument(help="The experiment's key, as its file in experiments/ says.")],
    workspace: WorkspaceOption = None,
    dialect: Annotated[Literal["duckdb", "postgresql"], typer.Option(help="The database that is asked.")] = "duckdb",
    customer: Annotated[str, typer.Option(help="The column that holds the customer's id.")] = "customer",
) -> None:
    """Print the SQL that gives a customer the arm that the service gives; NULL for who is not in the experiment.

    Example: attune experiment sql checkout-badge --dialect postgresql -w shop
    """
    from serving.experiments.assignment import arm_sql
    from serving.experiments.challenges import experiment

    shop = opened(workspace)
    typer.echo(arm_sql(experiment(shop, key), dialect, customer, shop.settings.holdout))


def _told(lines: Iterable[str], paths: Iterable[Path]) -> None:
    """The report in words, and where it is stored."""
    for line in lines:
        typer.echo(line)
    for path in paths:
        typer.echo(f"stored: {path}")
