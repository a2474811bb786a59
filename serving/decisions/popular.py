"""Popular: what is bought most, known without a model. It answers where there is none, or where it lets a request down.

of a release     the purchases that it knows, weighed as its model learned them
of a history     the orders of those who agreed, counted once when somebody first asks
otherwise        the catalogue, in its order
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Lock

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.catalog import Catalog
from features.events import ORDERED
from features.interactions import Interactions
from features.workspace import Workspace
from training.recommenders.base import ItemFilter, Rankings, Reason
from training.recommenders.reasons import LISTED, POPULAR
from training.recommenders.scorer import popularity
from training.recommenders.topk import best

log = logging.getLogger("attune.popular")
REMEMBERED = b"popular"  # no condition is written so


@dataclass(frozen=True, eq=False)
class Counted:
    """How much each item is bought, as a share of the most popular one's; ids are sorted."""

    items: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, np.str_))
    shares: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))


class Popular:
    """What was counted; `count` is asked once, as of the first request that needs it."""

    def __init__(self, count: Callable[[datetime], Counted] = lambda _: Counted()) -> None:
        self._count, self._lock = count, Lock()
        self._counted: Counted | None = None

    def ranked(self, catalog: Catalog, k: int, items: ItemFilter, now: datetime) -> tuple[Rankings, list[Reason]]:
        """The k most popular that are allowed, then what of the catalogue nobody bought, in its order."""
        ids, scores = self._known(catalog, now)
        found, values = best(ids, scores, items.mask(ids, 1)[0], k)
        return Rankings((found,), (values,)), [POPULAR if one > 0 else LISTED for one in values.tolist()]

    def knows(self, catalog: Catalog, now: datetime) -> bool:
        """Whether there is any item."""
        return bool(len(self._known(catalog, now)[0]))

    def counted(self, now: datetime) -> Counted:
        """What is bought; nothing, and a line in the log, where that cannot be read."""
        with self._lock:
            if self._counted is None:
                try:
                    self._counted = self._count(now)
                except Exception as error:  # noqa: BLE001  # whatever is wrong with a history, the catalogue answers
                    log.warning("what is bought could not be counted: %s", " ".join(str(error).split()))
                    self._counted = Counted()
        return self._counted

    def _known(self, catalog: Catalog, now: datetime) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
        counted, kept = self.counted(now), catalog.remembered.get(REMEMBERED)
        if kept is None or kept[0] is not counted:
            kept = catalog.remembered[REMEMBERED] = (counted, *_joined(counted, catalog))
        return kept[1], kept[2]


def of_release(interactions: Interactions) -> Popular:
    """What customers of a release bought."""
    return Popular(lambda _: Counted(interactions.items, popularity(interactions)))


def of_history(workspace: Workspace) -> Popular:
    """What was ordered by those who agreed that it counts."""
    return Popular(lambda now: _ordered(workspace, now))


def _ordered(workspace: Workspace, now: datetime) -> Counted:
    from features.consent import consented
    from features.history import read_events

    events, _ = consented(read_events(workspace), workspace, purpose="personalisation", as_of=now)
    rows = events.before(now.replace(tzinfo=None))
    placed = rows.filter(rows.name == ORDERED, rows.item.notnull(), ~rows.machine)
    table: pa.Table = placed.group_by("item").aggregate(orders=placed.count()).order_by("item").to_pyarrow()
    orders = table["orders"].to_numpy().astype(np.float32)
    items = np.array(table["item"].to_pylist(), np.str_)
    order = np.argsort(items)
    return Counted(items[order], (orders / orders.max(initial=1))[order])


def _joined(counted: Counted, catalog: Catalog) -> tuple[NDArray[np.str_], NDArray[np.float32]]:
    """All items, sorted: those that are bought above 0, the others of the catalogue below, by their place there."""
    listed = catalog.frame.index.to_numpy(dtype=np.str_)
    ids = np.union1d(counted.items, listed)
    scores = np.zeros(len(ids), np.float32)
    scores[np.searchsorted(ids, listed)] = -np.arange(len(listed), dtype=np.float32) / max(len(listed), 1)
    scores[np.searchsorted(ids, counted.items)] = counted.shares
    return ids, scores
