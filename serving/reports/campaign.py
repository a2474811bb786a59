"""A page per campaign, of what the report of impact says of it; one of a campaign that is in it no more goes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from features.workspace import Workspace
from serving.reports.impact_engagement import name_of, parts, read_in
from training.reports.page import Page, interval, kind_of, shown, signed, stored

Report = Mapping[str, Any]
LONGEST = 80  # characters of a file's name that a campaign's key gives


def write(workspace: Workspace, report: Report) -> None:
    """Stores a page and its numbers for each campaign that names itself."""
    rows = {row["key"]: row for row in report["by"].get("campaign", ()) if row["key"] is not None}
    engaged = {one["key"]: one for one in report.get("campaigns", ()) if one["key"] is not None}
    written = set()
    for key in dict.fromkeys([*rows, *engaged]):
        found = told(report, key, rows.get(key), engaged.get(key))
        written.add(stored(workspace, f"campaign-{slug(key)}", found, page(found)))
    for path in workspace.reports.glob("campaign-*.html"):
        if path not in written:
            path.unlink()
            path.with_suffix(".json").unlink(missing_ok=True)


def told(report: Report, key: str, row: Report | None, engaged: Report | None) -> dict[str, Any]:
    """What the report says of one campaign."""
    head = {name: report[name] for name in ("computed_at", "from", "to", "timezone", "currency")}
    return head | {"kind": "campaign", "campaign": key, "impact": row, "engagement": engaged} | {
        "metrics": report.get("metrics", {})
    }  # fmt: skip


def page(found: Report) -> Page:
    """The page of these numbers."""
    until = found["computed_at"].replace("T", " ").removesuffix("Z")
    own = Page(f"Campaign: {found['campaign']}", f"{found['from']} to {found['to']} · as of {until} UTC")
    row = found["impact"] or {}
    _verdict(own, row.get("revenue") or {}, found["currency"])
    if row:
        own.section("What it brought", "Orders and revenue that came through it, against the global holdout.")
        own.table([_cell(name, row[name], found) for name in ("orders", "revenue", "margin") if row.get(name)])
        last = row.get("attributed")
        said = f"Cost: {shown(float(row['cost']))} {found['currency']}."
        if last:
            said += f" Attributed by last touch, which describes only: {shown(float(last['orders']))} orders, "
            said += f"{shown(float(last['revenue']))} {found['currency']}."
        own.text(said)
    if found["engagement"]:
        own.section("What its recipients did", f"{found['engagement']['recipients']:,} recipients.")
        own.table([_metric(key, mean, found) for key, mean in found["engagement"]["metrics"].items()])
        for key, mean in found["engagement"]["metrics"].items():
            if line := parts(key, mean, found):
                own.text(line)
        if test := found["engagement"].get("experiment"):
            own.section("What its test says", test["verdict"])
            own.text(f"The report of the experiment {test['key']}, computed at {test['computed_at']}, has its numbers.")
    return own


def slug(key: str) -> str:
    """The campaign's name in paths: its key, where that is a name; else what is left of it, told apart by a hash."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", key).lstrip("-._")[:LONGEST]
    is_path = bool(key) and plain == key and not key.endswith((".json", ".csv"))  # which ask for a form of the report
    return plain if is_path else f"{plain or 'campaign'}-{sha256(key.encode()).hexdigest()[:8]}"


def _verdict(page: Page, cell: Report, currency: str) -> None:
    if cell.get("incremental") is None or cell.get("lower") is None:
        page.verdict("What it brought cannot be told", "No global holdout, or too few customers in it.", kind="flat")
        return
    kind = kind_of(cell["lower"], cell["upper"])
    amount = f"{signed(cell['incremental'])} {currency}"
    words = {"good": f"It brought {amount}", "bad": f"It cost {amount}", "flat": "Not distinguishable from nothing"}
    detail = f"Incremental revenue {amount}, 95 % interval {interval(cell['lower'], cell['upper'])} {currency}."
    page.verdict(words[kind], detail, kind=kind)


def _cell(name: str, cell: Report, found: Report) -> dict[str, Any]:
    unit = "" if name == "orders" else f" ({found['currency']})"
    return {
        "": f"{name.capitalize()}{unit}",
        "incremental": cell["incremental"],
        "95 % interval": interval(cell["lower"], cell["upper"]),
        "p, adjusted": cell.get("p_adjusted"),
        "treated": cell["treated"],
        "holdout": cell["held_out"],
    }


def _metric(key: str, mean: Report, found: Report) -> dict[str, Any]:
    by, unit = read_in(key, found)
    value, lower, upper = (None if mean.get(name) is None else by * mean[name] for name in ("mean", "lower", "upper"))
    return {
        "metric": f"{name_of(key, found)}{f' ({unit})' if unit else ''}",
        "mean": value,
        "95 % interval": interval(lower, upper),
        "customers": mean.get("customers"),
    }
