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
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from features.catalog import Catalog
from features.events import ORDERED
from features.interactions import Interactions
from features.located import located
from features.workspace import Workspace
from training.recommenders.base import ItemFilter, Rankings, Reason
from training.recommenders.by_score import ByScore
from training.recommenders.reasons import LISTED, POPULAR
from training.recommenders.scorer import popularity

log = logging.getLogger("attune.popular")
LATEST = 2  # catalogues whose order is kept: the newest, and the one that requests begun before it still have


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
        self._orders: list[tuple[pd.Index, ByScore]] = []

    def ranked(self, catalog: Catalog, k: int, items: ItemFilter, now: datetime) -> tuple[Rankings, list[Reason]]:
        """The k most popular that are allowed, then what of the catalogue nobody bought, in its order."""
        found, values = self._order(catalog, now).best(k, items)
        return Rankings((found,), (values,)), [POPULAR if one > 0 else LISTED for one in values.tolist()]

    def knows(self, catalog: Catalog, now: datetime) -> bool:
        """Whether there is any item. Once it was asked an answer needs nothing more."""
        return bool(len(self._order(catalog, now).items))

    def _order(self, catalog: Catalog, now: datetime) -> ByScore:
        """All items by how much they are bought: one thread makes it for all that ask of the same items."""
        ids = catalog.frame.index
        if (known := self._made(ids)) is not None:
            return known
        with self._lock:
            if (known := self._made(ids)) is None:
                known = _joined(self._read(now), ids.to_numpy(dtype=np.str_))
                self._orders = [(ids, known), *self._orders[: LATEST - 1]]
        return known

    def _read(self, now: datetime) -> Counted:
        """What is bought; nothing, and a line in the log, where that cannot be read. The lock is held."""
        if self._counted is None:
            try:
                self._counted = self._count(now)
            except Exception as error:  # noqa: BLE001  # whatever is wrong with a history, the catalogue answers
                log.warning("what is bought could not be counted: %s", " ".join(str(error).split()))
                self._counted = Counted()
        return self._counted

    def _made(self, ids: pd.Index) -> ByScore | None:
        return next((order for made, order in self._orders if made.is_(ids)), None)


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


def _joined(counted: Counted, listed: NDArray[np.str_]) -> ByScore:
    """Those that are bought score above 0, the others of the catalogue below, by their place there."""
    new = listed[~located(counted.items, listed)[1]]
    ids = np.union1d(counted.items, new) if len(new) else counted.items
    scores = np.zeros(len(ids), np.float32)
    scores[located(ids, listed)[0]] = -np.arange(len(listed), dtype=np.float32) / max(len(listed), 1)
    scores[located(ids, counted.items)[0]] = counted.shares
    return ByScore(ids, scores)
