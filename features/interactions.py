"""Interactions: customers x items, with weights per event type and recency.

A pair (customer, item) is one row of parallel arrays, sorted by customer and item position:

    customer  item  weight  purchases  first       last
    0 (ann)   1     2.5     2          2024-01-03  2024-02-01
    0 (ann)   7     0.3     0          2024-02-01  2024-02-01
    1 (bob)   1     1.0     1          2024-01-09  2024-01-09
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

FILE = "interactions.npz"


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
    def starts(self) -> NDArray[np.int64]:
        """Row i's pairs are `starts[i]:starts[i + 1]`."""
        return np.searchsorted(self.customer, np.arange(len(self.customers) + 1)).astype(np.int64)

    @cached_property
    def position(self) -> dict[str, int]:
        """Customer id to row."""
        return {customer: row for row, customer in enumerate(self.customers.tolist())}

    @cached_property
    def item_position(self) -> dict[str, int]:
        """Item id to column."""
        return {item: column for column, item in enumerate(self.items.tolist())}

    def rows(self, customers: Sequence[str]) -> Interactions:
        """The histories of these customers, in this order; unknown ones get an empty row.

        The ids of the result are positions ("0", "1", ...) when a customer repeats; otherwise the ids as given.
        """
        known = np.array([self.position.get(customer, -1) for customer in customers], dtype=np.int64)
        starts = np.where(known < 0, 0, self.starts[known])
        lengths = np.where(known < 0, 0, self.starts[known + 1] - self.starts[known])
        offsets = np.repeat(np.cumsum(lengths) - lengths, lengths)
        pairs = np.arange(lengths.sum()) - offsets + np.repeat(starts, lengths)
        row = np.repeat(np.arange(len(known), dtype=np.int32), lengths)
        return Interactions(
            np.array(customers, dtype=np.str_),
            self.items,
            row,
            self.item[pairs],
            self.weight[pairs],
            self.purchases[pairs],
            self.first[pairs],
            self.last[pairs],
            self.as_of,
        )

    def save(self, folder: Path) -> None:
        """Writes the one file that `load` reads; holds customers, so it stays under `.attune/`."""
        folder.mkdir(parents=True, exist_ok=True)
        names = ("customers", "items", "customer", "item", "weight", "purchases", "first", "last")
        as_of = np.array(self.as_of.isoformat() if self.as_of else "")
        np.savez(folder / FILE, as_of=as_of, **{name: getattr(self, name) for name in names})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The interactions that `save` wrote."""
        with np.load(folder / FILE, allow_pickle=False) as arrays:
            parts = dict(arrays)
        as_of = str(parts.pop("as_of"))
        return cls(**parts, as_of=datetime.fromisoformat(as_of) if as_of else None)

    def _csr(self, values: NDArray[np.float32]) -> sparse.csr_matrix:
        shape = (len(self.customers), len(self.items))
        return sparse.csr_matrix((values.astype(np.float32), (self.customer, self.item)), shape=shape)
