"""Replay: a decision made again, as of its moment, by the release that made it; or why it cannot be.

    row -> the request that it answered -> the same rules, release and id on what was known then -> the same choice?

Known are the release, the workspace's files by their hash, and of the customer all events, words of consent and answers
from before the moment. The catalogue's live changes are not kept: it is that of now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from features.decisions import SHADOW, Decision
from features.events import ITEM_CHANGED
from features.history import read_events
from features.ledger import Ledger
from features.workspace import Workspace
from serving.decisions.assign import assign
from serving.decisions.decide import decide
from serving.decisions.journal import find
from serving.decisions.offers import select
from serving.decisions.pace import BUSY, SLOW, Unhurried
from serving.decisions.recommend import basket, recommend, similar
from serving.decisions.requests import (
    AssignRequest,
    BasketRequest,
    DecideRequest,
    OfferRequest,
    RecommendRequest,
    SimilarRequest,
)
from serving.decisions.served import Served, whole
from serving.decisions.state import State
from serving.decisions.then import ledger_then
from serving.experiments.challenges import KINDS

Row = Mapping[str, Any]
Made = tuple[Decision, Any]
OWN = ("placement", "include_bought", "variety", "history", "cart", "context")  # of a request, as `context` keeps them
ITEMS = ("recommend", "basket", "similar")  # kinds that are answered without a release too
PLACED = ("k", "exclude", "filter", "boost")  # and what its placement may have said for it


def replay(workspace: Workspace, decision_id: str) -> list[str]:
    """Lines that say what was chosen, what is chosen again, and whether it is the same."""
    row = find(workspace.state / "journal", Ledger.at(workspace.ledger), decision_id)
    if row is None:
        raise ValueError(f"decision {decision_id!r} is not in the journal of {workspace.folder}; ids come with answers")
    if why := _lacking(workspace, row):
        raise ValueError(f"decision {decision_id!r} cannot be made again: {why}")
    served = _served(workspace, row)
    with ledger_then(workspace, row["customer"], row["time"]) as then:
        state = replace(State.read(workspace, served), ledger=then, pace=Unhurried())
        again, _ = _AGAIN[row["kind"]](state, row, row["time"].replace(tzinfo=UTC))
    return list(_lines(workspace, row, again))


def _lacking(workspace: Workspace, row: Row) -> str | None:
    """What is not known any more of how it was made."""
    if row["kind"] == SHADOW:
        return f"it is a shadow; make {row['context']['of']!r} again, beside which it was made"
    if row["workspace_hash"] != workspace.hash:
        return f"the workspace's files were {row['workspace_hash']} then and are {workspace.hash} now"
    nobodys = row["kind"] == "assign" and row["customer"] is None
    if nobodys or row["context"].get("device") is True:
        return "it was made for a device, whose id the journal does not keep"
    if any(one in (row["fallback"] or "") for one in (SLOW, BUSY)):
        return "its model did not answer in time, which is not made again"
    limited = [offer.key for offer in State.rules(workspace).offers if offer.limited]
    if limited and row["kind"] in ("offer", "decide"):
        return f"what was left then of the codes, stock and budget of {limited} is not kept"
    return None


def _served(workspace: Workspace, row: Row) -> Served:
    """The releases that answer, with those that made the decision in their places."""
    served = replace(Served.readable(workspace), challengers={})
    made_by = row["context"].get("models", [f"{row['model']} {row['model_version']}"] if row["model"] else [])
    for one in made_by:
        name, _, version = one.rpartition(" ")
        kind = next((kind for kind in KINDS if _is(workspace, kind, name, version)), None)
        if kind is None:
            raise ValueError(f"decision {row['decision_id']!r} cannot be made again: the release of {one} is gone")
        served = served.led(kind, whole(workspace, workspace.releases / kind / version))
    return served.led("recommender", None) if row["kind"] in ITEMS and not made_by else served


def _is(workspace: Workspace, kind: str, name: str, version: str) -> bool:
    folder = workspace.releases / kind / version
    return folder.is_dir() and whole(workspace, folder).name == name


def _lines(workspace: Workspace, row: Row, again: Decision) -> Iterator[str]:
    yield f"decision      {row['decision_id']} ({row['kind']}), {row['time'].isoformat(timespec='seconds')}Z"
    yield f"chosen        {', '.join(row['chosen']) or 'none'}"
    yield f"again         {', '.join(again.chosen) or 'none'}"
    if list(again.chosen) == row["chosen"]:
        chances = f"probability {row['probability']:.6g} then, {again.probability:.6g} again"
        yield f"the same      {chances}; {_scores(row, again)}"
        return
    changed = _changes(workspace, row["time"])
    items = (
        f"{changed:,} items of the catalogue have changed since" if changed else "the catalogue has not changed since"
    )
    yield f"not the same  {items}; the fallback was {row['fallback'] or 'none'} and is {again.fallback or 'none'}"


def _scores(row: Row, again: Decision) -> str:
    pairs = zip(row["options"], again.options, strict=False)
    told = [(one["score"], other.score) for one, other in pairs if one["score"] is not None and other.score is not None]
    apart = max((abs(one - other) for one, other in told), default=0.0)
    return "scores are equal" if np.isclose(apart, 0, atol=1e-6) else f"scores are up to {apart:.3g} apart"


def _changes(workspace: Workspace, since: datetime) -> int:
    rows = read_events(workspace).stored()
    changed = rows.filter(rows.name == ITEM_CHANGED, rows.received_at >= since)
    return int(changed.count().to_pyarrow().as_py())


def _asked(row: Row, *more: str) -> dict[str, Any]:
    """The request's own fields, as the context keeps them; its placement says no more than how it is answered."""
    context = {"filter": None, "boost": [], **row["context"]}
    asked = {name: context[name] for name in (*OWN, *PLACED, *more) if name in context}
    return asked | {"pinned": context.get("promotions", [])}


def _recommend(state: State, row: Row, now: datetime) -> Made:
    request = RecommendRequest(customer=row["customer"], **_asked(row))
    return recommend(state, request, row["decision_id"], now)


def _basket(state: State, row: Row, now: datetime) -> Made:
    return basket(state, BasketRequest(customer=row["customer"], **_asked(row)), row["decision_id"], now)


def _similar(state: State, row: Row, now: datetime) -> Made:
    return similar(state, SimilarRequest(**_asked(row, "item")), row["decision_id"], now)


def _offer(state: State, row: Row, now: datetime) -> Made:
    asked = {name: row["context"].get(name) for name in ("offers", "channel", "features")}
    return select(state, OfferRequest(customer=row["customer"], **asked), row["decision_id"], now)


def _assign(state: State, row: Row, now: datetime) -> Made:
    request = AssignRequest(customer=row["customer"])
    return assign(state, row["context"]["experiment"], request, row["decision_id"], now)


def _decide(state: State, row: Row, now: datetime) -> Made:
    who = "anonymous" if row["context"]["anonymous"] else "customer"
    asked = {name: row["context"][name] for name in ("slot", "item", "cart")}
    return decide(state, DecideRequest(**asked, **{who: row["customer"]}), row["decision_id"], now)


_AGAIN: dict[str, Callable[[State, Row, datetime], Made]] = {
    "recommend": _recommend,
    "basket": _basket,
    "similar": _similar,
    "offer": _offer,
    "assign": _assign,
    "decide": _decide,
}
