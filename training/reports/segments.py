"""The segments report: sizes, overlaps and the customer journey, for the page and for the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from features.customers.journey import BEFORE
from features.workspace import Workspace
from training.reports.page import Page, shown, stored
from training.reports.segments_flow import flow

Figures = dict[str, Any]
PAIRS = 15  # overlaps that are seen at once; the others are folded


def write(workspace: Workspace, found: Figures) -> Path:
    """The report's path; the numbers stand beside it as JSON."""
    return stored(workspace, "segments", found, report(found))


def report(found: Figures) -> Page:
    """The page of these figures; it shows no number that they do not hold."""
    page = Page("Segments", f"{shown(found['customers'])} customers as of {day(found['as_of'])} · {found['left_out']}")
    _journey(page, found["journey"])
    page.section("Sizes", "A customer may be in several segments, or in none.")
    page.table([_size(one) for one in found["sizes"]], words=("who",))
    page.section("Overlaps", "Of those who are in either of two segments, how many are in both; the closest first.")
    pairs = [_pair(one) for one in found["overlaps"]]
    page.table(pairs[:PAIRS])
    page.table(pairs[PAIRS:], summary=f"{max(len(pairs) - PAIRS, 0):,} more pairs")
    return page


def lines(found: Figures) -> Iterator[str]:
    """Sizes, the closest overlaps, the stages at each month's end and the last moves, for the terminal."""
    yield found["left_out"]
    yield f"{found['customers']:,} customers as of {day(found['as_of'])}"
    width = max((len(one["key"]) for one in found["sizes"]), default=0)
    for one in found["sizes"]:
        yield f"  {one['key']:{width}} {one['customers']:>9,} {100 * one['share']:5.1f} %  {one['description']}"
    yield "overlaps: in both, as a share of those in either"
    for one in found["overlaps"][:PAIRS]:
        pair = f"{one['first']} & {one['second']}"
        yield f"  {pair:{2 * width + 3}} {one['customers']:>9,} {100 * one['share']:5.1f} %"
    yield "stages at the ends of months"
    yield from _told(_stages(found["journey"]))
    if moved := _moves(found["journey"]):
        yield f"moves from {' to '.join(found['journey']['days'][-2:])}, from (rows) to (columns)"
        yield from _told(moved)


def _journey(page: Page, journey: Figures) -> None:
    page.section(
        "The customer journey",
        "Everybody who has ordered, by the stage of their lifecycle at the ends of months: each band is the customers "
        "who went from one stage to the next, as wide as they are many.",
    )
    if not _moves(journey):
        page.text("Nobody has ordered yet, or there is one moment only: there is no movement to show.")
        return
    page.chart(flow(journey), "Customers by stage, and how they moved from month's end to month's end")
    page.table(_stages(journey))
    page.subsection(f"From {' to '.join(journey['days'][-2:])}", "From the stage of the row to that of the column.")
    page.table(_moves(journey))
    page.table([_move(journey, one) for one in journey["moves"]], summary="Every move between two months' ends")


def _stages(journey: Figures) -> list[dict[str, Any]]:
    labels = journey["days"]
    named = zip(journey["stages"], journey["sizes"], strict=True)
    return [{"stage": word(name), **dict(zip(labels, sizes, strict=True))} for name, sizes in named]


def _moves(journey: Figures) -> list[dict[str, Any]]:
    """The last moves as a square: a row per stage from which somebody went or in which somebody stayed."""
    last = len(journey["days"]) - 2
    found = {(one["from"], one["to"]): one["customers"] for one in journey["moves"] if one["start"] == last}
    into = [name for name in journey["stages"] if name != BEFORE]
    rows = [name for name in journey["stages"] if any(a == name for a, _b in found)]
    return [{"from": word(a), **{word(b): found.get((a, b), 0) for b in into}} for a in rows]


def _move(journey: Figures, one: Figures) -> dict[str, Any]:
    when = " to ".join(journey["days"][one["start"] : one["start"] + 2])
    return {"from": word(one["from"]), "to": word(one["to"]), "customers": one["customers"], "when": when}


def _size(one: Figures) -> dict[str, Any]:
    share = 100 * one["share"]
    return {"segment": one["key"], "customers": one["customers"], "%": share, "who": one["description"]}


def _pair(one: Figures) -> dict[str, Any]:
    return {
        "pair": f"{one['first']} & {one['second']}",
        "in both": one["customers"],
        "% of either": 100 * one["share"],
        "% of the first": 100 * one["of_first"],
        "% of the second": 100 * one["of_second"],
    }


def _told(rows: list[dict[str, Any]]) -> Iterator[str]:
    cells = [[str(name) for name in rows[0]], *([shown(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for first, *others in cells:
        numbers = (f"{cell:>{width}}" for cell, width in zip(others, widths[1:], strict=True))
        yield f"  {first:{widths[0]}}  {'  '.join(numbers)}"


def word(stage: str) -> str:
    """A stage as a person reads it."""
    return stage.replace("_", " ")


def day(moment: str) -> str:
    """The day of a moment."""
    return f"{datetime.fromisoformat(moment):%Y-%m-%d}"
