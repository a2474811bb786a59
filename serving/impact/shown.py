"""The reports of impact and journey as lines for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from features.words import many

Said = Mapping[str, Any]
NOBODY = "(none)"
SURE = ("more", "less")
ALPHA = 0.05
RECIPIENTS = {"open-rate": "opened", "click-through-rate": "clicked", "conversion-rate": "ordered"}
RECIPIENTS |= {"revenue": "money", "lifetime-value": "lifetime"}
PLAIN = ("revenue", "lifetime-value")  # the others are shares


def impact(report: Said) -> Iterator[str]:
    """The report of impact."""
    yield from _head(report)
    yield ""
    yield f"{'':<34}{'orders':>9}{'incremental':>13}  {'revenue':>12}{'incremental':>13}  {'95 % interval':<26}"
    yield _row("all", report["total"])
    for name, rows in report["by"].items():
        if rows:
            yield f"by {name}"
        for row in rows:
            key = NOBODY if row["key"] is None else row["key"]
            yield _row(f"  {row['group']}: {key}" if "group" in row else f"  {key}", row)
    yield from _margin(report)
    for name in ("campaigns", "channels"):
        yield from _recipients(name, report)
    yield report["population"]["left_out"]
    yield from report["notes"]


def journey(report: Said) -> Iterator[str]:
    """The report of the journey."""
    yield from _head(report)
    names = {step["key"]: step["name"] for step in report["steps"]}
    for row in report["rows"]:
        key = row["key"] if row["group"] is None else f"{row['group']}: {row['key']}"
        yield ""
        yield f"{row['by']} {key}" if row["by"] != key else "all"
        if row["why"]:
            yield f"  increments are not to be believed: {row['why']}"
        yield f"  {'':<14}{'customers':>10}{'of before':>11}  {'95 % interval':<18}{'days':>7}{'incremental':>13}"
        for step in row["steps"]:
            yield f"  {names[step['step']]:<14}{_step(step)}".rstrip()
    yield report["population"]["left_out"]
    yield from report["notes"]


def _step(step: Said) -> str:
    share, days = _share(step["share"]), "-" if step["days"] is None else f"{step['days']:.1f}"
    interval = "" if step["share"] is None else f"{_share(step['lower'])} to {_share(step['upper'])}"
    more = "-" if step["incremental"] is None else f"{step['incremental']:+,.0f}"
    return f"{step['customers']:>10,}{share:>11}  {interval:<18}{days:>7}{more:>13}  {_sure(step)}"


def _head(report: Said) -> Iterator[str]:
    holdout, money = report["holdout"], report["currency"]
    yield f"{report['kind']} from {report['from']} to {report['to']} ({report['timezone']}), money in {money}"
    yield f"{many(holdout['treated'], 'customer')} treated, {holdout['held_out']:,} of the global holdout"
    if holdout["why"]:
        yield holdout["why"]
    ratio = holdout["sample_ratio"]
    if ratio is not None and not ratio["as_planned"]:
        yield f"the holdout is not as large as planned, so no increment here is to be believed ({ratio['why']})"
    if holdout["reached"]:
        yield f"{holdout['reached']:,} of the holdout were sent messages all the same, which makes increments too small"


def _sure(found: Said) -> str:
    """The verdict, with a warning where it would not stand among the others."""
    said = found["verdict"] or ""
    chance = said in SURE and (found.get("p_adjusted") or 0.0) > ALPHA
    return f"{said} (of so many that may be chance)" if chance else said


def _margin(report: Said) -> Iterator[str]:
    total = report["total"]
    if total["margin"] is not None and total["margin"]["incremental"] is not None:
        margin, net = total["margin"], total["net"]
        covers = f"it covers {_share(report['margin']['covers'])} of the revenue"
        yield f"incremental margin {_between(margin, 'incremental')}; {covers}"
        yield f"cost {total['cost']:,.2f}; net {_between(net, 'value')}: {net['verdict']}"
    else:
        yield f"cost {total['cost']:,.2f}"


def _row(name: str, row: Said) -> str:
    orders, revenue = row["orders"], row["revenue"]
    sums = [f"{cell['treated'] + cell['held_out']:,.0f}" for cell in (orders, revenue)]
    more = ["-" if cell["incremental"] is None else f"{cell['incremental']:+,.0f}" for cell in (orders, revenue)]
    interval = "" if revenue["lower"] is None else f"{revenue['lower']:+,.0f} to {revenue['upper']:+,.0f}"
    said = f"not to be believed: {row['why']}" if row.get("why") else _sure(revenue)
    return f"{name[:33]:<34}{sums[0]:>9}{more[0]:>13}  {sums[1]:>12}{more[1]:>13}  {interval:<26}{said}".rstrip()


def _recipients(name: str, report: Said) -> Iterator[str]:
    """What recipients did; it describes, and says nothing of what was caused."""
    if report[name]:
        yield f"{name}, what recipients did in the days after the first delivery (recipients were chosen, not drawn)"
        heads = "".join(f"{head:>12}" for head in RECIPIENTS.values())
        yield f"{'':<34}{'recipients':>10}{heads}"
    for row in report[name]:
        key = NOBODY if row["key"] is None else row["key"]
        means = {metric: row["metrics"][metric]["mean"] for metric in RECIPIENTS}
        cells = [_mean(metric, mean) for metric, mean in means.items()]
        yield f"  {key[:31]:<32}{row['recipients']:>10,}{''.join(f'{cell:>12}' for cell in cells)}"


def _mean(metric: str, mean: float | None) -> str:
    return f"{mean:,.2f}" if mean is not None and metric in PLAIN else _share(mean)


def _between(found: Said, name: str) -> str:
    return f"{found[name]:+,.2f} ({found['lower']:+,.2f} to {found['upper']:+,.2f})"


def _share(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"
