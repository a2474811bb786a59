"""Reasons of models whose score is a sum over the history: the terms that carried it are cited."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, takewhile
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from training.recommenders.base import Reason

CITED = 3  # items named at most
NAMED = 2  # of them in words
SHARE = 0.25  # and only those that carry at least this share of the largest term
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
    texts = {
        "because_you_bought": f"because you bought {others}",
        "because_you_viewed": f"because you looked at {others}",
        "customers_also": f"customers who chose {others} also chose it",
        "buy_again": "you bought it before",
        "due_again": "due again: you bought it before",
        "similar": f"goes with {others}",
        "goes_with": f"goes with {others}",
        "popular": "popular now",
        "new": "new in the shop",
        "listed": "in the shop",
        "pinned": "promoted by the shop",
    }
    return texts.get(kind, kind)


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
    alike = past.bought[first]
    carrying = takewhile(lambda one: terms[one] >= SHARE * terms[first], order)
    cited = islice((past.names[one] for one in carrying if past.bought[one] == alike), CITED)
    return Reason(past.kind if alike else "because_you_viewed", tuple(cited))
