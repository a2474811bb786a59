"""The verbs of the middle floor: train, compare, promote, refit, rollback, score, plan, segments, report."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
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


@trains.command("recommender")
def train_recommender(
    workspace: WorkspaceOption = None,
    model: Annotated[str | None, typer.Option(help="One model only; default: those of attune.yaml.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of all chance; default: the workspace's.", min=0)] = None,
    tune: Annotated[int, typer.Option(help="Attempts per model and for the events' weights; 0: none.", min=0)] = 0,
) -> None:
    """Fits recommenders, judges them on a split by time and registers the best.

    Prints each model against the popularity baseline with its interval, and the version registered.

    Example: attune train recommender -w shop
    """
    from training.pipelines import recommend
    from training.pipelines.recommend_lines import lines

    place = opened(workspace)
    models = (model,) if model else place.settings.recommender.models
    chance = place.settings.seed if seed is None else seed
    trained, left_out, registered = recommend.train(place, models, now=datetime.now(UTC), seed=chance, tune=tune)
    typer.echo(left_out)
    for line in lines(trained):
        typer.echo(line)
    typer.echo(registered.line("recommender", trained.model.name))


@app.command()
def promote(
    kind: Annotated[str, typer.Argument(help="recommender or uplift.")],
    version: Annotated[
        str, typer.Argument(help="A version's number, or latest: the newest trained in this workspace.")
    ],
    workspace: WorkspaceOption = None,
    force: Annotated[bool, typer.Option("--force", help="Also when it is worse; needs --reason.")] = False,
    reason: Annotated[str, typer.Option(help="Why a worse model is promoted; it is kept.")] = "",
    share: Annotated[
        float | None, typer.Option(help="Beside the champion, for this share of the customers; 0: a shadow.")
    ] = None,
) -> None:
    """Make a registered model the one that is served, or, with --share, a challenger beside it.

    A challenger is a test: `attune report experiment` compares the two. It ends with the next promote or rollback.

    Example: attune promote recommender latest -w shop
    """
    from training import promotion

    if force != bool(reason.strip()):
        raise ValueError("--force and --reason go together: a model that is worse is promoted for a reason only")
    place, why = opened(workspace), reason.strip() or None
    if share is None:
        typer.echo(promotion.promote(place, kind, version, reason=why))
    else:
        typer.echo(promotion.challenge(place, kind, version, share, reason=why))


@app.command()
def refit(
    kind: Annotated[str, typer.Argument(help="recommender or uplift.")], workspace: WorkspaceOption = None
) -> None:
    """Train again as attune.yaml says, and promote what comes out where it is not worse than the champion.

    The champion is judged beside it on the newest part of the log: a recommender's is made again from what came before,
    an uplift model's is taken as it is where it has not seen that. The `schedule` of attune.yaml does this every day
    in `attune work`.

    Example: attune refit recommender -w shop
    """
    from training.refit import refit as again
    from training.tracking import require_kind

    require_kind(kind)
    for line in again(opened(workspace), kind, datetime.now(UTC)):
        typer.echo(line)


@app.command()
def rollback(
    kind: Annotated[str, typer.Argument(help="recommender or uplift.")], workspace: WorkspaceOption = None
) -> None:
    """Take the last promotion back: a challenger goes, else the release before the current one is served again.

    Example: attune rollback recommender -w shop
    """
    from training.promotion import rollback as back

    typer.echo(back(opened(workspace), kind))


@app.command()
def compare(
    kind: Annotated[str, typer.Argument(help="recommender or uplift; or a recommender's run.")] = "recommender",
    other: Annotated[str, typer.Argument(help="The run to compare with.")] = "",
    workspace: WorkspaceOption = None,
    policy: Annotated[bool, typer.Option("--policy", help="What uplift runs' choices would have earned.")] = False,
) -> None:
    """Show the registered models of a kind, newest first, each against its baseline; or one run against another.

    Of recommenders it also shows what the newest run's models cost. A run is named by its version or its id.
    With `--policy`: of one or two uplift runs, or the newest, what their choices would have earned, in money per 1,000
    customers, against nobody, the best single offer and the rule in force; a run is named by how its id starts.

    Example: attune compare recommender
    """
    if policy:
        from training.reports.policy import told

        lines = told(opened(workspace), [word for word in (kind, other) if word not in ("", "recommender", "uplift")])
    elif other:
        from training import comparison

        lines = comparison.lines(opened(workspace), kind, other)
    else:
        from training import comparison, promotion

        lines = promotion.lines(kind) + comparison.pareto_lines(kind)
    for line in lines:
        typer.echo(line)


@app.command()
def score(
    kind: Annotated[str, typer.Argument(help="recommender or uplift.")],
    out: Annotated[Path, typer.Option(help="The file to write: .csv or .parquet.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Write recommendations or effects for all customers who agreed to a file, which is registered.

    Example: attune score recommender --out scores.parquet -w shop
    """
    from training.score import score as scored

    for line in scored(opened(workspace), kind, out, as_of=datetime.now(UTC)):
        typer.echo(line)


