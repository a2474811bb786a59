"""Batch: recommendations for many customers: what `recommend` says of each, where what all share is done once.

    one look for all    consent, what each did since the release, what each was shown
    plain               what the release knows of a customer as it is, or nothing: one table of histories
    lived               what was done since is in the history: another table
    alone               who bears several ids, or is tired of so much that it is answered again: as `recommend` does

One call of the model ranks a table, one gives its reasons.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.decisions import Decision
from features.interactions import Interactions, stacked
from serving.decisions.fatigue import NONE, Shown, may_tire, shown_each, tired_of
from serving.decisions.folded import folded
from serving.decisions.glance import Glance, glances
from serving.decisions.histories import described, histories_each
from serving.decisions.recommend import Answer, context_of, decided, recommend, released
from serving.decisions.requests import BatchRequest
from serving.decisions.state import State
from serving.decisions.where import fitting, gone
from training.recommenders.base import ItemFilter, Rankings, Recommender
from training.recommenders.bought import allowed
from training.recommenders.variety import recommend_varied
from training.release import Release

NOBODY = ""  # no customer's id: a row without a history
Made = tuple[Decision, Answer]
Ids = NDArray[np.str_]


@dataclass(frozen=True)
class _Batch:
    """What all customers share."""

    state: State
    release: Release
    model: Recommender
    request: BatchRequest
    now: datetime

    @property
    def moment(self) -> datetime:
        return self.now.replace(tzinfo=None)

    @property
    def mode(self) -> Any:
        return self.request.include_bought or self.state.settings.recommender.include_bought

    @property
    def variety(self) -> float:
        asked = self.request.variety
        return self.state.settings.recommender.variety if asked is None else asked


@dataclass(frozen=True)
class _Row:
    """One customer: its place in the request, whose row of the release is its history, and what it is tired of."""

    place: int
    customer: str
    known: str
    fallback: str | None
    tired: Ids = field(default_factory=lambda: NONE)


def recommend_each(state: State, request: BatchRequest, ids: Sequence[str], now: datetime) -> list[Made]:
    """What `recommend` says of each customer, each decision under its id."""
    release, model = released(state)
    batch = _Batch(state, release, model, request, now)
    found: dict[int, Made] = {}
    for histories, rows in _tables(batch):
        found |= _answered(batch, histories, rows, ids)
    for place, customer in enumerate(request.customers):
        if place not in found:
            found[place] = recommend(state, request.of(customer), ids[place], now)
    return [found[place] for place in range(len(ids))]


def _tables(batch: _Batch) -> Iterator[tuple[Interactions, list[_Row]]]:
    """The histories of those who bear one id, in as few tables as there can be, and whose they are."""
    looks = glances(batch.state, batch.request.customers, batch.now)
    single = [(place, who) for place, who in enumerate(looks) if len(who.ids) == 1]
    heard = histories_each(batch.state, batch.release, [who for _, who in single], batch.now)
    looked = {who.ids[0]: who for _, who in single}
    plain: list[_Row] = []
    lived: list[tuple[_Row, Interactions]] = []
    for (place, who), (own, why) in zip(single, heard, strict=True):
        row = _Row(place, who.ids[0], who.ids[0] if own is None else NOBODY, why)
        if own is None or not len(own):
            plain.append(row)
        else:
            lived.append((row, own))
    if plain:
        yield _with_tired(batch, _of_release(batch, plain), plain, looked)
    if lived and all(own.lines is None for _, own in lived):
        yield _with_tired(batch, stacked([own for _, own in lived]), [row for row, _ in lived], looked)


def _of_release(batch: _Batch, rows: Sequence[_Row]) -> Interactions:
    """The rows of the release as of now; an empty one for who is answered by what is popular."""
    known, settings = batch.release.interactions, batch.release.weighed or batch.state.settings.interactions
    if known is None:
        nobody = described([], settings, batch.now)
        return replace(nobody, customers=np.full(len(rows), NOBODY))
    return folded(known.rows([row.known for row in rows]), [], settings, batch.now)


def _with_tired(
    batch: _Batch, histories: Interactions, rows: Sequence[_Row], looks: dict[str, Glance]
) -> tuple[Interactions, list[_Row]]:
    """The rows with what each customer is tired of."""
    may = [row.customer for row in rows if may_tire(batch.state, looks[row.customer])]
    shown, found = shown_each(batch.state, may, batch.now), list(rows)
    for number, row in enumerate(rows):
        if row.customer in shown:
            own = histories.between(number, number + 1)
            found[number] = replace(row, tired=_tired(batch, shown[row.customer], own))
    return histories, found


def _tired(batch: _Batch, shown: Shown, history: Interactions) -> Ids:
    """What a customer who was shown this is tired of, as far as it fits the request's condition."""
    tired, fits = tired_of(batch.state, shown, history, batch.now), fitting(batch.state.catalog, batch.request.where)
    return tired if fits is None or not len(tired) else tired[np.isin(tired, fits)]


def _answered(batch: _Batch, histories: Interactions, rows: Sequence[_Row], ids: Sequence[str]) -> dict[int, Made]:
    """By place what is decided; nothing where a customer would get fewer items than are allowed."""
    k = batch.request.k
    rankings = recommend_varied(
        batch.model, histories, k, items=_filter(batch, histories, rows), as_of=batch.moment, variety=batch.variety
    )
    reasons = batch.model.reasons(histories, rankings, as_of=batch.moment)
    context = context_of(batch.request, batch.mode, batch.variety)
    found: dict[int, Made] = {}
    for row, items, scores, said in zip(rows, rankings.items, rankings.scores, reasons, strict=True):
        if len(row.tired) and len(items) < k:
            continue
        found[row.place] = decided(
            batch.state,
            batch.release,
            "recommend",
            row.customer,
            Rankings((items,), (scores,)),
            said,
            row.fallback,
            ids[row.place],
            batch.now,
            context | {"tired": row.tired.tolist()},
        )
    return found


def _filter(batch: _Batch, histories: Interactions, rows: Sequence[_Row]) -> ItemFilter:
    """What may be answered to each: as to one, what it is tired of left out."""
    catalog, without = batch.state.catalog, np.array(batch.request.exclude, np.str_)
    items = allowed(batch.mode, histories.bought, batch.model)
    items = replace(items, allowed=fitting(catalog, batch.request.where), excluded=gone(catalog))
    if not len(without) and not any(len(row.tired) for row in rows):
        return items
    before = items.excluded_each or [NONE] * len(rows)
    each = [np.concatenate([own, without, row.tired]) for own, row in zip(before, rows, strict=True)]
    return replace(items, excluded_each=each)
