"""Chain: the steps by which items are found; each answers what the one before left empty.

    personal              the customer's own history, with consent, or the one that was given
    session               what was done on the device, or what stands on the page and in the cart
    similar               what goes with the items on the page and in the cart
    popular-in-category   what is popular in their categories
    popular               what is popular

A step that has nothing to go by is passed over. One whose model raises or takes too long is said, and the next one
answers; `popular` then comes from what is counted in memory (serving/decisions/popular.py). What a model has no opinion
on it ranks by popularity: that is the last step's answer already, where no other step has anything to add.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from features.placements import POPULAR
from serving.decisions.pace import FailedError, LetDownError
from training.recommenders.base import ItemFilter, Rankings, Reason
from training.recommenders.listed import Listed

Ranked = tuple[Rankings, Sequence[Reason]]
Ask = Callable[[int, ItemFilter], Ranked]
PINNED = "pinned"  # the step of an item that a promotion put where it stands


@dataclass(frozen=True)
class Found:
    """Items, best first, each with its score, its reason and the step that found it.

    `failed`: why the first of the steps that failed did. `pinned`: by item the promotion that put it there.
    """

    items: tuple[str, ...] = ()
    scores: tuple[float | None, ...] = ()
    reasons: tuple[Reason, ...] = ()
    steps: tuple[str, ...] = ()
    failed: str | None = None
    pinned: Mapping[str, str] = field(default_factory=dict)

    def and_(self, more: Found) -> Found:
        """These items, and more behind them."""
        if not self.items:
            return replace(more, failed=self.failed or more.failed) if self.failed else more
        return Found(
            self.items + more.items,
            self.scores + more.scores,
            self.reasons + more.reasons,
            self.steps + more.steps,
            self.failed or more.failed,
        )

    @property
    def answered(self) -> dict[str, int]:
        """How many items each step found."""
        return {step: self.steps.count(step) for step in dict.fromkeys(self.steps)}


NOTHING = Found()


@dataclass(frozen=True)
class Step:
    """One step; `sure` where all that it ranks is its own, what its model scores 0 or less too."""

    name: str
    ask: Ask
    sure: bool = False


@dataclass(frozen=True)
class Chain:
    """The steps that have something to go by, but for the last: `popular` asks the model, `counted` nobody."""

    steps: Sequence[Step]
    popular: Ask
    counted: Ask

    def answered(self, k: int, items: ItemFilter) -> Found:
        """The k best that are allowed, or as many as there are."""
        found = NOTHING
        for step in self.steps:
            last = step is self.steps[-1] and not step.sure
            one = _asked(step, k - len(found.items), without(items, found.items), fills=last)
            found = found.and_(one)
            if len(found.items) == k or (last and one.items):
                return found
        missing, rest = k - len(found.items), without(items, found.items)
        try:
            return found.and_(_all(POPULAR, self.popular(missing, rest)))
        except LetDownError as error:
            return found.and_(replace(_all(POPULAR, self.counted(missing, rest)), failed=str(error)))


def without(items: ItemFilter, ids: Sequence[str] | NDArray[np.str_]) -> ItemFilter:
    """The filter of one customer that leaves these out too."""
    if not len(ids):
        return items
    return replace(items, excluded_each=[np.concatenate([*(items.excluded_each or []), np.asarray(ids, np.str_)])])


def among(items: ItemFilter, ids: NDArray[np.str_] | Listed) -> ItemFilter:
    """The filter that allows of these only what it allowed before."""
    both = ids if items.allowed is None else np.intersect1d(np.asarray(items.allowed), np.asarray(ids))
    return replace(items, allowed=both)


def _asked(step: Step, k: int, items: ItemFilter, *, fills: bool) -> Found:
    """What the step finds; with `fills` also what its model has no opinion on, which is popular."""
    try:
        rankings, reasons = step.ask(k, items)
    except LetDownError as error:
        return Found(failed=f"{error} at the step {step.name}" if isinstance(error, FailedError) else str(error))
    if step.sure:
        return _all(step.name, (rankings, reasons))
    names, scores = rankings.items[0].tolist(), rankings.scores[0].tolist()
    steps = [step.name if score > 0 else POPULAR for score in scores]
    found = list(zip(names, scores, reasons, steps, strict=True))
    return _of(found if fills else [one for one in found if one[1] > 0])


def _all(step: str, ranked: Ranked) -> Found:
    (names,), (scores,) = ranked[0].items, ranked[0].scores
    return Found(tuple(names.tolist()), tuple(scores.tolist()), tuple(ranked[1]), (step,) * len(names))


def _of(rows: Sequence[tuple[str, float, Reason, str]]) -> Found:
    names, scores, reasons, steps = zip(*rows, strict=True) if rows else ((),) * 4
    return Found(names, scores, reasons, steps)
