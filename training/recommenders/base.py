"""The protocol of a recommender, and what it answers.

A model holds the item side and its parameters only: what it knows about a customer reaches it as a history, at
training (`fit`) and at answering (`recommend_for`) alike, so that a known customer, one that came today and one that
is described in the request are one case, and no customer row can slip into an artefact.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, reduce
from pathlib import Path
from typing import ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from features.interactions import Interactions
from training.recommenders.listed import Listed
from training.recommenders.places import joined, pairs, positions, shared


@dataclass(frozen=True)
class ItemFilter:
    """What may be answered. Ids that the model does not know are ignored.

    `allowed`: None for all items, otherwise the only ones. `excluded`: never, for anyone. `excluded_each` and
    `required_each`: per customer, None for no rule; required means these items only (buy again only).
    """

    allowed: NDArray[np.str_] | Listed | None = None
    excluded: NDArray[np.str_] | Listed | None = None
    excluded_each: Sequence[NDArray[np.str_]] | None = None
    required_each: Sequence[NDArray[np.str_]] | None = None

    def mask(self, items: NDArray[np.str_], rows: int) -> NDArray[np.bool_]:
        """True where an item may be answered; shape (rows, items). `items` are sorted ids."""
        every = np.ones(len(items), dtype=bool)
        if self.allowed is not None:
            every[:] = False
            every[positions(items, self.allowed)] = True
        if self.excluded is not None:
            every[positions(items, self.excluded)] = False
        mask = np.repeat(every[None, :], rows, axis=0)
        if self.excluded_each is not None:
            mask[pairs(items, self.excluded_each)] = False
        if self.required_each is not None:
            required = np.zeros_like(mask)
            required[pairs(items, self.required_each)] = True
            mask &= required
        return mask

    def places(self, items: NDArray[np.str_], row: int) -> tuple[NDArray[np.intp] | None, NDArray[np.intp]]:
        """For one customer the only places among `items` that may be answered, None for all, and those that never.

        Both rise, each place once.
        """
        only, never = self.placed(row, items, lambda ids: np.unique(positions(items, ids)))
        return only, reduce(joined, never, np.empty(0, np.intp))

    def listed(self) -> ItemFilter:
        """The same, what all customers share made once for each who asks of many of them."""
        allowed, excluded = (
            Listed(ids) if isinstance(ids, np.ndarray) else ids for ids in (self.allowed, self.excluded)
        )
        return replace(self, allowed=allowed, excluded=excluded)

    def placed(
        self, row: int, by: object, place: Callable[[NDArray[np.str_]], NDArray[np.intp]]
    ) -> tuple[NDArray[np.intp] | None, list[NDArray[np.intp]]]:
        """As `places`, of what `place` makes of ids (rising, each once); what is never answered in one part or two.

        Of ids that all requests share it is made once for `by`.
        """

        def made(ids: NDArray[np.str_] | Listed) -> NDArray[np.intp]:
            return ids.told(by, place) if isinstance(ids, Listed) else place(ids)

        required = None if self.required_each is None else self.required_each[row]
        excluded = None if self.excluded_each is None else self.excluded_each[row]
        only = [made(ids) for ids in (self.allowed, required) if ids is not None]
        never = [made(ids) for ids in (self.excluded, excluded) if ids is not None]
        return (reduce(shared, only) if only else None), never


@dataclass(frozen=True)
class Allowed:
    """What a filter lets be answered to so many histories. The mask is made where somebody asks for it: it is large."""

    rule: ItemFilter
    items: NDArray[np.str_]
    rows: int

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """True where an item may be answered; shape (rows, items)."""
        return self.rule.mask(self.items, self.rows)

    @cached_property
    def refused(self) -> NDArray[np.intp]:
        """The flat places of (rows, items) that may not be answered."""
        if self.rule.allowed is not None or self.rule.required_each is not None:
            return np.flatnonzero(~self.mask)
        columns, never = len(self.items), self.rule.excluded
        each = pairs(self.items, self.rule.excluded_each or [])
        every = positions(self.items, np.empty(0, np.str_) if never is None else never)
        flat = (np.arange(self.rows)[:, None] * columns + every).ravel()
        return np.concatenate([each[0] * columns + each[1], flat])


@dataclass(frozen=True)
class Rankings:
    """Per customer the item ids and their scores, best first; ragged: fewer than k where fewer are allowed."""

    items: tuple[NDArray[np.str_], ...]
    scores: tuple[NDArray[np.float32], ...]

    def __len__(self) -> int:
        return len(self.items)


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item is answered; true of the model.

    `because_you_bought` cites the bought items of the history that carried the score; `customers_also` too, where
    they did by nothing but that the same customers chose both; `because_you_viewed` cites what was viewed, where
    nothing bought carried it. `buy_again` and `due_again` (its cycle is over, or nearly) cite the item, `popular`
    and `new` (in the catalogue, in no event) nothing. `goes_with` cites the items of a cart, `similar` the item that
    was asked for.
    """

    kind: str
    cites: tuple[str, ...] = ()


class Recommender(Protocol):
    """One model per file; constructed with plain parameters, learned state ends with `_`."""

    name: ClassVar[str]

    def fit(self, interactions: Interactions) -> Self:
        """The model, learned. Permuting the log, or fitting twice with one seed on one thread, changes nothing."""
        ...

    def beside(self, interactions: Interactions) -> Self:
        """A model that answers beside these customers: another one, itself where it learns nothing from them.

        They are no part of what `fit` learned: `save` writes nothing of them, who loads a model gives them again.
        """
        ...

    def recommend_for(self, histories: Interactions, k: int, *, items: ItemFilter, as_of: datetime | None) -> Rankings:
        """Ids and scores per history, best first, exactly k while k are allowed; ties by item id.

        `histories.items` may differ from the items of the fit: unknown ones are ignored. An empty history is answered.
        """
        ...

    def similar(self, item: str, k: int, *, items: ItemFilter) -> Rankings:
        """One ranking: the items most like this one, itself left out; those scored 0 or less are only popular.

        An unknown item gives an empty ranking.
        """
        ...

    def complete(self, cart: Sequence[str], k: int, *, items: ItemFilter) -> Rankings:
        """One ranking: what is most like the items of the cart together, these left out; 0 or less: only popular."""
        ...

    def goes_with(self, cart: Sequence[str], rankings: Rankings) -> list[Reason]:
        """A reason per item of the ranking that `complete` gave for this cart."""
        ...

    def alike(self, ids: NDArray[np.str_]) -> NDArray[np.float32]:
        """How like every two of these items are, symmetric, 0 or more; 0 on the diagonal and where nothing is known."""
        ...

    def chance_of_repeat(self, ids: NDArray[np.str_]) -> NDArray[np.float32]:
        """Per id the chance that a buyer of the item buys it again; 0 where the item is unknown."""
        ...

    def reasons(self, histories: Interactions, rankings: Rankings, *, as_of: datetime | None) -> list[list[Reason]]:
        """A reason per recommended item, aligned with `rankings`."""
        ...

    def admit(self, catalog: Catalog) -> Self:
        """A model that also knows the catalogue's items that are in no event; itself where it can learn no more."""
        ...

    def save(self, folder: Path) -> None:
        """Writes parameters (JSON) and arrays (npz, never pickled) that `load` reads; nothing about customers."""
        ...

    @classmethod
    def load(cls, folder: Path) -> Self: ...
