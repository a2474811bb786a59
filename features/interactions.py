"""Interactions: customers x items, with weights per event type and recency.

A pair (customer, item) is one row of parallel arrays, sorted by customer and item position:

    customer  item  weight  purchases  first       last
    0 (ann)   1     2.5     2          2024-01-03  2024-02-01
    0 (ann)   7     0.3     0          2024-02-01  2024-02-01
    1 (bob)   1     1.0     1          2024-01-09  2024-01-09

Orders that name nobody stand apart, as `baskets`: they teach what is bought together, and are nobody's history.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from scipy import sparse

from features.arrays import read_arrays
from features.events import ORDERED, REFUNDED, Events, utc
from features.lines import Lines, runs
from features.located import located
from features.workspace import InteractionSettings

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.catalog import Catalog

FILE = "interactions.npz"
PAIR = ("customer", "item", "weight", "purchases", "first", "last")  # what a pair is made of
Code = Callable[[str], Any]
Named = tuple[NDArray[np.str_], NDArray[np.int32]]  # ids, and positions among them
CHARACTER = np.dtype("U1").itemsize
ROUNDING = 1e-12  # what sums leave of a purchase that was sent back at once


@dataclass(frozen=True)
class Interactions:
    """Ids, and the pairs between them. `first` and `last` are datetime64[us], NaT where the log has no times."""

    customers: NDArray[np.str_]  # ids, sorted
    items: NDArray[np.str_]  # ids, sorted
    customer: NDArray[np.int32]  # positions in `customers`
    item: NDArray[np.int32]  # positions in `items`
    weight: NDArray[np.float32]  # > 0: event weights, decayed to `as_of`
    purchases: NDArray[np.float32]  # orders that held the item; 0: only viewed or added
    first: NDArray[np.datetime64]
    last: NDArray[np.datetime64]
    as_of: datetime | None = None
    baskets: Interactions | None = None  # over the same items; a row is an order, its id says nothing
    lines: Lines | None = None  # purchases one by one, where somebody asked for them
    earlier: Interactions | None = None  # the same log as of an earlier moment: what followed can be learned from
    catalog: Catalog | None = None  # what is known of items, bought or not, where somebody has it

    def __len__(self) -> int:
        return len(self.weight)

    @cached_property
    def matrix(self) -> sparse.csr_matrix:
        """The weights as a float32 matrix of shape (customers, items)."""
        return self._csr(self.weight)

    @cached_property
    def purchase_matrix(self) -> sparse.csr_matrix:
        """The purchase counts in the same shape; pairs without a purchase are absent."""
        matrix = self._csr(self.purchases)
        matrix.eliminate_zeros()
        return matrix

    @cached_property
    def bought(self) -> tuple[NDArray[np.str_], ...]:
        """Per customer the items that were bought, not only looked at."""
        owned = self.purchases > 0
        if len(self.customers) == 1:
            return (self.items[self.item[owned]],)
        ends = np.searchsorted(self.customer[owned], np.arange(1, len(self.customers)))
        return tuple(np.split(self.items[self.item[owned]], ends)) if len(self.customers) else ()

    @property
    def bought_together(self) -> Interactions:
        """The customers' rows and below them the baskets of nobody, to learn about items from; ids are row numbers."""
        return self if self.baskets is None else self._joined  # what holds itself waits for the collector

    @cached_property
    def _joined(self) -> Interactions:
        assert self.baskets is not None  # noqa: S101  # see `bought_together`; this tells the type checker
        numbers = np.arange(len(self.customers) + len(self.baskets.customers)).astype(np.str_)
        below = replace(self.baskets, customer=self.baskets.customer + np.int32(len(self.customers)))
        pairs: dict[str, Any] = {name: np.concatenate([getattr(self, name), getattr(below, name)]) for name in PAIR}
        return replace(self, customers=numbers, baskets=None, **pairs)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Row i's pairs are `starts[i]:starts[i + 1]`."""
        return np.searchsorted(self.customer, np.arange(len(self.customers) + 1)).astype(np.int64)

    def place(self, customer: str) -> int:
        """The row of this customer, -1 for an unknown one: `places` in a tenth of its time."""
        if len(customer) * CHARACTER > self.customers.itemsize:  # numpy would copy all of them to that width
            return -1
        row = int(self.customers.searchsorted(customer))
        return row if row < len(self.customers) and self.customers[row] == customer else -1

    def places(self, customers: Sequence[str]) -> NDArray[np.intp]:
        """The row of each of these customers, -1 for an unknown one."""
        row, known = located(self.customers, np.array(customers, dtype=np.str_))
        return np.where(known, row, -1)

    @cached_property
    def remembered(self) -> dict[object, Any]:
        """What who answers made of these pairs, by who it is; it goes with them."""
        return {}

    def sorted(self) -> Interactions:
        """The same pairs in their order: by customer, then item."""
        order = np.lexsort((self.item, self.customer))
        return replace(self, **{name: getattr(self, name)[order] for name in PAIR})

    def rows(self, customers: Sequence[str]) -> Interactions:
        """The histories of these customers, in this order; unknown ones get an empty row.

        The ids of the result are positions ("0", "1", ...) when a customer repeats; otherwise the ids as given.
        """
        known = self.places(customers)
        row, pairs = runs(self.starts, known)
        lines = self._lines_of(known)
        return self._taken(np.array(customers, dtype=np.str_), row, pairs, lines)

    def between(self, start: int, stop: int) -> Interactions:
        """The histories in the rows [start, stop)."""
        pairs = slice(int(self.starts[start]), int(self.starts[stop]))
        row = self.customer[pairs] - np.int32(start)
        return self._taken(self.customers[start:stop], row, pairs, self._lines_between(start, stop))

    def each(self) -> Iterator[Interactions]:
        """The histories one by one, as interactions of one customer."""
        if len(self.customers) == 1:
            return iter([self])
        return (self.between(row, row + 1) for row in range(len(self.customers)))

    @classmethod
    def build(cls, events: Events, as_of: datetime, settings: InteractionSettings) -> Self:
        """The interactions before `as_of`: event weights halved every half-life, refunds taken off, ids sorted.

        Rows without an item and machine rows do not count; pairs of weight 0 or less are absent. Rows without a
        customer make baskets, one per order, where no row with that `order_id` names a customer or a device: who was
        behind a device may be known later, and may not have agreed.
        """
        past = events.past(as_of)
        people = _pairs(past.rows, past.code, as_of, settings)
        orders = _pairs(_of_nobody(events.before(as_of)), str, as_of, settings)
        bought = pa.concat_arrays(
            [people["item"].combine_chunks(), pc.index_in(orders["item"].combine_chunks(), past.items)]
        )
        items, item = _present(past.items, bought)
        found = cls._of(people, _present(past.customers, people["customer"]), (items, item[: len(people)]), as_of)
        if not len(orders):
            return found
        numbered = orders["customer"].combine_chunks().dictionary_encode()
        numbers = np.arange(len(numbered.dictionary)).astype(np.str_)
        baskets = cls._of(orders, (numbers, numbered.indices.to_numpy()), (items, item[len(people) :]), as_of)
        return replace(found, baskets=baskets)

    @classmethod
    def _of(cls, pairs: pa.Table, who: Named, what: Named, as_of: datetime) -> Self:
        (customers, customer), (items, item) = who, what
        order = _sorted_pairs(customer, item, (len(customers), len(items)))
        numbers = {name: pairs[name].to_numpy()[order].astype(np.float32) for name in ("weight", "purchases")}
        times = {name: pairs[name].to_numpy()[order].astype("datetime64[us]") for name in ("first", "last")}
        return cls(customers, items, customer[order], item[order], **numbers, **times, as_of=utc(as_of))

    def save(self, folder: Path) -> None:
        """Writes the histories that `load` reads, without baskets; holds customers, so it stays under `.attune/`."""
        folder.mkdir(parents=True, exist_ok=True)
        names = ("customers", "items", *PAIR)
        as_of = np.array(self.as_of.isoformat() if self.as_of else "")
        arrays: dict[str, Any] = {name: getattr(self, name) for name in names}
        arrays |= self.lines.arrays() if self.lines is not None else {}
        np.savez(folder / FILE, as_of=as_of, **arrays)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The interactions that `save` wrote."""
        parts: dict[str, Any] = read_arrays(folder / FILE)
        as_of, lines = str(parts.pop("as_of")), Lines.put_together(parts)
        return cls(**parts, as_of=datetime.fromisoformat(as_of) if as_of else None, lines=lines)

    def _taken(
        self,
        customers: NDArray[np.str_],
        row: NDArray[np.int32],
        pairs: NDArray[np.int64] | slice,
        lines: Lines | None,
    ) -> Interactions:
        """The pairs at these places, of the customers `row`; what else is known of the log stays behind."""
        return Interactions(
            customers,
            self.items,
            row,
            self.item[pairs],
            self.weight[pairs],
            self.purchases[pairs],
            self.first[pairs],
            self.last[pairs],
            self.as_of,
            lines=lines,
        )

    def _lines_of(self, rows: NDArray[np.int64]) -> Lines | None:
        if self.lines is None:
            return None
        return self.lines.taken(*runs(self._line_starts, rows))

    @cached_property
    def _line_starts(self) -> NDArray[np.int64]:
        return self.lines.starts(len(self.customers)) if self.lines is not None else self.starts

    def _lines_between(self, start: int, stop: int) -> Lines | None:
        if self.lines is None:
            return None
        places = slice(*np.searchsorted(self.lines.customer, [start, stop]).tolist())
        return self.lines.taken(self.lines.customer[places] - np.int32(start), places)

    def _csr(self, values: NDArray[np.float32]) -> sparse.csr_matrix:
        shape = (len(self.customers), len(self.items))
        return sparse.csr_matrix((values.astype(np.float32), (self.customer, self.item)), shape=shape)


def stacked(histories: Sequence[Interactions]) -> Interactions:
    """The histories of one customer each as rows of one table, without their lines."""
    ids = [one.items[one.item] for one in histories]
    items, item = np.unique(np.concatenate(ids), return_inverse=True)
    customer = np.repeat(np.arange(len(histories), dtype=np.int32), [len(own) for own in ids])
    pairs: dict[str, Any] = {name: np.concatenate([getattr(one, name) for one in histories]) for name in PAIR[2:]}
    names = np.arange(len(histories)).astype(np.str_)
    return Interactions(names, items, customer, item.astype(np.int32), **pairs)


def event_weights(settings: InteractionSettings) -> dict[str, float]:
    """What each event counts, by name; a refund takes off what the order gave."""
    weights = {name: float(weight) for name, weight in sorted(settings.weights.items()) if weight > 0}
    if not weights:
        raise ValueError(f"interactions.weights == {dict(settings.weights)}, at least one must be > 0")
    return weights | ({REFUNDED: -weights[ORDERED]} if ORDERED in weights else {})


def _of_nobody(rows: ir.Table) -> ir.Table:
    """The orders that no row of the log gives to a customer or a device, each as if it were a customer."""
    unnamed = rows.filter(
        rows.customer.isnull(), rows.anonymous.isnull(), rows.order_id.notnull(), rows.item.notnull(), ~rows.machine
    )
    if not unnamed.count().to_pyarrow().as_py():
        return unnamed.limit(0)  # most logs: the orders of everybody need not be compared with none
    named = rows.filter(rows.customer.notnull() | rows.anonymous.notnull(), rows.order_id.notnull())
    free = unnamed.anti_join(named.select("order_id"), "order_id")
    return free.mutate(customer=free.source + "\n" + free.order_id)


def _pairs(rows: ir.Table, code: Code, as_of: datetime, settings: InteractionSettings) -> pa.Table:
    """Per customer and item the decayed weight and what was bought; `code` is how `rows` write an event's name."""
    import ibis

    weights = {code(name): weight for name, weight in event_weights(settings).items()}
    kept = rows.filter(rows.item.notnull(), rows.name.isin(list(weights)))
    moment = ibis.literal(utc(as_of)).cast("timestamp")
    days = (moment.epoch_seconds() - kept.time.truncate("s").epoch_seconds()) / 86400.0
    weight = ibis.cases(*[(kept.name == name, weight) for name, weight in weights.items()]).cast("float64")
    bought = ibis.cases((kept.name == code(ORDERED), 1.0), (kept.name == code(REFUNDED), -1.0), else_=0.0)
    decayed = kept.select(
        "customer",
        "item",
        "time",
        part=weight * (-days * (math.log(2) / settings.half_life_days)).exp(),
        bought=bought.cast("float64"),
    )
    pairs = decayed.group_by("customer", "item").aggregate(
        weight=decayed.part.sum(),
        purchases=decayed.bought.sum(),
        first=decayed.time.min(),
        last=decayed.time.max(),
    )
    kept_pairs = pairs.filter(pairs.weight > ROUNDING)
    return kept_pairs.mutate(purchases=ibis.greatest(kept_pairs.purchases, 0.0)).to_pyarrow()


def _sorted_pairs(customer: NDArray[np.int32], item: NDArray[np.int32], shape: tuple[int, int]) -> NDArray[np.int64]:
    """The order that sorts distinct pairs by customer, then item: a compressed matrix does it without comparing."""
    places = sparse.csr_matrix((np.arange(len(customer)), (customer, item)), shape=shape)
    places.sort_indices()
    order: NDArray[np.int64] = places.data
    return order


def _present(ids: pa.Array, positions: pa.Array) -> Named:
    """The ids that these positions name, and the positions among them."""
    used = np.zeros(len(ids), np.bool_)
    used[positions.to_numpy()] = True
    rank = np.cumsum(used, dtype=np.int32) - np.int32(1)
    return np.array(ids.filter(pa.array(used)).to_pylist(), dtype=np.str_), rank[positions.to_numpy()]
