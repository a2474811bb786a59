"""Lines: purchases one by one, for models that read the order in which baskets came.

customer  item  basket  time
0 (ann)   1     0       2024-01-03     ann's oldest basket held tea and coffee,
0 (ann)   7     0       2024-01-03
0 (ann)   1     1       2024-02-01     the next one tea again
1 (bob)   1     0       2024-01-09
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.events import ORDERED, Events

if TYPE_CHECKING:
    from features.interactions import Interactions


@dataclass(frozen=True)
class Lines:
    """Parallel arrays, sorted by customer, basket and item; an item stands once in a basket."""

    customer: NDArray[np.int32]  # positions in the customers of the interactions they belong to
    item: NDArray[np.int32]  # positions in their items
    basket: NDArray[np.int32]  # per customer, 0 = the oldest
    time: NDArray[np.datetime64]  # datetime64[us], NaT where the log has no times

    def __len__(self) -> int:
        return len(self.customer)

    @classmethod
    def of(cls, customer: NDArray[Any], item: NDArray[Any], basket: NDArray[Any], time: NDArray[Any]) -> Lines:
        """The lines of these arrays, sorted, each item once in a basket."""
        order = np.lexsort((time, item, basket, customer))
        keys = np.stack([customer[order], basket[order], item[order]])
        new = np.r_[True, (np.diff(keys) != 0).any(axis=0)] if len(order) else np.zeros(0, dtype=bool)
        kept = order[new]
        who, what, ordinal = (part[kept].astype(np.int32) for part in (customer, item, basket))
        return cls(who, what, ordinal, time[kept].astype("datetime64[us]"))

    @classmethod
    def build(cls, events: Events, as_of: datetime, interactions: Interactions) -> Lines:
        """What the customers of these interactions ordered before `as_of`; rows of one order are one basket.

        A row without an `order_id` is in one basket with the customer's other rows of that moment.
        """
        past = events.past(as_of)
        rows = past.rows.filter(past.rows.name == past.code(ORDERED), past.rows.item.notnull())
        bought = rows.select("customer", "item", "order_id", "time").to_pyarrow().combine_chunks()
        who = _places(past.customers, interactions.customers)[bought["customer"].to_numpy()]
        what = _places(past.items, interactions.items)[bought["item"].to_numpy()]
        time = bought["time"].to_numpy().astype("datetime64[us]")
        known = (who >= 0) & (what >= 0)
        basket = _ordinals(who[known], _orders(bought["order_id"].combine_chunks(), time)[known], time[known])
        return cls.of(who[known], what[known], basket, time[known])

    @classmethod
    def of_pairs(cls, interactions: Interactions) -> Lines:
        """What pairs still tell: each item once, with the others of the last time it was bought."""
        bought = interactions.purchases > 0
        who, time = interactions.customer[bought].astype(np.int64), interactions.last[bought]
        moments = np.unique(time, return_inverse=True)[1].astype(np.int64)
        return cls.of(who, interactions.item[bought], _ordinals(who, moments, time), time)

    def starts(self, customers: int) -> NDArray[np.int64]:
        """Customer i's lines are `starts[i]:starts[i + 1]`."""
        return np.searchsorted(self.customer, np.arange(customers + 1)).astype(np.int64)

    def baskets(self, customers: int) -> NDArray[np.int64]:
        """How many baskets each customer has."""
        count = np.zeros(customers, dtype=np.int64)
        np.maximum.at(count, self.customer, self.basket + 1)
        return count

    def taken(self, row: NDArray[np.int32], places: NDArray[np.int64] | slice) -> Lines:
        """The lines at these places, of the customers `row`."""
        return Lines(row, self.item[places], self.basket[places], self.time[places])

    def aligned(self, items: NDArray[np.str_], wanted: NDArray[np.str_]) -> Lines:
        """The lines of `items` over the items `wanted`, both sorted; those of other items are left out."""
        found = np.minimum(np.searchsorted(wanted, items), len(wanted) - 1)
        known = (wanted[found] == items)[self.item]
        return Lines(
            self.customer[known], found[self.item[known]].astype(np.int32), self.basket[known], self.time[known]
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The parts by name, as a file keeps them."""
        return {f"lines.{part.name}": getattr(self, part.name) for part in fields(self)}

    @classmethod
    def put_together(cls, arrays: dict[str, NDArray[Any]]) -> Lines | None:
        """The lines of `arrays`, which it takes out of them; None where there are none."""
        names = [f"lines.{part.name}" for part in fields(cls)]
        return cls(*[arrays.pop(name) for name in names]) if names[0] in arrays else None


def runs(starts: NDArray[np.int64], rows: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Row numbers and places of the runs `starts[r]:starts[r + 1]` of these rows in turn; a row of -1 is empty."""
    begin = np.where(rows < 0, 0, starts[rows])
    lengths = np.where(rows < 0, 0, starts[rows + 1] - begin)
    offsets = np.repeat(np.cumsum(lengths) - lengths, lengths)
    places = np.arange(lengths.sum()) - offsets + np.repeat(begin, lengths)
    return np.repeat(np.arange(len(rows), dtype=np.int32), lengths), places


def _places(known: pa.Array, wanted: NDArray[np.str_]) -> NDArray[np.int64]:
    """Where each known id stands among the wanted ones; -1 where it does not."""
    found = pc.index_in(known, pa.array(wanted.tolist(), pa.string()))
    places: NDArray[np.int64] = pc.fill_null(found, -1).to_numpy().astype(np.int64)
    return places


def _orders(ids: pa.Array, time: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """A number per row, the same for one order, in the order of their ids; below 0 the moment of a row without one."""
    coded = ids.dictionary_encode()
    rank = np.argsort(pc.sort_indices(coded.dictionary).to_numpy())
    code = pc.fill_null(coded.indices, 0).to_numpy()
    named = rank[code] if len(rank) else np.zeros(len(ids), np.int64)
    return np.where(pc.is_null(ids).to_numpy(zero_copy_only=False), -1 - np.abs(time.astype(np.int64)), named)


def _ordinals(who: NDArray[np.int64], order: NDArray[np.int64], time: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Per row the place of its order among the customer's, by the order's first moment."""
    rows = np.lexsort((time, order, who))
    new = np.r_[True, (np.diff(who[rows]) != 0) | (np.diff(order[rows]) != 0)][: len(rows)]
    number = np.empty(len(rows), dtype=np.int64)
    number[rows] = np.cumsum(new) - 1
    first = rows[new]  # the earliest row of each order
    by_time = np.lexsort((order[first], time[first], who[first]))
    start = np.searchsorted(who[first][by_time], who[first][by_time])
    place = np.empty(len(first), dtype=np.int64)
    place[by_time] = np.arange(len(first)) - start
    return place[number]
