"""The report of the journey as one offline HTML file and as CSV beside the stored JSON; both show its numbers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from features.words import many
from features.workspace import Workspace
from serving.reports import experiment_charts, impact_charts
from serving.reports.experiment_words import says
from serving.reports.shelf import keep
from training.reports.page import Page, anchor, interval, kind_of, signed

Report = Mapping[str, Any]
SHOWN = 12  # rows of a picture; the table holds all
ORDERED = "order"  # the step that pays
BY = {"source": "By source", "segment": "By segment"}
METHOD = (
    (
        "Steps",
        "Whoever took a later step has taken those before it: an order without a recorded view is one of a customer "
        "who looked. The share is of the step before; times are medians over those of whom both steps were seen.",
    ),
    (
        "What incremental means",
        "How many more of the treated came so far than would have as customers of the global holdout, whom nothing "
        "personal reaches. Source and segment were so before, so that both compare in each.",
    ),
)


def write(workspace: Workspace, report: Report) -> list[Path]:
    """Stores the report as JSON, HTML and CSV; the paths."""
    return keep(workspace, "journey", report, page(report))


def page(report: Report) -> Page:
    """The page of this report."""
    until = report["computed_at"].replace("T", " ").removesuffix("Z")
    told = Page("Journey", f"{report['from']} to {report['to']} ({report['timezone']}) · as of {until} UTC")
    everybody = next(row for row in report["rows"] if row["by"] == "all")
    _verdict(told, everybody)
    present = [by for by in BY if any(row["by"] == by for row in report["rows"])]
    cohorts = {"Who came again": "#who-came-again"} if report.get("cohorts") else {}
    told.links("Parts of this report", {BY[by]: f"#{anchor(BY[by])}" for by in present} | cohorts)
    _whole(told, report, everybody)
    for by in present:
        _by(told, report, by)
    if cohorts:
        _cohorts(told, report["cohorts"])
    _method(told, report)
    return told


def _verdict(page: Page, row: Report) -> None:
    step = next((one for one in row["steps"] if one["step"] == ORDERED), None)
    people = row["customers"]
    who = f"{many(people['treated'], 'customer')} treated, {people['held_out']:,} of the global holdout."
    if step is None or step["incremental"] is None or step["incremental_lower"] is None:
        page.verdict(
            "What it changed cannot be told", f"{row['why'] or 'There is no global holdout'}. {who}", kind="flat"
        )
        return
    ends = step["incremental_lower"], step["incremental_upper"]
    count = signed(step["incremental"])
    kind = kind_of(*ends)
    words = {"good": f"{count} customers ordered", "bad": f"{count} customers ordered"}
    detail = f"Customers who ordered because of what they were shown or sent: {count}, 95 % interval {interval(*ends)}."
    page.verdict(words.get(kind, "Not distinguishable from nothing"), f"{detail} {who}", kind=kind)


def _whole(page: Page, report: Report, row: Report) -> None:
    page.section("From the first touch to a repeat order", "All customers, and where they were lost.")
    steps = [{"step": _step(report, one), "customers": one["customers"]} for one in row["steps"]]
    if any(one["customers"] for one in steps):
        page.chart(impact_charts.funnel(steps, "step", "customers"), "Customers who came to each step.")
    page.table([_told(report, one) for one in row["steps"]])
    if row["why"]:
        page.text(f"The increments are not to be believed: {row['why']}.")


def _step(report: Report, step: Report) -> str:
    return next((str(one["name"]) for one in report["steps"] if one["key"] == step["step"]), str(step["step"]))


def _told(report: Report, step: Report) -> dict[str, Any]:
    def percent(name: str) -> float | None:
        return None if step.get(name) is None else 100 * step[name]

    return {
        "step": _step(report, step),
        "customers": step["customers"],
        "of the step before (%)": percent("share"),
        "95 % interval": interval(percent("lower"), percent("upper")),
        "lost": step["lost"],
        "days, median": step["days"],
        "incremental": step["incremental"],
        "its interval": interval(step["incremental_lower"], step["incremental_upper"]),
        "p, adjusted": step.get("p_adjusted"),
    }


def _by(page: Page, report: Report, by: str) -> None:
    rows = [row for row in report["rows"] if row["by"] == by]
    page.section(BY[by], "The whole way of each, and how many ordered because of what they were shown or sent.")
    some = list(_increments(rows))
    if len(some) > 1:
        largest = sorted(some, key=lambda one: -abs(float(one["value"])))[:SHOWN]
        picture = experiment_charts.told([one for one in some if one in largest], "key", "customers who ordered")
        rest = " The table holds the others." if len(rows) > len(largest) else ""
        page.chart(picture, f"Customers who ordered, incremental, {BY[by].lower()}, with 95 % intervals.{rest}")
    page.table([_across(report, row) for row in rows], summary=f"Customers at each step, {BY[by].lower()}, as a table")
    for row in rows[:SHOWN]:
        page.table([_told(report, one) for one in row["steps"]], summary=f"{_key(row)}, step by step")


def _increments(rows: list[Report]) -> Iterator[dict[str, Any]]:
    for row in rows:
        for step in row["steps"]:
            if step["step"] == ORDERED and step["incremental_lower"] is not None and not row["why"]:
                ends = {"lower": step["incremental_lower"], "upper": step["incremental_upper"]}
                yield {"key": _key(row), "value": step["incremental"], "says": says({}, ends)} | ends


def _key(row: Report) -> str:
    return str(row["key"]) if row.get("group") is None else f"{row['group']}: {row['key']}"


def _across(report: Report, row: Report) -> dict[str, Any]:
    return {"": _key(row)} | {_step(report, one): one["customers"] for one in row["steps"]}


def _cohorts(page: Page, cohorts: list[Report]) -> None:
    page.section(
        "Who came again",
        "Customers by the month of their first order, and how many of them ordered again in each month after it.",
    )
    names = [one["cohort"] for one in cohorts]
    rows = [
        {"cohort": one["cohort"], "after": after, "share": 100 * count / one["customers"]}
        for one in cohorts
        for after, count in enumerate(one["again"], 1)
    ]
    if rows:
        page.chart(impact_charts.retention(rows, names), "Share of each month's new customers who ordered again (%).")
    months = range(max(len(one["again"]) for one in cohorts))
    table = [
        {"first order": one["cohort"], "customers": one["customers"]}
        | {f"month {month + 1}": one["again"][month] if month < len(one["again"]) else None for month in months}
        for one in cohorts
    ]
    page.table(table, summary="Customers who ordered again, as a table")


def _method(page: Page, report: Report) -> None:
    left = report.get("population", {}).get("left_out")
    page.section("Method and definitions", *([left] if left else []), *report.get("notes", ()))
    for summary, *paragraphs in METHOD:
        page.details(summary, *paragraphs)
