"""Scorer: what every recommender shares that gives all items a score. A model's own file holds what is its own:

    fit        learns what the fields ending with `_` declare; they are what is saved
    scores     histories -> (customers, items); 0 or less: no opinion
    explain    why these items were scored above 0 for one history       without it: popular
    likeness   how like one item all others are; 0 or less: no opinion    without it: none
    beside     the same model with customers to compare with              without it: itself
    admit      the same model with new items of a catalogue               without it: they are not known
    likeness_between  that between some items and some, where it can be had without all others

Filters, exactly k, ties, filling by popularity, unknown items and files are written once, here and below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property, partial
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from features.interactions import Interactions
from features.located import located
from training.recommenders import stored
from training.recommenders.base import Allowed, ItemFilter, Rankings, Reason
from training.recommenders.cycles import chance_of_repeat
from training.recommenders.places import positions
from training.recommenders.reasons import POPULAR, carried, filled_by
from training.recommenders.search import Space
from training.recommenders.topk import aligned, at_least_1, best, filled, ranked, ranked_others

Ids = NDArray[np.str_]
Places = NDArray[np.signedinteger]
Scores = NDArray[np.float32]


@dataclass
class Scorer(ABC):
    """A recommender that scores all items. What it has no opinion on comes last, the popular first."""

    name: ClassVar[str]
    search: ClassVar[Space] = {}  # what `attune train recommender --tune` may change
    items_: Ids = field(init=False, repr=False)  # sorted
    popularity_: Scores = field(init=False, repr=False)
    chance_: Scores = field(init=False, repr=False)  # that a buyer of the item buys it again

    def fit(self, interactions: Interactions) -> Self:
        """The items, how popular they are and how often bought again; a model learns the rest after it called this."""
        if not len(interactions):
            raise ValueError(
                "the interactions hold no pair of a customer and an item; a recommender needs at least one"
            )
        wrong = np.flatnonzero(~(np.isfinite(interactions.weight) & (interactions.weight > 0)))
        if len(wrong):
            item, weight = interactions.items[interactions.item[wrong[0]]], interactions.weight[wrong[0]]
            raise ValueError(
                f"weight == {weight} of item {str(item)!r}, must be a finite number > 0 ({len(wrong)} such)"
            )
        for name in [name for name in vars(self) if isinstance(getattr(type(self), name, None), cached_property)]:
            delattr(self, name)  # it was made from an earlier fit
        self.items_ = interactions.items
        self.popularity_ = popularity(interactions)
        self.chance_ = chance_of_repeat(interactions)
        return self

    @abstractmethod
    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        """Per history (rows) and item of the model (columns) a score. `histories.items` are the model's."""

    def scores_among(
        self,
        histories: Interactions,
        allowed: Allowed,
        k: int,
        as_of: datetime | None,
    ) -> Scores:
        """As `scores`, good for the `k` best of the allowed items."""
        return self.scores(histories, as_of)

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:
        """A reason per item at these places of `items_`, each scored above 0. One customer's history."""
        return [POPULAR] * len(places)

    def explain_each(
        self, histories: Interactions, places: Sequence[Places], as_of: datetime | None
    ) -> Sequence[Sequence[Reason]]:
        """What `explain` says of each history."""
        return [self.explain(history, some, as_of) for history, some in zip(histories.each(), places, strict=True)]

    def likeness(self, place: int) -> Scores:
        """Per item of the model how like the item at this place of `items_` it is."""
        return np.zeros(len(self.items_), dtype=np.float32)

    def likeness_between(self, rows: Places, columns: Places) -> Scores:
        """How like each of the items `rows` each of the items `columns` is; shape (rows, columns)."""
        near = [self.likeness(place)[columns] for place in rows.tolist()]
        return np.array(near, dtype=np.float32).reshape(len(rows), len(columns))

    def beside(self, interactions: Interactions) -> Self:
        """Itself: it compares no customers."""
        return self

    def admit(self, catalog: Catalog) -> Self:
        """Itself: what is in no event has no place in this model."""
        return self

    def recommend_for(self, histories: Interactions, k: int, *, items: ItemFilter, as_of: datetime | None) -> Rankings:
        known = aligned(histories, self.items_)
        score = partial(self.scores_among, k=k, as_of=as_of)
        return ranked(score, self.popularity_, known, k, items=items)

    def similar(self, item: str, k: int, *, items: ItemFilter) -> Rankings:
        known = positions(self.items_, np.array([item]))
        if not len(known):
            return Rankings((self.items_[:0],), (self.popularity_[:0],))
        place = int(known[0])
        return ranked_others(self.items_, filled(self.likeness(place), self.popularity_), place, k, items=items)

    def complete(self, cart: Sequence[str], k: int, *, items: ItemFilter) -> Rankings:
        places = np.unique(positions(self.items_, np.array(cart, np.str_)))
        near = np.zeros(len(self.items_), dtype=np.float32)
        for place in places.tolist():
            near += np.maximum(self.likeness(place), 0)
        mask = items.mask(self.items_, 1)[0]
        mask[places] = False
        ids, scores = best(self.items_, filled(near, self.popularity_), mask, at_least_1(k))
        return Rankings((ids,), (scores,))

    def goes_with(self, cart: Sequence[str], rankings: Rankings) -> list[Reason]:
        places = np.unique(positions(self.items_, np.array(cart, np.str_)))
        terms = self.likeness_between(places, np.searchsorted(self.items_, rankings.items[0]))
        otherwise = filled_by(self.chance_of_repeat(rankings.items[0]))
        return [carried(self.items_[places], terms[:, slot], other) for slot, other in enumerate(otherwise)]

    def alike(self, ids: Ids) -> Scores:
        near = np.zeros((len(ids), len(ids)), dtype=np.float32)
        found, heard = located(self.items_, ids)
        known = np.flatnonzero(heard)
        if len(known):
            places = found[known]
            likeness = self.likeness_between(places, places)
            near[np.ix_(known, known)] = np.maximum(np.maximum(likeness, likeness.T), 0)
            np.fill_diagonal(near, 0)
        return near

    def chance_of_repeat(self, ids: Ids) -> Scores:
        place, known = located(self.items_, ids)
        return np.where(known, self.chance_[place], np.float32(0))

    def reasons(self, histories: Interactions, rankings: Rankings, *, as_of: datetime | None) -> list[list[Reason]]:
        if not len(rankings):
            return []
        known = aligned(histories, self.items_)
        ids, scored = _joined(rankings.items), _joined(rankings.scores) > 0
        places = self.items_.searchsorted(ids[scored])
        ends = np.cumsum([np.count_nonzero(scores > 0) for scores in rankings.scores]).tolist()
        explained = self.explain_each(known, [places[start:end] for start, end in pairwise([0, *ends])], as_of)
        own: Iterator[Reason] = chain.from_iterable(explained)
        otherwise = () if scored.all() else filled_by(self.chance_of_repeat(ids))
        pairs = zip(scored.tolist(), otherwise, strict=True)
        said = (next(own) if one else other for one, other in pairs) if otherwise else own
        return [list(islice(said, len(ids))) for ids in rankings.items]

    def save(self, folder: Path) -> None:
        stored.write(folder, self)

    @classmethod
    def load(cls, folder: Path) -> Self:
        return stored.read(folder, cls)


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def popularity(interactions: Interactions) -> Scores:
    """Per item the sum of its decayed weights, as a share of the most popular item's, in [0, 1]; baskets count too."""
    log = interactions.bought_together
    total = np.bincount(log.item, log.weight, minlength=len(log.items))
    return np.asarray(total / max(total.max(), np.finfo(np.float64).tiny), dtype=np.float32)
