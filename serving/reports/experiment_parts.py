"""The parts of an experiment's page that a report may hold: over time, segments, waiting, the spread, who came in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from serving.reports import experiment_charts as charts
from training.reports.page import Page, interval

Report = Mapping[str, Any]
Section = tuple[str, Callable[[Page, Report], None], bool]


def sections(report: Report) -> Iterator[Section]:
    """Title, what adds it to a page, and whether the report holds it."""
    yield "How long until it happened", _waited, any(_curves(report, key) for key in _metrics(report))
    yield "Who came in", _split, bool(report["sample_ratio"].get("days"))


def _metrics(report: Report) -> list[str]:
    return list(report["arms"][0]["metrics"])


def _name(report: Report, key: str) -> str:
    return str(report.get("metrics", {}).get(key, {}).get("name", key))


def _curves(report: Report, key: str) -> dict[str, Report]:
    """By arm the points of this metric's curve."""
    found = {arm["arm"]: arm["metrics"].get(key, {}).get("curve") for arm in report["arms"]}
    return {arm: curve for arm, curve in found.items() if curve}


def _waited(page: Page, report: Report) -> None:
    page.section(
        "How long until it happened",
        "The share of customers who had not done it yet, so many days after the first exposure (Kaplan and Meier); "
        "everybody assigned counts, as far as they were seen.",
    )
    for key in _metrics(report):
        if curves := _curves(report, key):
            rows: list[dict[str, Any]] = [
                {"arm": arm, **row} for arm, curve in curves.items() for row in _points(curve)
            ]
            page.chart(charts.waited(rows, list(curves)), f"{_name(report, key)}: not yet, by arm, with 95 % bands.")
            page.table(
                [
                    {"arm": row["arm"], "day": row["day"], "not yet (%)": row["share"]}
                    | {"95 % band": interval(row["lower"], row["upper"])}
                    for row in rows
                ],
                summary="The curves as a table",
            )


def _points(curve: Report) -> Iterator[dict[str, float]]:
    for day, share, lower, upper in zip(
        *(curve[name] for name in ("times", "survival", "lower", "upper")), strict=True
    ):
        yield {"day": day, "share": 100 * share, "lower": 100 * lower, "upper": 100 * upper}


def _split(page: Page, report: Report) -> None:
    ratio, arms = report["sample_ratio"], [arm["arm"] for arm in report["arms"]]
    said = "as planned" if ratio["as_planned"] else "not as planned"
    page.section(
        "Who came in",
        f"First exposures by day; the arms are {said} (p = {ratio['p_value']:.3f}). The dashed line is the planned "
        "share; a ring marks a day that is off.",
    )
    rows = [row for day in ratio["days"] for row in _of_day(day, arms)]
    page.chart(charts.split(rows, arms, report.get("shares", {})), "Share of each day's new customers, by arm.")
    table = [
        {"day": day["day"], **{arm: day["arms"].get(arm, 0) for arm in arms}, "p": day["p_value"]}
        | {"": "off" if day["alarm"] else "as planned"}
        for day in ratio["days"]
    ]
    page.table(table, summary="Customers by day as a table")


def _of_day(day: Report, arms: list[str]) -> Iterator[dict[str, Any]]:
    whole = sum(day["arms"].values())
    for arm in arms:
        share = 100 * day["arms"].get(arm, 0) / whole
        yield {"day": day["day"], "arm": arm, "share": share, "customers": whole, "alarm": day["alarm"]}