@app.command()
def plan(
    budget: Annotated[float, typer.Option(help="Money that may be spent in all, in the workspace's currency.")],
    workspace: WorkspaceOption = None,
    contacts: Annotated[
        int | None,
        typer.Option(help="Customers that may be contacted; default: offers.contacts of attune.yaml.", min=0),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A file for who gets what: .csv or .parquet.")] = None,
) -> None:
    """Choose for every customer an offer or none, so that they earn the most under a budget.

    Every customer of the served uplift release who agreed and is not held out is planned for, within the budget, the
    contacts, and each offer's own `budget` and `stock` of offers.yaml; an offer only where its `eligible` holds. Spend
    is expected spend: the cost of each contact, and the redemption cost as often as redemption is expected, also by
    those who would have bought anyway.

    Prints what is spent and earned with the most that any plan could earn, what one more of each limit would earn,
    profit against budget, and who gets what. The prices go into the release: the service (offers.policy: budgeted in
    attune.yaml) subtracts them from each offer's profit, and so decides one customer at a time within the budget.

    Example: attune plan --budget 10000 --contacts 50000 --out plan.csv -w shop
    """
    from training.plan import Limits, plan_offers

    place = opened(workspace)
    limits = Limits(budget, place.settings.offers.contacts if contacts is None else contacts)
    for line in plan_offers(place, limits, out, as_of=datetime.now(UTC)):
        typer.echo(line)


@app.command()
def segments(
    workspace: WorkspaceOption = None,
    months: Annotated[int, typer.Option(help="How many months' ends the journey shows.", min=1, max=36)] = 6,
    as_of: Annotated[datetime | None, typer.Option(help="As of this moment, UTC; default: now.")] = None,
) -> None:
    """Count who is in each segment and in two, and show how customers move between the stages of the lifecycle.

    Writes the same as one HTML file that works offline, with a picture of the customer journey, and as JSON beside it.

    Example: attune segments --months 6 -w shop
    """
    from training.reports.segments import lines, write
    from training.segments import figures

    place, now = opened(workspace), datetime.now(UTC)
    found = figures(place, months, as_of or now, now)
    for line in (*lines(found), write(place, found)):
        typer.echo(line)


@reports.command("uplift")
def report_uplift(
    workspace: WorkspaceOption = None,
    run: Annotated[str, typer.Option(help="A run's id, or how it starts; default: the newest uplift run.")] = "",
) -> None:
    """Write what an uplift run found as one HTML file that works offline, and its numbers as JSON beside it.

    Example: attune report uplift -w shop
    """
    from training.reports.uplift import write

    typer.echo(write(opened(workspace), run))


@reports.command("model")
def report_model(
    run: Annotated[str, typer.Argument(help="A version or a run's id; default: the champion's, else the newest.")] = "",
    workspace: WorkspaceOption = None,
) -> None:
    """Write how a run's recommenders compare, and what they say to ten customers, as one HTML file that works offline.

    Its numbers stand beside it as JSON. Both show what customers bought, under pseudonyms: they stay in the workspace.

    Example: attune report model -w shop
    """
    from training.reports.model import write

    typer.echo(write(opened(workspace), run))
