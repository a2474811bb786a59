"""Past: the rows before a moment that features learn from, with ids as numbers.

Features and interactions group the same few columns of the same rows in several ways. Reading them once and comparing
small numbers from then on costs less than a scan of the log, and strings as keys, for each way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from features.engine import held
from features.events import VOCABULARY

if TYPE_CHECKING:
    import ibis.expr.types as ir


@dataclass(frozen=True)
class Past:
    """`rows` are held by the engine: `customer`, `item` (null: none) and `name` are positions in the three lists here.

    The lists are those of the whole log, so some of their ids may have no row. Names begin with `events.VOCABULARY`.
    """

    rows: ir.Table  # customer, item, name, time, quantity, price, order_id
    customers: pa.Array  # sorted
    items: pa.Array  # sorted
    names: tuple[str, ...]

    @classmethod
    def of(cls, log: ir.Table, rows: ir.Table) -> Past:
        """The past of these rows of the log; the lists of ids come from `log`, whose times need not be read for it."""
        customers, items = _distinct(log, "customer"), _distinct(log, "item")
        others = [name for name in _distinct(log, "name").to_pylist() if name not in VOCABULARY]
        names = (*VOCABULARY, *others)
        return cls(held(_coded(people(rows), customers, items, names)), customers, items, names)

    def code(self, name: str) -> int:
        """How `rows` write this name; -1, which no row has, for one that never happened."""
        return self.names.index(name) if name in self.names else -1


def people(rows: ir.Table) -> ir.Table:
    """The rows that features learn from: of a known customer, not made by a machine."""
    return rows.filter(rows.customer.notnull(), ~rows.machine)


def _distinct(log: ir.Table, column: str) -> pa.Array:
    found = log.filter(log[column].notnull()).select(column).distinct().to_pyarrow()[column].combine_chunks()
    return found.take(pc.sort_indices(found))


def _coded(rows: ir.Table, customers: pa.Array, items: pa.Array, names: tuple[str, ...]) -> ir.Table:
    called = _positions(pa.array(names, pa.string()), "name")  # a sender may use as many names as ids
    who, what = _positions(customers, "customer"), _positions(items, "item")
    found = rows.join(who, "customer").join(called, "name").left_join(what, "item")
    same = ("time", "quantity", "price", "order_id")
    return found.select(*same, customer=found.customer_position, item=found.item_position, name=found.name_position)


def _positions(ids: pa.Array, column: str) -> ir.Table:
    import ibis

    return ibis.memtable(pa.table({column: ids, f"{column}_position": pa.array(range(len(ids)), pa.int32())}))
