"""Folded: the history of one customer from single events, and with those that came since it was learned.

Weights are those of `Interactions.build`: each event's own, halved every half-life until now; a refund takes off.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.events import ORDERED, REFUNDED, utc
from features.interactions import ROUNDING, Interactions, event_weights
from features.lines import Lines
from features.workspace import InteractionSettings

DAY = np.timedelta64(1, "D")


class Did(NamedTuple):
    """One event with an item; `time` is None where not known."""

    item: str
    event: str
    time: datetime | None


@dataclass(frozen=True)
class _Parts:
    """Parallel arrays that are summed by item; items may repeat."""

    item: NDArray[np.str_]
    weight: NDArray[np.float64]
    bought: NDArray[np.float64]
    first: NDArray[np.datetime64]
    last: NDArray[np.datetime64]


def history(did: Sequence[Did], settings: InteractionSettings, now: datetime) -> Interactions:
    """The history of one customer who did all this; every event has a weight in `settings`."""
    return _summed(_parts(did, settings, now))


def folded(known: Interactions, did: Sequence[Did], settings: InteractionSettings, now: datetime) -> Interactions:
    """A known history of one customer, with what was done since, as of now."""
    aged = replace(known, weight=(known.weight * _left(known.as_of, settings, now)).astype(np.float32))
    if not did:
        return aged
    items = aged.items[aged.item]
    before = _Parts(items, aged.weight.astype(float), aged.purchases.astype(float), aged.first, aged.last)
    both = [before, _parts(did, settings, now)]
    found = _summed(_Parts(*(np.concatenate([getattr(part, name) for part in both]) for name in vars(before))))
    return found if known.lines is None else replace(found, lines=_lines(known, did, found.items))


def _left(as_of: datetime | None, settings: InteractionSettings, now: datetime) -> float:
    """What is left of a weight that was decayed to `as_of` already."""
    days = 0.0 if as_of is None else max((utc(now) - utc(as_of)).total_seconds() / 86400, 0.0)
    return float(0.5 ** (days / settings.half_life_days))


def _parts(did: Sequence[Did], settings: InteractionSettings, now: datetime) -> _Parts:
    moment, weights = np.datetime64(utc(now), "us"), event_weights(settings)
    time = np.minimum(np.array([one.time for one in did], "M8[us]"), moment)  # NaT where not known
    age = np.where(np.isnat(time), 0.0, (moment - time) / DAY)
    weight = np.array([weights[one.event] for one in did], float) * 0.5 ** (age / settings.half_life_days)
    bought = np.array([(one.event == ORDERED) - (one.event == REFUNDED) for one in did], float)
    return _Parts(np.array([one.item for one in did], np.str_), weight, bought, time, time)


def _summed(parts: _Parts) -> Interactions:
    items, item = np.unique(parts.item, return_inverse=True)
    weight = np.bincount(item, parts.weight, len(items))
    purchases = np.maximum(np.bincount(item, parts.bought, len(items)), 0)
    first, last = np.full((2, len(items)), np.datetime64("NaT"), "M8[us]")
    np.fmin.at(first, item, parts.first)
    np.fmax.at(last, item, parts.last)
    kept = np.flatnonzero(weight > ROUNDING)
    return Interactions(
        np.array([""]),
        items,
        np.zeros(len(kept), np.int32),
        kept.astype(np.int32),
        weight[kept].astype(np.float32),
        purchases[kept].astype(np.float32),
        first[kept],
        last[kept],
    )


def _lines(known: Interactions, did: Sequence[Did], items: NDArray[np.str_]) -> Lines:
    """The known lines over these items, and below them a basket for every moment at which something was ordered."""
    assert known.lines is not None  # noqa: S101  # `folded` asks; this tells the type checker
    before = known.lines.aligned(known.items, items)
    new = [one for one in did if one.event == ORDERED]
    time = np.array([one.time for one in new], "M8[us]")
    basket = np.unique(time, return_inverse=True)[1] + before.baskets(1)[0]
    what = np.searchsorted(items, np.array([one.item for one in new], np.str_))
    new_parts = (np.zeros(len(new), np.int32), what, basket, time)
    parts = zip((before.customer, before.item, before.basket, before.time), new_parts, strict=True)
    return Lines.of(*(np.concatenate(pair) for pair in parts))
