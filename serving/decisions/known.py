"""Known: everything about one customer as plain values, and what would be decided now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson
import pandas as pd
import pyarrow as pa
from sqlalchemy import Connection, select

from features.conditions import Facts, holds
from features.conditions.facts import NEWEST
from features.consent import PURPOSES, allows, consents
from features.decisions import SHADOW, decisions
from features.engine import connect, created
from features.events import IDENTIFIED, Events, utc
from features.history import read_events
from features.segments import conditions, read_segments
from features.table import FeatureTable
from features.workspace import Workspace
from serving.decisions.histories import person
from serving.decisions.offers import select as select_offer
from serving.decisions.recommend import Answer, recommend
from serving.decisions.requests import OfferRequest, RecommendRequest
from serving.decisions.state import State
from training.release import Release
from training.uplift.scores import scores_of

LAST = 20  # events that are shown
SAID = ("time", "name", "item", "quantity", "price", "order_id", "channel", "campaign", "source", "machine")
Known = dict[str, Any]


def known(state: State, workspace: Workspace, customer: str, now: datetime) -> Known | None:
    """What there is about the customer; None where that is nothing."""
    assert state.ledger is not None  # noqa: S101  # there is a workspace; this tells the type checker
    ids = person(state, customer)
    rows = read_events(workspace).of_person(ids, now).to_pyarrow()
    with state.ledger.read() as connection:
        words, decided = _words(connection, ids), _decided(connection, ids)
    if not rows.num_rows and not words and not decided:
        return None
    features, events = _features(rows, ids[0], now, workspace), rows.to_pylist()
    return {
        "customer": ids[0],
        "ids": ids,
        "stage": features.get("stage"),
        "segments": _segments(state, workspace, ids[0], events, now),
        "traits": _traits(events),
        "profile": features,
        "features_as_of": utc(now),
        "models": [_age(one, now) for one in (state.recommender, state.uplift) if one is not None],
        "consents": {one: allows(state.ledger, customer, purpose=one, as_of=now) for one in PURPOSES},
        "consent_rows": words,
        "last_events": [_shown(row) for row in sorted(events, key=NEWEST, reverse=True)[:LAST]],
        "last_decision": decided,
        "would_recommend": _would(recommend(state, RecommendRequest(customer=customer), "dry", now)[1]),
        "would_offer": _would(select_offer(state, OfferRequest(customer=customer), "dry", now)[1]),
    }


def _features(rows: pa.Table, customer: str, now: datetime, workspace: Workspace) -> Known:
    """The customer's features, computed from its own rows; what is not known is null."""
    # an engine of its own: the one that Ibis keeps for all never returns where two threads ask at once
    events = Events.of(created(connect(threads=1), "own", rows))
    table = FeatureTable.build(events, now, customers=[customer], currency=workspace.settings.currency)
    row = table.frame.astype(object).iloc[0]  # plain values: JSON knows none of numpy's
    return {str(name): None if pd.isna(value) else value for name, value in row.items()}


def _segments(
    state: State, workspace: Workspace, customer: str, rows: Iterable[Mapping[str, Any]], now: datetime
) -> list[str] | Known:
    """The keys of the segments that the customer is in."""
    scores = scores_of(state.uplift.effects if state.uplift else None, customer)
    facts = Facts.of(rows, now, scores=scores, catalog=state.catalog)
    try:
        return [key for key, who in conditions(read_segments(workspace.folder)).items() if holds(who, facts)]
    except ValueError as error:  # a file is wrong
        return {"unavailable": str(error)}


def _traits(rows: Iterable[Mapping[str, Any]]) -> Known:
    """Every trait as it was told last."""
    told: Known = {}
    for row in sorted((row for row in rows if row["name"] == IDENTIFIED and row["properties"]), key=NEWEST):
        said = orjson.loads(row["properties"])
        told |= said if isinstance(said, dict) else {}
    return {name: value for name, value in told.items() if name != "context"}  # what came with the call


def _words(connection: Connection, ids: list[str]) -> list[Known]:
    """What the customer said about consent, the newest first."""
    rows = connection.execute(select(consents).where(consents.c.customer.in_(ids)).order_by(consents.c.id.desc()))
    return [{str(name): value for name, value in row.items() if name != "id"} for row in rows.mappings()]


def _decided(connection: Connection, ids: list[str]) -> Known | None:
    """The newest decision of the journal."""
    mine = select(decisions).where(decisions.c.customer.in_(ids), decisions.c.kind != SHADOW)
    mine = mine.order_by(decisions.c.time.desc())
    row = connection.execute(mine.limit(1)).first()
    if row is None:
        return None
    return {"decision_id": row.decision_id, "kind": row.kind, "time": row.time, "reason": row.reason}


def _shown(row: Mapping[str, Any]) -> Known:
    return {name: row[name] for name in SAID if row[name] is not None}


def _age(release: Release, now: datetime) -> Known:
    """Of when the release knows its customers."""
    age = None if release.as_of is None else int((utc(now) - utc(release.as_of)).total_seconds())
    return {"kind": release.kind, "version": release.version, "as_of": release.as_of, "age_seconds": age}


def _would(answer: Answer) -> Answer:
    """The answer without its id: the decision is kept nowhere."""
    return {name: value for name, value in answer.items() if name != "decision_id"}
