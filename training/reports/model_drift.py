"""Drift: whether customers, scores and answers are still as they were when the model was new.

    histories  of customers, at the training and now
    features   of customers, as the training kept them in counts, and now; of the uplift release that is served, too
    scores     of the best item of a recommendation, in the first days that the version answered, and in the newest
    answers    the items that were answered, and how often with a fallback; in the same days

By the population stability index: see `stability`.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from sqlalchemy import func, select

from features.consent import consented
from features.decisions import decisions
from features.events import Events
from features.history import read_events
from features.interactions import Interactions
from features.ledger import Ledger
from features.table import FeatureTable
from features.workspace import Workspace
from training.release import current, manifest_of
from training.stability import LEAST, NAMED, Numbers, Shape, index, says

if TYPE_CHECKING:
    from training.reports.model_figures import Evidence

DAYS = 7  # a week holds each day of the week
MOST = 20_000  # decisions of a time: above, it costs
Figures = dict[str, Any]
Rows = list[Any]


def drift(evidence: Evidence) -> dict[str, list[Figures]]:
    """A row per thing that may drift: its mean then and now, the index, and what that says; features apart."""
    now = Now.of(evidence.workspace)
    histories = [] if now is None else list(_histories(evidence, now))
    features = [] if now is None else list(_features(evidence, now))
    return {"drift": [*histories, *_decided(evidence)], "feature_drift": features}


@dataclass(frozen=True)
class Now:
    """The events of those who agree, up to the newest."""

    events: Events
    moment: datetime

    @classmethod
    def of(cls, workspace: Workspace) -> Now | None:
        """None where nothing has happened."""
        events = read_events(workspace)
        if (span := events.span()) is None:
            return None
        moment = span[1] + timedelta(microseconds=1)
        return cls(consented(events, workspace, purpose="personalisation", as_of=moment)[0], moment)


def of_numbers(what: str, then: Numbers, now: Numbers) -> Figures:
    """By the deciles of then."""
    if min(len(then), len(now)) < LEAST:
        return _row(what, None, None, None)
    shape = Shape.of(then)
    later = shape.of_now(pd.Series(now))
    return _row(what, shape.mean, later.mean, shape.index_to(later))


def of_names(what: str, then: Counter[str], now: Counter[str], decided: int) -> Figures:
    """By the most frequent names of then; `decided`: in how few decisions of a time they stood."""
    if decided < LEAST:
        return _row(what, None, None, None)
    named = [name for name, _ in then.most_common(NAMED)]
    counts = [
        [*(found[name] for name in named), found.total() - sum(found[name] for name in named)] for found in (then, now)
    ]
    return _row(what, None, None, index(*counts))


def _row(what: str, then: float | None, now: float | None, found: float | None) -> Figures:
    return {"what": what, "then": then, "now": now, "index": found, "says": says(found)}


def _histories(evidence: Evidence, now: Now) -> Iterator[Figures]:
    workspace = evidence.workspace
    then = Interactions.load(workspace.runs / evidence.run)
    newest = Interactions.build(now.events, now.moment, workspace.settings.interactions)
    yield of_numbers("items in a customer's history", _items(then), _items(newest))
    yield of_numbers("items bought, of them", _bought(then), _bought(newest))


def _features(evidence: Evidence, now: Now) -> Iterator[Figures]:
    """Per feature, and per model that learned from customers, what it was then and what it is now."""
    settings, offers = evidence.workspace.settings, current(evidence.workspace, "uplift")
    learned = {"recommender": evidence.evaluation.get("features", [])}
    if offers is not None:
        learned["uplift"] = manifest_of(offers).get("features", [])
    if not any(learned.values()):
        return
    table = FeatureTable.build(now.events, now.moment, traits=settings.traits, currency=settings.currency)
    for kind, kept in learned.items():
        for then in map(Shape.read, kept):
            if then.feature in table.frame:  # a campaign's own features are in no event
                yield {"model": kind, **_feature(then, then.of_now(table.frame[then.feature]))}


def _feature(then: Shape, now: Shape) -> Figures:
    found = then.index_to(now)
    chance = None if found is None else then.by_chance(now)
    row = _row(then.feature, then.mean, now.mean, found)
    return row | {"says": says(found, chance or 0.0), "chance": chance, "means": then.sentence}


def _items(known: Interactions) -> Numbers:
    return np.diff(known.starts).astype(np.float64)


def _bought(known: Interactions) -> Numbers:
    return np.bincount(known.customer, known.purchases > 0, len(known.customers)).astype(np.float64)


def _decided(evidence: Evidence) -> Iterator[Figures]:
    if evidence.version is None:
        return
    then, now = _windows(
        Ledger.at(evidence.workspace.ledger), str(evidence.version.version), evidence.evaluation["chosen"]
    )
    scores = [
        np.array([json.loads(row.options)[0]["score"] for row in rows if row.chosen != "[]"]) for rows in (then, now)
    ]
    yield of_numbers("score of the best item", *scores)
    before, after = (Counter(item for row in rows for item in json.loads(row.chosen)) for rows in (then, now))
    yield of_names("items answered", before, after, min(len(then), len(now)))
    yield of_numbers(
        "answers with a fallback", *(np.array([float(bool(row.fallback)) for row in rows]) for rows in (then, now))
    )


def _windows(ledger: Ledger, version: str, model: str) -> tuple[Rows, Rows]:
    """The recommendations of the version's first days, and those of its newest; none where they would overlap."""
    mine = (decisions.c.kind == "recommend", decisions.c.model == model, decisions.c.model_version == version)
    with ledger.read() as connection:
        first, last = connection.execute(
            select(func.min(decisions.c.time), func.max(decisions.c.time)).where(*mine)
        ).one()
        if first is None or last - first < timedelta(days=2 * DAYS):
            return [], []

        def between(start: datetime, end: datetime) -> Rows:
            columns = (decisions.c.options, decisions.c.chosen, decisions.c.fallback)
            among = select(*columns).where(*mine, decisions.c.time >= start, decisions.c.time <= end)
            return list(connection.execute(among.order_by(decisions.c.time.desc()).limit(MOST)))

        return between(first, first + timedelta(days=DAYS)), between(last - timedelta(days=DAYS), last)
