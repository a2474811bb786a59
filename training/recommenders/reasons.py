"""Reasons of models whose score is a sum over the history: the terms that carried it are cited."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from training.recommenders.base import Reason

CITED = 3  # items named at most
NAMED = 2  # of them in words
SHARE = 0.25  # and only those that carry at least this share of the largest term
OTHERS = "OTHERS"
TEXTS = {
    "because_you_bought": f"because you bought {OTHERS}",
    "because_you_viewed": f"because you looked at {OTHERS}",
    "customers_also": f"customers who chose {OTHERS} also chose it",
    "buy_again": "you bought it before",
    "due_again": "due again: you bought it before",
    "similar": f"goes with {OTHERS}",
    "goes_with": f"goes with {OTHERS}",
    "popular": "popular now",
    "new": "new in the shop",
    "listed": "in the shop",
    "pinned": "promoted by the shop",
}
POPULAR = Reason("popular")
NEW = Reason("new")
LISTED = Reason("listed")


def because(
    history: Interactions, places: NDArray[np.intp], terms: NDArray[Any], *, kind: str = "because_you_bought"
) -> list[Reason]:
    """A reason per item at these places: `terms` holds what each pair of the history (rows) adds to its score.

    `kind` is that of a reason which cites what was bought.
    """
    if not len(history):
        return [POPULAR] * len(places)
    by_item = np.argsort(history.item, kind="stable")
    orders = by_item[np.argsort(-terms[by_item], axis=0, kind="stable")]
    past = _Past(history.items[history.item].tolist(), history.item.tolist(), (history.purchases > 0).tolist(), kind)
    columns = zip(places.tolist(), orders.T.tolist(), terms.T.tolist(), strict=True)
    return [_reason(past, *column) for column in columns]


@dataclass(frozen=True)
class Alike:
    """Histories of one length, sorted by item, of each of which as many places are answered; the ids are all items'."""

    ids: NDArray[np.str_]
    item: NDArray[np.int32]  # (histories, length)
    bought: NDArray[np.bool_]  # (histories, length)
    places: NDArray[np.intp]  # (histories, places)


def because_each(alike: Alike, terms: NDArray[Any], *, kind: str = "because_you_bought") -> list[list[Reason]]:
    """What `because` says of each history, for all of them at once; `terms` are (histories, length, places)."""
    order = np.argsort(-terms, axis=1, kind="stable").transpose(0, 2, 1)
    terms = np.take_along_axis(terms.transpose(0, 2, 1), order, axis=2)
    item, bought = (np.take_along_axis(part[:, None], order, axis=2) for part in (alike.item, alike.bought))
    own = (item[:, :, 0] == alike.places) & bought[:, :, 0]
    cited = (terms >= SHARE * terms[:, :, :1]) & (bought == bought[:, :, :1])
    cited &= np.cumsum(cited, axis=2) <= CITED
    names, ends = alike.ids[item[cited]].tolist(), np.cumsum(cited.sum(axis=2)).tolist()
    cites = [tuple(names[start:end]) for start, end in pairwise([0, *ends])]
    kinds = np.where(bought[:, :, 0], kind, "because_you_viewed")
    kinds = np.where(terms[:, :, 0] <= 0, POPULAR.kind, np.where(own, "buy_again", kinds))
    told = [_told(*one) for one in zip(kinds.ravel().tolist(), cites, strict=True)]
    width = alike.places.shape[1]
    return [told[start : start + width] for start in range(0, len(told), width)]


def _told(kind: str, cites: tuple[str, ...]) -> Reason:
    if kind == POPULAR.kind:
        return POPULAR
    return Reason(kind, cites[:1] if kind == "buy_again" else cites)


def filled_by(chance: NDArray[np.float32]) -> list[Reason]:
    """Why items are answered that have no score; `chance`: that each is bought again, 0 for one that is in no event."""
    return [POPULAR if known else NEW for known in (chance > 0).tolist()]


def carried(cart: NDArray[np.str_], terms: NDArray[Any], otherwise: Reason) -> Reason:
    """Which items of the cart carried a score that is the sum of these terms, one each; `otherwise` where none did."""
    order = np.lexsort((cart, -terms))
    if not len(order) or terms[order[0]] <= 0:
        return otherwise
    order = order[terms[order] >= SHARE * terms[order[0]]]
    return Reason("goes_with", tuple(cart[order[:CITED]].tolist()))


def worded(kind: str, cited: Sequence[str]) -> str:
    """The reason for a person; `cited` are the names of other items that it cites."""
    others = ", ".join(cited[:NAMED]) or "it before"  # an item may be its own reason
    return TEXTS.get(kind, kind).replace(OTHERS, others)


class _Past(NamedTuple):
    """A history as plain values."""

    names: list[str]
    items: list[int]
    bought: list[bool]
    kind: str  # of a reason that cites what was bought


def _reason(past: _Past, place: int, order: list[int], terms: list[float]) -> Reason:
    first = order[0]
    if terms[first] <= 0:
        return POPULAR
    if past.items[first] == place and past.bought[first]:
        return Reason("buy_again", (past.names[first],))
    alike, least, cited = past.bought[first], SHARE * terms[first], list[str]()
    for one in order:
        if terms[one] < least or len(cited) == CITED:
            break
        if past.bought[one] == alike:
            cited.append(past.names[one])
    return Reason(past.kind if alike else "because_you_viewed", tuple(cited))
