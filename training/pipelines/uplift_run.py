"""What `attune train uplift` does: the log that is named, made complete from the events, trained and told in lines."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from features.events import ORDERED, REFUNDED
from features.exposures import ExposureLog, log_names, read_log
from features.history import read_events
from features.progress import step
from features.table import FeatureTable
from features.workspace import Workspace
from training.pipelines.uplift import allowed, lines, train
from training.uplift import CANDIDATES

EXACT = 6  # decimals: a sum of money in another order differs in the 13th, and the same log must give the same model


def run(workspace: Workspace, name: str, outcome: str, learner: str, *, seed: int | None, as_of: datetime) -> list[str]:
    """Trains on the named log and says, in lines, what came out."""
    settings = workspace.settings
    log, left_out = allowed(named(workspace, name), workspace, as_of)
    names = (learner,) if learner else settings.uplift.learners or tuple(CANDIDATES)
    window = timedelta(0 if len(log.outcomes.columns) else settings.uplift.window_days)
    with step("Judging the learners out of fold"):
        found, registered = train(
            workspace,
            with_features(with_outcomes(log, workspace, as_of), workspace),
            outcome or settings.uplift.outcome,
            names,
            seed=settings.seed if seed is None else seed,
            window=window,
        )
    return [left_out, *lines(found.evaluation), registered.line("uplift", found.model.name)]


def named(workspace: Workspace, name: str) -> ExposureLog:
    """The log with this name; without a name the only one there is."""
    known = log_names(workspace)
    if not known:
        raise ValueError(f"{workspace.folder}: no exposures here; run `attune import exposures FILE`")
    if not name and len(known) > 1:
        raise ValueError(f"--log is missing; there are {known} ({workspace.folder})")
    if name and name not in known:
        raise ValueError(f"--log == {name!r}, must be one of {known} ({workspace.folder})")
    return read_log(workspace, name or known[0])


def with_features(log: ExposureLog, workspace: Workspace) -> ExposureLog:
    """The log with features as of each exposure's day, from the event log, where it brings none of its own."""
    if len(log.table.features):
        return log
    time, customers = log.exposures.time, log.table.customers
    if time is None or customers is None:
        raise ValueError(f"log {log.name!r} has no features, and no customer and time to build them from (exposures)")
    events, settings = read_events(workspace), workspace.settings
    days = pd.DatetimeIndex(time).floor("D")
    tables, order = [], []
    for day in days.unique().sort_values():
        rows = np.flatnonzero(days == day)
        tables.append(_as_of(events, day.to_pydatetime(), customers[rows], settings))
        order.append(rows)
    frame = pd.concat([table.frame for table in tables], ignore_index=True).round(EXACT)
    back = np.argsort(np.concatenate(order))
    whole = FeatureTable(frame, tables[0].features, customers[np.concatenate(order)], tables[-1].as_of)
    return replace(log, table=whole.take(back))


def with_outcomes(log: ExposureLog, workspace: Workspace, as_of: datetime) -> ExposureLog:
    """The log with `conversion` and `revenue` in the days after each exposure, where it brings no outcome."""
    if len(log.outcomes.columns):
        return log
    if log.exposures.time is None or log.table.customers is None:
        raise ValueError(f"log {log.name!r} has no outcome, and no customer and time to find one by (exposures)")
    past = read_events(workspace).before(as_of)
    lines = past.filter(past.name.isin([ORDERED, REFUNDED]))
    orders = lines.select("customer", "time", "name", "quantity", "price").to_pandas()
    given = pd.DataFrame({"customer": log.table.customers, "given": log.exposures.time})
    return replace(log, outcomes=outcomes_after(given, orders, workspace.settings.uplift.window_days))


def outcomes_after(given: pd.DataFrame, orders: pd.DataFrame, days: int) -> pd.DataFrame:
    """Per exposure whether the customer ordered within `days` of it, and the revenue; refunds subtract."""
    rows = given.assign(row=np.arange(len(given))).merge(orders, on="customer")
    inside = rows[(rows["time"] >= rows["given"]) & (rows["time"] < rows["given"] + pd.Timedelta(days=days))]
    sign = np.where(inside["name"] == REFUNDED, -1.0, 1.0)
    amount = (sign * inside["quantity"] * inside["price"]).fillna(0.0).groupby(inside["row"]).sum()
    ordered = (inside["name"] == ORDERED).groupby(inside["row"]).any()
    every = range(len(given))
    return pd.DataFrame(
        {
            "conversion": ordered.reindex(every, fill_value=False).astype(float),
            "revenue": amount.reindex(every, fill_value=0.0).astype(float).round(EXACT),
        }
    )


def _as_of(events: Any, as_of: datetime, customers: Any, settings: Any) -> FeatureTable:
    wanted = sorted({str(customer) for customer in customers})
    table = FeatureTable.build(events, as_of, customers=wanted, traits=settings.traits, currency=settings.currency)
    position = pd.Index(wanted if table.customers is None else table.customers).get_indexer(pd.Index(customers))
    taken: FeatureTable = table.take(position.astype(np.intp))
    return taken
