"""Content: items that nobody bought yet, placed by their attributes among those that were.

    N = D_u^-1/2 R D_i^-1/2,  N'N = V diag(w) V' + what is left out                              (rank `rank` + 1)
    e_i = row i of (1 - s s') V diag(w)^1/2, of length 1        where customers put the item; s: D_i^1/2, of length 1
    T   = argmin sum over items i of c_i |e_i - a_i T|^2 + ridge |T|^2     a_i: attributes, c_i: how sure e_i is
    e_j = a_j T, of length 1                           where a new item's attributes put it
    score(u, i) = sum over the history's items j of share_j e_j . e_i      share_j: of weight^damping, sums to 1

`fit` learns T from `interactions.catalog`, `admit` adds the items of the day's catalogue; without a catalogue at `fit`
they are known, and last. s is the direction that all items share; with it everything would be alike. A new item among
its like is near to many customers: this model alone answers with new items twice as often as there are.
Meant for any catalogue: time grows with pairs * `rank`, memory with items * `rank`; T costs width^3, and width^2
numbers, however many items there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import linalg, sparse

from features.catalog import Catalog
from features.interactions import Interactions
from training.recommenders.attributes import Attributes
from training.recommenders.base import Reason
from training.recommenders.directions import Matrix, of_length_1, shares
from training.recommenders.gram import common, normed
from training.recommenders.low_rank import decomposed
from training.recommenders.places import positions
from training.recommenders.reasons import because
from training.recommenders.scorer import Places, Scorer, Scores
from training.recommenders.search import Space, Span

FEW = 4  # one direction to so many items: with all of them nothing would be alike
STEADY = 5.0  # buyers at which a place counts half as much as one that is known exactly
FAINT = np.float32(0.1)  # a place that attributes give no more firmly than this stays short


@dataclass
class Content(Scorer):
    """Attributes in the space of the items' factors. `width`: columns that words and values are hashed into."""

    name: ClassVar[str] = "content"
    search: ClassVar[Space] = {
        "rank": Span(16, 256, log=True),
        "damping": Span(0.0, 1.0),
        "ridge": Span(0.01, 100.0, log=True),
    }
    rank: int = 64
    damping: float = 0.5
    basket: float = 0.3
    ridge: float = 1.0
    width: int = 2048
    seed: int = 0
    directions_: Matrix = field(init=False, repr=False)
    toward_: Matrix = field(init=False, repr=False)  # T
    rarity_: Matrix = field(init=False, repr=False)
    numeric_: NDArray[np.str_] = field(init=False, repr=False)
    centre_: Matrix = field(init=False, repr=False)
    spread_: Matrix = field(init=False, repr=False)

    def fit(self, interactions: Interactions) -> Self:
        super().fit(interactions)
        rank = min(self.rank, max(1, len(self.items_) // FEW))
        normal = normed(interactions, self.damping, 0.5, 0.5, self.basket)
        values, vectors = decomposed(normal, rank + 1, self.seed)
        shared = np.sqrt(common(interactions, self.damping, self.basket))
        apart = vectors - np.outer(shared, shared @ vectors / (shared @ shared))
        apart[self.popularity_ == 0] = 0  # what is left of them is rounding
        self.directions_ = of_length_1(apart * np.sqrt(values))
        catalog = interactions.catalog or Catalog.of(pd.DataFrame({"item": np.empty(0, object)}))
        attributes = Attributes.of(catalog.frame, self.width)
        self.rarity_, self.numeric_ = attributes.rarity, attributes.numeric
        self.centre_, self.spread_ = attributes.centre, attributes.spread
        self.toward_ = self._toward(catalog, np.bincount(interactions.item, minlength=len(self.items_)))
        return self

    def admit(self, catalog: Catalog) -> Self:
        """This model, which also knows the items of the catalogue that it did not learn from."""
        new = catalog.frame[~catalog.frame.index.isin(self.items_)]
        if not len(new):
            return self
        items = np.concatenate([self.items_, new.index.to_numpy(dtype=np.str_)])
        order = np.argsort(items, kind="stable")
        placed = of_length_1(np.asarray(self._attributes.matrix(new) @ self.toward_), least=FAINT)
        model = copy(self)
        model.items_ = items[order]
        nothing = np.zeros(len(new), np.float32)
        model.popularity_ = np.concatenate([self.popularity_, nothing])[order]
        model.chance_ = np.concatenate([self.chance_, nothing])[order]
        model.directions_ = np.concatenate([self.directions_, placed])[order]
        return model

    def scores(self, histories: Interactions, as_of: datetime | None) -> Scores:
        customers: Matrix = shares(histories, self.damping) @ self.directions_
        scores: Scores = customers @ self.directions_.T
        return scores

    def explain(self, history: Interactions, places: Places, as_of: datetime | None) -> Sequence[Reason]:
        near = self.directions_[history.item] * shares(history, self.damping).data[:, None]
        return because(history, places, near @ self.directions_[places].T)

    def likeness(self, place: int) -> Scores:
        """Whether the items are in the same place."""
        likeness: Scores = self.directions_ @ self.directions_[place]
        return likeness

    def likeness_between(self, rows: Places, columns: Places) -> Scores:
        likeness: Scores = self.directions_[rows] @ self.directions_[columns].T
        return likeness

    @property
    def _attributes(self) -> Attributes:
        return Attributes(self.rarity_, self.numeric_, self.centre_, self.spread_)

    def _toward(self, catalog: Catalog, buyers: NDArray[np.int64]) -> Matrix:
        """T of the formula above, from the items that the log and the catalogue share."""
        known = catalog.frame[catalog.frame.index.isin(self.items_)].sort_index()
        place = positions(self.items_, known.index.to_numpy(dtype=np.str_))
        given = self._attributes.matrix(known)
        sure = sparse.diags(buyers[place] / (buyers[place] + STEADY))
        inner = (given.T @ sure @ given).toarray().astype(np.float64)
        inner[np.diag_indices_from(inner)] += self.ridge
        outer = (given.T @ sure @ self.directions_[place]).astype(np.float64)
        return np.asarray(linalg.solve(inner, outer, assume_a="pos"), dtype=np.float32)
