"""Stores: what the ledger and the journal's folder say when somebody asks for the metrics; all workers share them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from features.events import utc
from features.history import live_events
from features.ledger import identities
from features.offers import Offer
from features.spending import spending_of
from features.states.store import read_mark
from serving.decisions.journal import SEGMENT
from serving.decisions.state import State

LOOK_SECONDS = 2.0  # a ledger that takes longer is down for whoever asks for the metrics


class Found(Collector):
    """Metrics that were found."""

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._metrics = list(metrics)

    def collect(self) -> Iterable[Metric]:
        return self._metrics


async def told(state: State, now: datetime) -> str:
    """The metrics of the stores as text; without a workspace there are none."""
    if state.ledger is None:
        return ""
    try:
        found = await asyncio.wait_for(asyncio.to_thread(_of_ledger, state, now), LOOK_SECONDS)
    except (OSError, SQLAlchemyError):  # TimeoutError is an OSError
        found = [_gauge("attune_ledger_up", UP, 0)]
    return generate_latest(Found([*found, *_of_journal(state)])).decode()


UP = "1 where the ledger can be read."
BEHIND = "Since the oldest event was received that is in no customer's features yet; 0 where all are."
UNCLOSED = "Since the oldest event was received whose day `attune work` has not moved into the history; 0 without any."
SPENT = "Money that was given out of an offer with a budget."
BUDGET = "The budget of an offer."
SEGMENTS = "Files of the journal: one for each worker, more where one awaits the next start."


def _of_ledger(state: State, now: datetime) -> list[Metric]:
    assert state.ledger is not None  # noqa: S101  # `told` asked; this tells the type checker
    with state.ledger.read() as connection:
        connection.execute(select(identities)).first()
        return [_gauge("attune_ledger_up", UP, 1), *_ages(connection, now), *_budgets(connection, state.offers)]


def _ages(connection: Connection, now: datetime) -> Iterator[Metric]:
    yield _gauge("attune_unclosed_seconds", UNCLOSED, _age(connection, -1, now))
    mark = read_mark(connection)
    if mark is not None:  # else nobody keeps features
        yield _gauge("attune_features_behind_seconds", BEHIND, _age(connection, mark.sequence, now))


def _age(connection: Connection, above: int, now: datetime) -> float:
    """Seconds since the first event above this sequence was received; 0 where there is none."""
    query = select(live_events.c.received_at).where(live_events.c.sequence > above)
    first = connection.execute(query.order_by(live_events.c.sequence).limit(1)).scalar()
    return 0.0 if first is None else (utc(now) - first).total_seconds()


def _budgets(connection: Connection, offers: Iterable[Offer]) -> Iterator[Metric]:
    limited = {offer.key: offer.budget for offer in offers if offer.budget is not None}
    so_far = spending_of(connection, list(limited))
    for name, said, values in (
        ("attune_offer_spent", SPENT, {key: one.spent for key, one in so_far.items()}),
        ("attune_offer_budget", BUDGET, limited),
    ):
        family = GaugeMetricFamily(name, said, labels=["offer"])
        for key, value in values.items():
            family.add_metric([key], value)
        yield family


def _of_journal(state: State) -> Iterator[Metric]:
    if state.workspace is not None:
        files = (state.workspace.state / "journal").glob(f"*{SEGMENT}")
        yield _gauge("attune_journal_segments", SEGMENTS, sum(1 for _ in files))


def _gauge(name: str, said: str, value: float) -> Metric:
    return GaugeMetricFamily(name, said, value=value)
