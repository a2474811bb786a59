"""The report of impact as one offline HTML file and as CSV, beside the stored JSON; both show its numbers alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from features.words import many
from features.workspace import Workspace
from serving.reports import campaign, experiment_charts, impact_charts
from serving.reports import impact_engagement as engaged
from serving.reports.experiment_words import says
from serving.reports.shelf import keep
from training.reports.page import Page, anchor, interval, kind_of, shown, signed

Report = Mapping[str, Any]
Row = Mapping[str, Any]
SHOWN = 12  # rows of a picture; the table holds all
WHAT = {"orders": "Orders", "revenue": "Revenue", "margin": "Margin"}
BY = {"month": "By month", "channel": "By channel", "campaign": "By campaign", "segment": "By segment"}
METHOD = (
    (
        "What incremental means",
        "The customers of the global holdout are reached by nothing personal. What everybody else did more than they, "
        "per customer, times the customers treated, is what came of all that Attune did. The interval is of 95 %.",
        "The rows of months, channels and campaigns add up to the total, and so do those of each group of segments.",
    ),
    (
        "What attributed means",
        "Orders within reach of a click or an open, given to the last one (last touch). It describes who clicked "
        "before they ordered, and says nothing of who would have ordered anyway; it is in no other number.",
    ),
    (
        "Many rows",
        "Of many rows some differ by chance. The adjusted p-value of a row says how sure it is among the others of its "
        "breakdown.",
    ),
)


def write(workspace: Workspace, report: Report) -> list[Path]:
    """Stores the report as JSON, HTML and CSV; the paths."""
    paths = keep(workspace, "impact", report, page(report))
    campaign.write(workspace, report)
    return paths


def page(report: Report) -> Page:
    """The page of this report."""
    until = report["computed_at"].replace("T", " ").removesuffix("Z")
    told = Page("Impact", f"{report['from']} to {report['to']} ({report['timezone']}) · as of {until} UTC")
    head, why, kind = _headline(report)
    told.verdict(head, why, kind=kind)
    for warning in _warnings(report["holdout"]):
        told.warning(warning)
    breakdowns = [name for name in BY if report["by"].get(name)]
    titles = [*(BY[name] for name in breakdowns), *engaged.titles(report)]
    told.links("Parts of this report", {title: f"#{anchor(title)}" for title in titles})
    _total(told, report)
    for name in breakdowns:
        _by(told, report, name)
    engaged.section(told, report)
    _method(told, report)
    return told


def _headline(report: Report) -> tuple[str, str, str]:
    """The verdict on the money, why, and its kind."""
    cell, currency = report["total"]["revenue"], report["currency"]
    holdout = report["holdout"]
    who = f"{many(holdout['treated'], 'customer')} treated, {holdout['held_out']:,} of the global holdout."
    if cell["incremental"] is None or cell["lower"] is None:
        return "What it brought cannot be told", f"{holdout['why'] or 'Too few customers'}. {who}", "flat"
    kind = kind_of(cell["lower"], cell["upper"])
    reach = f"95 % interval {interval(cell['lower'], cell['upper'])} {currency}"
    amount = f"{signed(cell['incremental'])} {currency}"
    words = {"good": f"It brought {amount}", "bad": f"It cost {amount}", "flat": "Not distinguishable from nothing"}
    return words[kind], f"Incremental revenue {amount}, {reach}. {who}", kind


def _warnings(holdout: Report) -> Iterator[str]:
    ratio = holdout.get("sample_ratio")
    if ratio and not ratio["as_planned"]:
        yield f"The holdout is not as large as planned, so no increment here is to be believed ({ratio['why']})."
    if holdout.get("reached"):
        yield f"{holdout['reached']:,} of the holdout were sent messages all the same: the increments are too small."


def _total(page: Page, report: Report) -> None:
    page.section("In all")
    total = report["total"]
    rows = [_cell(f"{WHAT[name]}{_unit(name, report)}", total[name]) for name in WHAT if total.get(name)]
    page.table(rows)
    net, cost = total.get("net"), f"Cost: {shown(float(total['cost']))} {report['currency']}."
    if net and net["value"] is not None:
        cost += f" Net of it: {signed(net['value'])} {report['currency']} ({interval(net['lower'], net['upper'])}), "
        cost += f"{net['verdict']}."
    page.text(cost)


def _unit(name: str, report: Report) -> str:
    return "" if name == "orders" else f" ({report['currency']})"


def _cell(what: str, cell: Row) -> dict[str, Any]:
    return {
        "": what,
        "incremental": cell["incremental"],
        "95 % interval": interval(cell["lower"], cell["upper"]),
        "lift (%)": None if cell["lift"] is None else 100 * cell["lift"],
        "p": cell["p_value"],
        "treated": cell["treated"],
        "holdout": cell["held_out"],
    }


def _by(page: Page, report: Report, name: str) -> None:
    rows = report["by"][name]
    page.section(BY[name])
    groups = dict.fromkeys(row.get("group") for row in rows)
    for group in groups:
        own = [row for row in rows if row.get("group") == group]
        if group is not None:
            page.subsection(str(group))
        _pictured(page, report, name, own)
        what = f"{BY[name]}{f', {group}' if group else ''}, as a table"
        page.table([_row(name, row, report) for row in own], summary=what)


def _pictured(page: Page, report: Report, name: str, rows: list[Row]) -> None:
    told = [(row, row["revenue"]) for row in rows if row["revenue"]["lower"] is not None]
    if name == "month" and rows and not told:
        whole = [{"key": _key(row), "value": row["revenue"]["treated"] + row["revenue"]["held_out"]} for row in rows]
        page.chart(
            impact_charts.months(whole, f"revenue ({report['currency']})"),
            "Revenue by month, of everybody. Which part of it was caused cannot be told.",
        )
        return
    some: list[dict[str, Any]] = [
        {"key": _key(row), "says": says({}, cell), **_ends(cell)} for row, cell in told if _moved(cell)
    ]
    unit = f"incremental revenue ({report['currency']})"
    if name != "month":
        largest = sorted(some, key=lambda row: -abs(float(row["value"])))[:SHOWN]
        some = [row for row in some if row in largest]
    if len(some) < (1 if name == "month" else 2):  # one line beside nothing says no more than the total
        return
    picture = impact_charts.months(some, unit) if name == "month" else experiment_charts.told(some, "key", unit)
    rest = " The table holds the others." if len(rows) > len(some) else ""
    page.chart(picture, f"Incremental revenue {BY[name].lower()}, with 95 % intervals.{rest}")


def _moved(cell: Row) -> bool:
    """Whether there is anything to draw: of a campaign that earned nobody anything there is not."""
    return bool(cell["incremental"] or cell["lower"] or cell["upper"])


def _ends(cell: Row) -> dict[str, float]:
    return {"value": cell["incremental"], "lower": cell["lower"], "upper": cell["upper"]}


def _key(row: Row) -> str:
    return "(none)" if row["key"] is None else str(row["key"])


def _row(name: str, row: Row, report: Report) -> dict[str, Any]:
    revenue, margin, net, last = (row.get(part) or {} for part in ("revenue", "margin", "net", "attributed"))
    found = {
        name: _key(row),
        f"revenue, incremental ({report['currency']})": revenue["incremental"],
        "95 % interval": interval(revenue["lower"], revenue["upper"]),
        "p, adjusted": revenue.get("p_adjusted"),
        "revenue, treated": revenue["treated"],
        "revenue, holdout": revenue["held_out"],
        "orders, incremental": row["orders"]["incremental"],
        "cost": row["cost"],
    }
    if report["total"].get("margin"):
        found |= {"margin, incremental": margin.get("incremental"), "net": net.get("value")}
    if row.get("why") is not None:
        found |= {"note": row["why"] or "–"}
    if name in ("channel", "campaign"):
        found |= {"attributed: orders": last.get("orders"), "attributed: revenue": last.get("revenue")}
    return found


def _method(page: Page, report: Report) -> None:
    page.section("Method and definitions", report["population"]["left_out"], *report.get("notes", ()))
    for summary, *paragraphs in METHOD:
        page.details(summary, *paragraphs)
