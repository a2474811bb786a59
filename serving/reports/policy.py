"""The report of other policies as one offline HTML file and as CSV, beside its JSON; both show its numbers alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.words import many
from features.workspace import Workspace
from serving.experiments.analysis import verdict
from serving.experiments.off_policy import NAME
from serving.reports.shelf import keep
from training.reports.charts import forest
from training.reports.page import Page, interval, kind_of

Report = Mapping[str, Any]


def write(workspace: Workspace, report: Report) -> list[Path]:
    """Stores the report as JSON, HTML and CSV; the paths."""
    return keep(workspace, NAME, report, page(report))


def page(report: Report) -> Page:
    """The page of this report."""
    until = report["computed_at"].replace("T", " ").removesuffix("Z")
    told = Page(
        "Other policies", f"offer decisions from {report['from'][:10]} to {report['to'][:10]} · as of {until} UTC"
    )
    _verdict(told, report)
    unit = f"{report['currency']} per customer"
    told.section(
        "What each would have brought",
        f"Money in the {many(report['window_days'], 'day')} after the first offer decision of "
        f"{many(report['customers'], 'customer')}, less refunds and what offers cost. Each decision counts by the "
        "chance that the policy gives what was chosen, over the chance that was logged.",
    )
    for line in filter(None, [report["untold"], report["left_out"]]):
        told.text(line)
    known = [one for one in report["policies"] if one["lower"] is not None]
    rows = [{"policy": one["policy"], **{name: one[name] for name in ("value", "lower", "upper")}} for one in known]
    ours = {"policy": "the rule in force", **report["in_force"]}
    if ours["lower"] is not None:
        told.chart(forest([ours, *rows], "policy", unit), f"{unit} by policy, with 95 % intervals.")
    told.table([_row(one) for one in [ours, *report["policies"]]], words=("policy", "to the rule in force"))
    told.section("Method and definitions")
    told.details(
        "What is compared",
        "Self-normalised importance sampling (Hájek 1971; Swaminathan and Joachims 2015), with intervals by each "
        "customer's influence. It needs that the chance of each choice was logged, and no model.",
        "Effective is how many decisions of the policy itself would say as much; what was never given in the log "
        "cannot be valued.",
    )
    return told


def _verdict(page: Page, report: Report) -> None:
    known = [one for one in report["policies"] if one["difference"]["lower"] is not None]
    if not known:
        page.verdict("Nothing can be said", "Too few decisions speak of any other policy.", kind="flat")
        return
    top = max(known, key=lambda one: one["difference"]["lower"])
    apart = top["difference"]
    head = f"{top['policy']}: {verdict(apart['lower'], apart['upper']).replace('control', 'the rule in force')}"
    among = f"the best of {len(known)}, and of many one looks good by chance"
    page.verdict(head, f"{interval(apart['lower'], apart['upper'])} {report['currency']} per customer; {among}",
                 kind=kind_of(apart["lower"], apart["upper"]))  # fmt: skip


def _row(one: Report) -> dict[str, Any]:
    apart = one.get("difference") or {}
    return {
        "policy": one["policy"],
        "value": one["value"],
        "95 % interval": interval(one["lower"], one["upper"]),
        "to the rule in force": interval(apart.get("lower"), apart.get("upper")),
        "offered (%)": 100 * one["offered"],
        "effective": one.get("effective"),
        "never given (%)": 100 * one["outside"] if "outside" in one else None,
    }
