"""Batch: recommendations for many customers: what `recommend` says of each, where what all share is done once.

    one look for all    consent, what each did since the release, what each was shown
    plain               what the release knows of a customer as it is, or nothing: one table of histories
    lived               what was done since is in the history: another table
    alone               as `recommend` does: who bears several ids, did only what the model does not know, or is tired
                        of so much that it is answered again; all, where the request has a placement, boosts,
                        promotions or a page, or the model is a user's own, or there is none

One call of the model ranks a table, one gives its reasons; where it fails, each is answered alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.decisions import Decision
from features.holdout import held_out
from features.interactions import Interactions, stacked
from features.placements import POPULAR
from serving.decisions.asked import said
from serving.decisions.chain import Found
from serving.decisions.fatigue import NONE, Shown, may_tire, shown_each, tired_of
from serving.decisions.folded import folded
from serving.decisions.found import told
from serving.decisions.glance import Glance, glances
from serving.decisions.histories import described, histories_each, weighing
from serving.decisions.pace import FailedError, tried
from serving.decisions.placed import placed
from serving.decisions.recommend import Answer, Result, decided, recommend
from serving.decisions.requests import BatchRequest
from serving.decisions.state import State
from serving.decisions.where import fitting, gone
from training.recommenders.base import ItemFilter, Rankings, Reason, Recommender
from training.recommenders.bought import allowed
from training.recommenders.guarded import Guarded
from training.recommenders.variety import recommend_varied
from training.release import Release

NOBODY = ""  # no customer's id: a row without a history
Made = tuple[Decision, Answer]
Ids = NDArray[np.str_]
Ranked = tuple[Rankings, Sequence[Sequence[Reason]]]


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
    request.answerable(placed(state, request)[0].k)
    batch = _together(state, request, now)
    found = {} if batch is None else _found_together(batch, ids)
    for place, customer in enumerate(request.customers):
        if place not in found:
            found[place] = recommend(state, request.of(customer), ids[place], now)
    return [found[place] for place in range(len(ids))]


def _found_together(batch: _Batch, ids: Sequence[str]) -> dict[int, Made]:
    """By place what is decided of all that are answered by a table."""
    found: dict[int, Made] = {}
    for histories, rows in _tables(batch):
        found |= _answered(batch, histories, rows, ids)
    return found


def _together(state: State, request: BatchRequest, now: datetime) -> _Batch | None:
    """What is answered for all at once; None where each is answered alone."""
    release = state.recommender
    if release is None or release.recommender is None or isinstance(release.recommender, Guarded):
        return None
    if request.placement is not None or request.boost or request.pinned or request.context is not None:
        return None
    return _Batch(state, release, release.recommender, request, now)


def _tables(batch: _Batch) -> Iterator[tuple[Interactions, list[_Row]]]:
    """The histories of those who bear one id and are not held out, in as few tables as there can be; and whose."""
    looks = glances(batch.state, batch.request.customers, batch.now)
    share = batch.state.settings.holdout
    alone = [len(who.ids) > 1 or held_out(who.ids[0], share) for who in looks]
    single = [(place, who) for place, who in enumerate(looks) if not alone[place]]
    heard = histories_each(batch.state, batch.release, [who for _, who in single], batch.now)
    looked = {who.ids[0]: who for _, who in single}
    plain: list[_Row] = []
    lived: list[tuple[_Row, Interactions]] = []
    for (place, who), (own, why) in zip(single, heard, strict=True):
        row = _Row(place, who.ids[0], who.ids[0] if own is None else NOBODY, why)
        if own is None or not len(own):
            plain.append(row)
        elif why is None:
            lived.append((row, own))
    if plain:
        yield _with_tired(batch, _of_release(batch, plain), plain, looked)
    if lived and all(own.lines is None for _, own in lived):
        yield _with_tired(batch, stacked([own for _, own in lived]), [row for row, _ in lived], looked)


def _of_release(batch: _Batch, rows: Sequence[_Row]) -> Interactions:
    """The rows of the release as of now; an empty one for who is answered by what is popular."""
    known, settings = batch.release.interactions, weighing(batch.state, batch.release)
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
    """What a customer who was shown this is tired of, as far as it fits the request's filter."""
    tired, fits = tired_of(batch.state, shown, history, batch.now), fitting(batch.state.catalog, batch.request.filter)
    return tired if fits is None or not len(tired) else tired[np.isin(tired, fits)]


def _answered(batch: _Batch, histories: Interactions, rows: Sequence[_Row], ids: Sequence[str]) -> dict[int, Made]:
    """By place what is decided; nothing where the model fails or a customer would get fewer items than are allowed."""
    try:
        rankings, reasons = tried(lambda: _ranked(batch, histories, rows))
    except FailedError:
        return {}
    asked = said(batch.state, batch.request) | {"include_bought": batch.mode, "variety": batch.variety}
    found: dict[int, Made] = {}
    for row, items, scores, why in zip(rows, rankings.items, rankings.scores, reasons, strict=True):
        if len(items) == batch.request.k or (len(items) and not len(row.tired)):
            result = _result(batch, row, _found(row, items, scores, why), asked | {"tired": row.tired.tolist()})
            found[row.place] = decided(batch.state, result, ids[row.place], batch.now)
    return found


def _ranked(batch: _Batch, histories: Interactions, rows: Sequence[_Row]) -> Ranked:
    items, moment = _filter(batch, histories, rows), batch.moment
    rankings = recommend_varied(
        batch.model, histories, batch.request.k, items=items, as_of=moment, variety=batch.variety
    )
    return rankings, batch.model.reasons(histories, rankings, as_of=moment)


def _found(row: _Row, items: Ids, scores: NDArray[np.float32], reasons: Sequence[Reason]) -> Found:
    """As a chain of the steps `personal`, where there is a history to go by, and `popular` finds it."""
    own = row.fallback is None
    steps = tuple("personal" if own and score > 0 else POPULAR for score in scores.tolist())
    return Found(tuple(items.tolist()), tuple(scores.tolist()), tuple(reasons), steps)


def _result(batch: _Batch, row: _Row, found: Found, context: dict[str, Any]) -> Result:
    return Result("recommend", row.customer, batch.request, context, found, 1.0, told([row.fallback], found))


def _filter(batch: _Batch, histories: Interactions, rows: Sequence[_Row]) -> ItemFilter:
    """What may be answered to each: as to one, what it is tired of left out."""
    catalog, without = batch.state.catalog, np.array(batch.request.exclude, np.str_)
    items = allowed(batch.mode, histories.bought, batch.model)
    items = replace(items, allowed=fitting(catalog, batch.request.filter), excluded=gone(catalog))
    if not len(without) and not any(len(row.tired) for row in rows):
        return items
    before = items.excluded_each or [NONE] * len(rows)
    each = [np.concatenate([own, without, row.tired]) for own, row in zip(before, rows, strict=True)]
    return replace(items, excluded_each=each)
