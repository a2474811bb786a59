"""Drift: whether customers, scores and answers are still as they were when the model was new.

    features   customers' histories at the training, and now
    scores     of the best item of a recommendation, in the first days that the version answered, and in the newest
    answers    the items that were answered, and how often with a fallback; in the same days

By the population stability index (Siddiqi 2006): sum over bins of (now - then) x ln(now / then), shares of either time.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import func, select

from features.consent import consented
from features.decisions import decisions
from features.history import read_events
from features.interactions import Interactions
from features.ledger import Ledger

if TYPE_CHECKING:
    from training.reports.model_figures import Evidence

DAYS = 7  # a week holds each day of the week
LEAST, MOST = 100, 20_000  # customers or decisions of a time: below, chance alone moves the index; above, it costs
BINS, NAMED = 10, 50  # deciles of then; the items that were answered most, and the rest together
SHIFTED, DRIFTED = 0.1, 0.25  # what is usual: below the first stable, above the second another population
Numbers = NDArray[np.float64]
Figures = dict[str, Any]
Rows = list[Any]


def drift(evidence: Evidence) -> list[Figures]:
    """A row per thing that may drift: its mean then and now, the index, and what that says."""
    return [*_features(evidence), *_decided(evidence)]


def index(then: Sequence[float], now: Sequence[float]) -> float:
    """The population stability index of two rows of counts over the same bins; an empty bin counts half."""
    before, after = (np.maximum(np.asarray(counts, float), 0.5) for counts in (then, now))
    old, new = before / before.sum(), after / after.sum()
    return float(((new - old) * np.log(new / old)).sum())


def of_numbers(what: str, then: Numbers, now: Numbers) -> Figures:
    """By the deciles of then."""
    if min(len(then), len(now)) < LEAST:
        return _row(what, None, None, None)
    edges = np.unique(np.quantile(then, np.linspace(0, 1, BINS + 1)[1:-1]))
    places = (np.searchsorted(edges, values) + np.searchsorted(edges, values, "right") for values in (then, now))
    counts = (np.bincount(place, minlength=2 * len(edges) + 1) for place in places)  # on an edge is a bin of its own
    return _row(what, float(then.mean()), float(now.mean()), index(*(found.tolist() for found in counts)))


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
    if found is None:
        return {
            "what": what,
            "then": then,
            "now": now,
            "index": None,
            "says": f"fewer than {LEAST} of a time: not known",
        }
    says = "stable" if found < SHIFTED else "shifted" if found < DRIFTED else "drifted: train again"
    return {"what": what, "then": then, "now": now, "index": found, "says": says}


def _features(evidence: Evidence) -> Iterator[Figures]:
    workspace = evidence.workspace
    events = read_events(workspace)
    span, kept = events.span(), workspace.runs / evidence.run
    if span is None:
        return
    moment = span[1] + timedelta(microseconds=1)
    agreed, _ = consented(events, workspace, purpose="personalisation", as_of=moment)
    then, now = Interactions.load(kept), Interactions.build(agreed, moment, workspace.settings.interactions)
    yield of_numbers("items in a customer's history", _items(then), _items(now))
    yield of_numbers("items bought, of them", _bought(then), _bought(now))


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
