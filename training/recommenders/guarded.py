"""Guarded: a user's model whose every answer is checked. What it breaks is one line that names the model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from features.catalog import Catalog
from features.interactions import Interactions
from features.located import located
from training.recommenders.base import ItemFilter, Rankings, Reason
from training.recommenders.places import positions, shared

Ids = NDArray[np.str_]
KNOWN = "known.npz"


class BrokenModelError(RuntimeError):
    """A user's model raised, or answered what a recommender must not."""


def told(path: str, what: str, call: Callable[..., Any], *given: Any, **named: Any) -> Any:
    """What the call gives; whatever a user's code raises becomes one line."""
    try:
        return call(*given, **named)
    except Exception as error:
        said = " ".join(str(error).split())
        raise BrokenModelError(f"{path}: {what} raised {type(error).__name__}{said and f': {said}'}") from error


@dataclass
class Guarded:
    """A recommender that asks `inner`. `path`: what the user calls it, `package.module:Class`."""

    inner: Any
    path: str
    items_: Ids = field(default_factory=lambda: np.empty(0, np.str_), repr=False)  # what may be answered, sorted

    @property
    def name(self) -> str:
        return str(self.inner.name)

    def fit(self, interactions: Interactions) -> Self:
        self.inner = self._model("fit", interactions)
        self.items_ = interactions.items
        return self

    def beside(self, interactions: Interactions) -> Self:
        """Itself where the user's model has no `beside`: it compares no customers."""
        if not hasattr(self.inner, "beside"):
            return self
        return type(self)(self._model("beside", interactions), self.path, self.items_)

    def recommend_for(self, histories: Interactions, k: int, *, items: ItemFilter, as_of: datetime | None) -> Rankings:
        answer = self._told("recommend_for", histories, k, items=items, as_of=as_of)
        return self._checked("recommend_for", answer, len(histories.customers), k, items)

    def similar(self, item: str, k: int, *, items: ItemFilter) -> Rankings:
        answer = self._told("similar", item, k, items=items)
        if not len(positions(self.items_, np.array([item]))):
            return Rankings((self.items_[:0],), (np.empty(0, np.float32),))
        return self._checked("similar", answer, 1, k, _without(items, [item]))

    def complete(self, cart: Sequence[str], k: int, *, items: ItemFilter) -> Rankings:
        answer = self._told("complete", cart, k, items=items)
        return self._checked("complete", answer, 1, k, _without(items, cart))

    def goes_with(self, cart: Sequence[str], rankings: Rankings) -> list[Reason]:
        reasons: list[Reason] = self._told("goes_with", cart, rankings)
        self._same_length("goes_with", [reasons], rankings)
        return reasons

    def alike(self, ids: Ids) -> NDArray[np.float32]:
        return self._numbers("alike", ids, (len(ids), len(ids)))

    def chance_of_repeat(self, ids: Ids) -> NDArray[np.float32]:
        return self._numbers("chance_of_repeat", ids, (len(ids),))

    def reasons(self, histories: Interactions, rankings: Rankings, *, as_of: datetime | None) -> list[list[Reason]]:
        reasons: list[list[Reason]] = self._told("reasons", histories, rankings, as_of=as_of)
        self._same_length("reasons", reasons, rankings)
        return reasons

    def admit(self, catalog: Catalog) -> Self:
        inner = self._model("admit", catalog)
        grown = self.items_ if inner is self.inner else np.union1d(self.items_, getattr(inner, "items_", self.items_))
        return type(self)(inner, self.path, grown)

    def save(self, folder: Path) -> None:
        self._told("save", folder)
        np.savez(folder / KNOWN, items=self.items_)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Not without a class: see `read`."""
        raise TypeError(f"{folder}: a user's model is loaded by the class that attune.yaml names")

    @classmethod
    def read(cls, kind: type[Any], path: str, folder: Path) -> Self:
        """The model that `save` wrote, of this class."""
        inner = told(path, "load", kind.load, folder)
        with np.load(folder / KNOWN, allow_pickle=False) as kept:
            return cls(inner, path, kept["items"])

    def _model(self, method: str, given: Any) -> Any:
        found = self._told(method, given)
        if found is None:
            raise BrokenModelError(f"{self.path}: {method} returned None, must return the model")
        return found

    def _told(self, method: str, *given: Any, **named: Any) -> Any:
        return told(self.path, method, getattr(self.inner, method), *given, **named)

    def _numbers(self, method: str, ids: Ids, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """What the method says of these items."""
        given = self._told(method, ids)
        found: NDArray[np.float32] = told(self.path, method, np.asarray, given, dtype=np.float32)
        if found.shape != shape or not np.isfinite(found).all():
            raise BrokenModelError(f"{self.path}: {method} must return finite numbers of shape {shape}")
        return found

    def _checked(self, method: str, answer: Any, rows: int, k: int, items: ItemFilter) -> Rankings:
        if not isinstance(answer, Rankings):
            raise BrokenModelError(f"{self.path}: {method} returned a {type(answer).__name__}, must return Rankings")
        if len(answer.items) != rows or len(answer.scores) != rows:
            raise BrokenModelError(f"{self.path}: {method} returned {len(answer.items)} rankings, must be {rows}")
        for row in range(rows):
            only, never = items.places(self.items_, row)
            if fault := _fault(self.items_, answer.items[row], answer.scores[row], k, only, never):
                raise BrokenModelError(f"{self.path}: {method} {fault}")
        return answer

    def _same_length(self, method: str, reasons: Sequence[Sequence[Reason]], rankings: Rankings) -> None:
        given, needed = [len(row) for row in reasons], [len(ids) for ids in rankings.items]
        if given != needed:
            raise BrokenModelError(f"{self.path}: {method} returned {sum(given)} reasons for {sum(needed)} items")


def _without(items: ItemFilter, ids: Sequence[str]) -> ItemFilter:
    """The filter of one customer that leaves these out too."""
    return replace(items, excluded_each=[np.concatenate([*(items.excluded_each or []), np.array(ids, np.str_)])])


def _fault(known: Ids, ids: Ids, scores: Any, k: int, only: Any, never: NDArray[np.intp]) -> str | None:
    """What is wrong with one ranking, or None. `only` and `never` as of `ItemFilter.places`."""
    ids = np.asarray(ids, dtype=np.str_)
    places, heard = located(known, ids)
    if not heard.all():
        return f"returned the unknown item {str(ids[~heard][0])!r}; it may answer with ids of the log only"
    if len(np.unique(places)) < len(places):
        return "returned an item twice"
    barred = places[located(never, places)[1] | (only is not None and ~located(only, places)[1])]
    if len(barred):
        return f"returned {str(known[barred[0]])!r}, which the filter does not allow"
    allowed = len(known) - len(never) if only is None else len(only) - len(shared(only, never))
    if len(ids) != min(k, allowed):
        return f"returned {len(ids)} items, must be {min(k, allowed)} (k == {k}, {allowed} allowed)"
    scores = np.asarray(scores, dtype=np.float64)
    if scores.shape != ids.shape or not np.isfinite(scores).all() or (np.diff(scores) > 0).any():
        return "returned scores that are not one finite number an item, best first"
    return None
