"""The report of an experiment: computed by the command line, stored as JSON, served with its age.

assign decisions + Experiment Viewed --> first exposure per customer --+
decide decisions joined with Experience Viewed (`shows`) ------^       +-> one row per customer -> analysis
orders and refunds within the window after it, summed per customer ----+
of a slot also Experience Clicked, once per customer ------------------+
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa

from features.consent import consented_customers, left_out
from features.events import ORDERED, REFUNDED, Events, utc
from features.history import read_events
from features.ledger import Ledger
from features.workspace import Workspace
from serving.experiments.definitions import Experiment
from serving.experiments.exposures import Exposed, Seen, assigned, clicked, experienced, exposed, viewed

METRICS: tuple[str, ...] = ("conversion", "revenue")  # per customer: 1 for an order; money of orders less refunds
CLICK = "click"  # of a slot, per customer: 1 for at least one click on what it showed

EXPOSURE = pa.schema(
    {"customer": pa.string(), "arm": pa.string(), "first": pa.timestamp("us"), "until": pa.timestamp("us")}.items()
)


def build(workspace: Workspace, experiment: Experiment, now: datetime) -> dict[str, Any]:
    """The report as plain values, as of now. Holds sums over customers only."""
    from serving.experiments import analysis

    ledger = Ledger.at(workspace.ledger)
    events = read_events(workspace)
    seen = _seen(ledger, events, experiment, now)
    allowed = set(consented_customers(ledger, purpose="analytics", as_of=now))
    all_customers = {customer for customer, _, _ in seen}
    found = exposed((one for one in seen if one[0] in allowed), experiment.arms)
    customers, metrics = outcomes(events, found, experiment.window_days, now), METRICS
    if experiment.shows is not None:
        told = clicked(ledger, events, experiment.shows, now)
        customers[CLICK] = customers["customer"].isin(clicking(told, found, experiment.window_days)).astype(float)
        metrics = (*METRICS, CLICK)
    counts = {name: int((customers["arm"] == name).sum()) for name in experiment.arms}
    _enough(experiment, counts, analysis.MIN_CUSTOMERS)
    ratio = analysis.sample_ratio(counts, experiment.arms)
    return {
        "experiment": experiment.key,
        "description": experiment.description,
        "computed_at": utc(now).isoformat(timespec="seconds") + "Z",
        "window_days": experiment.window_days,
        "currency": workspace.settings.currency,
        "control": experiment.control,
        "arms": (compared := analysis.arms(customers, experiment.control, metrics)),
        "sample_ratio": ratio,
        "window_open": int((customers["until"] > utc(now)).sum()),
        "saw_two_arms": found.crossed,
        "unknown_arm": found.strays,
        "left_out": left_out(len(all_customers), len(all_customers - allowed), "analytics"),
        "verdict": _verdict(compared, ratio),
    }


def _seen(ledger: Ledger, events: Events, experiment: Experiment, now: datetime) -> list[Seen]:
    if experiment.shows is not None:
        return list(experienced(ledger, events, experiment.shows, now))
    return [*assigned(ledger, experiment.key, now), *viewed(events, experiment.key, now)]


def outcomes(events: Events, found: Exposed, window_days: int, as_of: datetime) -> pd.DataFrame:
    """One row per exposed customer: `arm`, `until`, `conversion` and `revenue` within the window after the exposure.

    Where the customer is a device on which nobody identified, an order that says no more than the device is its own.
    """
    import ibis

    seen = [(name, arm, first, first + timedelta(days=window_days)) for name, (arm, first) in found.first.items()]
    people = pa.Table.from_pylist([dict(zip(EXPOSURE.names, row, strict=True)) for row in seen], schema=EXPOSURE)
    rows = events.before(as_of)
    money = rows.filter(rows.name.isin([ORDERED, REFUNDED])).mutate(customer=rows.customer.coalesce(rows.anonymous))
    windows = ibis.memtable(people.drop_columns(["arm"]))
    joined = money.inner_join(windows, "customer")
    inside = joined.filter(joined.time >= joined["first"], joined.time < joined.until)
    amount = (inside.quantity * inside.price).fill_null(0.0)
    sums = inside.group_by("customer").aggregate(
        conversion=(inside.name == ORDERED).cast("float64").max(),
        revenue=ibis.ifelse(inside.name == ORDERED, amount, -amount).sum(),
    )
    summed = people.to_pandas().merge(sums.to_pyarrow().to_pandas(), on="customer", how="left")
    filled: pd.DataFrame = summed.fillna(dict.fromkeys(METRICS, 0.0))
    return filled


def clicking(clicks: Iterable[Seen], found: Exposed, window_days: int) -> list[str]:
    """The exposed customers who clicked within the window after the exposure."""
    window = timedelta(days=window_days)
    seen = ((who, time, found.first[who][1]) for who, _, time in clicks if who in found.first)
    return sorted({who for who, time, first in seen if first <= time < first + window})


def write(workspace: Workspace, report: dict[str, Any]) -> Path:
    """Stores the report; the file appears whole or not at all."""
    workspace.reports.mkdir(exist_ok=True)
    path = _path(workspace.reports, report["experiment"])
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")
    temporary.replace(path)
    return path


def stored(reports: Path, key: str, now: datetime) -> dict[str, Any] | None:
    """The stored report with its age in seconds, or None when none was made."""
    path = _path(reports, key)
    if not path.is_file():
        return None
    report: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    made = datetime.fromisoformat(report["computed_at"])
    return report | {"age_seconds": max(0, int((utc(now) - utc(made)).total_seconds()))}


def table(report: dict[str, Any]) -> Iterator[str]:
    """The report as lines for a terminal."""
    yield f"{report['experiment']}: {report['description']}".rstrip(": ")
    yield f"{'arm':<16}{'customers':>10}  {'metric':<12}{'mean':>10}{'difference':>12}  {'95 % interval':<24}{'p':>7}"
    for arm in report["arms"]:
        for metric, found in arm["metrics"].items():
            yield f"{arm['arm']:<16}{arm['customers']:>10,}  {metric:<12}{found['mean']:>10.4f}{_compared(found)}"
    yield f"arms as large as planned: {'yes' if report['sample_ratio']['as_planned'] else 'NO'}" + (
        f" (p = {report['sample_ratio']['p_value']:.3f}); saw two arms, left out: {report['saw_two_arms']:,}"
    )
    yield report["left_out"]
    yield f"verdict: {report['verdict']}"


def _compared(found: dict[str, Any]) -> str:
    if found.get("p_value") is None:
        return f"  {found['verdict']}" if "verdict" in found else "     control"
    interval = f"{found['lower']:+.4f} to {found['upper']:+.4f}"
    return f"{found['difference']:>+12.4f}  {interval:<24}{found['p_value']:>7.3f}  {found['verdict']}"


def _verdict(arms: list[dict[str, Any]], ratio: dict[str, Any]) -> str:
    if not ratio["as_planned"]:
        return "not to be believed: the arms are not as large as planned; find out why first"
    said = [
        f"{metric} of {arm['arm']}: {found['verdict']}"
        for arm in arms
        for metric, found in arm["metrics"].items()
        if "verdict" in found
    ]
    return "; ".join(said)


def _enough(experiment: Experiment, counts: dict[str, int], least: int) -> None:
    if min(counts.values()) < least:
        raise ValueError(
            f"experiment {experiment.key!r} has {counts} exposed customers; at least {least} per arm are needed. They "
            "come from POST /v1/experiments/{key}/assign and from 'Experiment Viewed' events of the log; "
            "with `shows` from 'Experience Viewed' events that name a decision of POST /v1/decide"
        )


def _path(reports: Path, key: str) -> Path:
    return reports / f"experiment-{key}.json"
