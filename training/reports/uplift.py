"""The uplift report: one offline HTML file and the same numbers as JSON, from what a training run left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from features.exposures import CONTROL
from features.offers import read_offers
from features.workspace import Workspace
from training.reports import policy, uplift_budget, uplift_offer
from training.reports import uplift_charts as charts
from training.reports.charts import forest
from training.reports.page import Page, interval, kind_of, shown, stored
from training.reports.runs import kept, starting
from training.reports.uplift_figures import Evidence, figures
from training.reports.uplift_offer import SHOWN, estimate
from training.reports.uplift_words import METHOD, effect_words, headline, ranking_words, warnings_of

Figures = dict[str, Any]


def write(workspace: Workspace, run: str = "") -> Path:
    """The report's path; the newest run with evidence where `run` is empty. The numbers stand beside it as JSON."""
    evidence = Evidence.read(run_folder(workspace, run))
    found = figures(evidence, read_offers(workspace.folder), workspace.settings.currency)
    return stored(workspace, f"uplift-{found['run'][:8]}", found, report(found))


def run_folder(workspace: Workspace, run: str) -> Path:
    """The folder of this run (its id or the start of it), or of the newest one."""
    known = kept(workspace, "oof.npz", "uplift")
    return starting(known, run, workspace) if run else known[-1]


def report(found: Figures) -> Page:
    """The page of these figures; it shows no number that they do not hold."""
    rows = sum(arm["rows"] for arm in found["arms"])
    page = Page(
        f"Uplift report: {found['log']}", f"Outcome: {found['outcome']} · {rows:,} rows · run {found['run'][:8]}"
    )
    _verdict(page, found)
    _tested(page, found)
    _effects(page, found)
    policy.section(page, found["policy"])
    uplift_budget.section(page, found["budget"], policy.unit(found["policy"]))
    for offer, one in found["offers"].items():
        uplift_offer.section(page, found, offer, one)
    _balance(page, found)
    page.section("Method and definitions")
    for summary, *paragraphs in METHOD:
        page.details(summary, *paragraphs)
    return page


def _verdict(page: Page, found: Figures) -> None:
    for warning in [*warnings_of(found), *policy.warnings_of(found["policy"])]:
        page.warning(warning)
    page.verdict(*headline(found), kind=kind_of(found["lower"], found["upper"]))
    for offer, one in found["offers"].items():
        effect = one["effect"]
        title, detail = effect_words(offer, one, found["unit"])
        page.verdict(title, f"{detail} {ranking_words(offer, one)}", kind=kind_of(effect["lower"], effect["upper"]))


def _tested(page: Page, found: Figures) -> None:
    page.section(
        "Who was tested",
        f"Each row of the log is a customer who, once, was given an offer or, in the arm “{CONTROL}”, nothing. "
        f"The mean is {found['unit']}; the interval holds the truth 95 times in 100.",
    )
    page.table(
        [
            {
                "arm": arm["arm"],
                found["unit"]: arm["value"],
                "95 % interval": interval(arm["lower"], arm["upper"]),
                "rows": arm["rows"],
                "customers": arm["customers"],
                f"with {found['outcome']}": arm["with_outcome"],
            }
            for arm in found["arms"]
        ]
    )


def _effects(page: Page, found: Figures) -> None:
    page.section(
        "What each offer changed",
        "The mean among those who were given the offer minus the mean among those who were not. "
        "An interval that crosses the dashed line is not distinguishable from no effect.",
    )
    rows = [{"offer": offer, **one["effect"]} for offer, one in found["offers"].items()]
    page.chart(forest(rows, "offer", f"effect, {found['unit']}"), "Average effect of each offer, 95 % intervals.")
    page.table([estimate({"offer": row["offer"]}, row, found["unit"]) for row in rows])


def _balance(page: Page, found: Figures) -> None:
    page.section(
        "Were the groups alike?",
        "In a fair test, who was given the offer cannot be told from what was known before. Differences are in "
        "standard deviations; beyond 0.1 the arms differ, unless they are so small that chance gives as much.",
    )
    for offer, one in found["offers"].items():
        checks = one["checks"]
        guess, ratio = checks["predictability"], checks["sample_ratio"]
        text = (
            f"A model that guesses the arm from the features scores {shown(guess['value'])} "
            f"({interval(guess['lower'], guess['upper'])}); 0.5 is a coin (p = {shown(guess['p_value'])}). "
            "Arms in their planned ratio: "
            f"{'no plan is known' if ratio is None else f'p = {shown(ratio)}'}."
        )
        page.subsection(f"{offer} against {CONTROL}", text)
        if not one["balance"]:
            continue
        picked = one["balance"][:SHOWN]
        page.chart(charts.balance(picked), f"The {len(picked)} largest differences between {offer} and {CONTROL}.")
        table = [{"feature": row["feature"], "difference": row["difference"]} for row in one["balance"]]
        page.table(table, summary="All differences as a table")
