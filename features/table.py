"""FeatureTable: what is known about each customer as of a moment, one row each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from features.events import Events, utc

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.customers.base import Family

# Without the events they speak of, these are unknown; counts and sums are 0.
UNKNOWN_WHEN_EMPTY = ("days", "share", "ratio", "category", "order_value", "order_value_max")


@dataclass(frozen=True)
class Feature:
    """One column: its family, unit (`days`, `EUR`, `count`, `share`, `category`, ...) and a sentence on its meaning."""

    name: str
    family: str
    unit: str
    sentence: str


@dataclass(frozen=True)
class FeatureTable:
    """Rows are customers. `frame` holds feature columns only: float64 numbers (NaN: unknown) and pandas categories.

    `customers` is None for logs without ids (row position is the identity); `as_of` is None where time is unknown.
    """

    frame: pd.DataFrame
    features: tuple[Feature, ...]
    customers: NDArray[np.object_] | None = None
    as_of: datetime | None = None

    def __post_init__(self) -> None:
        if list(self.frame.columns) != [feature.name for feature in self.features]:
            raise ValueError(
                f"feature table has the columns {list(self.frame.columns)}, "
                f"described are {[feature.name for feature in self.features]}; each column needs its description"
            )

    @classmethod
    def build(
        cls,
        events: Events,
        as_of: datetime,
        *,
        families: Sequence[str] | None = None,
        customers: Sequence[str] | None = None,
        traits: Sequence[str] = (),
        currency: str = "EUR",
    ) -> FeatureTable:
        """What these families know before `as_of`: a row per customer, sorted by id, or for `customers` in this order.

        A customer without events has counts and sums of 0 and everything else unknown. Traits belong to `profile`.
        """
        from features.customers.combine import chosen, grains
        from features.past import people

        wanted, moment = chosen(families), utc(as_of)
        past = events.past(moment)
        asked = None if customers is None else pc.index_in(pa.array(customers, pa.string()), past.customers)
        frame, described, positions = derived(grains(_only(past.rows, asked)), asked, moment, wanted, currency)
        ids = past.customers.take(positions) if customers is None else pa.array(customers, pa.string())
        if families is None or "profile" in families:
            described += add_traits(frame, _told(people(events.before(moment)), ids, traits))
        return cls(frame, described, ids.to_numpy(zero_copy_only=False).astype(object), moment)

    def __len__(self) -> int:
        return len(self.frame)

    def take(self, rows: NDArray[np.intp]) -> FeatureTable:
        """The table of these rows, in this order."""
        customers = None if self.customers is None else self.customers[rows]
        return FeatureTable(self.frame.iloc[rows].reset_index(drop=True), self.features, customers, self.as_of)

    def to_pandas(self) -> pd.DataFrame:
        """The features with the customer as index, for a notebook."""
        if self.customers is None:
            return self.frame
        return self.frame.set_axis(pd.Index(self.customers, name="customer"), axis=0)


def derived(
    grains: Mapping[str, ir.Table], asked: pa.Array | None, moment: datetime, families: Sequence[Family], currency: str
) -> tuple[pd.DataFrame, tuple[Feature, ...], pa.Array]:
    """The features of these families from what they aggregate, their descriptions, and whose row each is.

    Customers are numbers: those `asked` for in this order, or all of them, sorted.
    """
    from features.customers.combine import combined

    numbers = combined(grains, moment, families).to_pyarrow()
    positions = _sorted(numbers["customer"]) if asked is None else asked
    described = _described(families, currency)
    return _worded(_frame(numbers, positions, described), families), described, positions


def add_traits(frame: pd.DataFrame, told: Mapping[str, pa.Array]) -> tuple[Feature, ...]:
    """Adds a column per trait from its JSON texts, one per row; their descriptions."""
    from features.customers.profile import described, parsed

    features = []
    for trait, texts in told.items():
        if trait in frame.columns:
            raise ValueError(f"traits: {trait!r} is the name of a feature already; rename the trait in the source")
        frame[trait] = parsed(texts)
        features.append(described(trait, frame[trait]))
    return tuple(features)


def _only(rows: ir.Table, customers: pa.Array | None) -> ir.Table:
    import ibis

    if customers is None:
        return rows
    return rows.semi_join(ibis.memtable(pa.table({"customer": customers.unique().drop_null()})), "customer")


def _sorted(positions: pa.ChunkedArray) -> pa.Array:
    return positions.combine_chunks().take(pc.sort_indices(positions))


def _described(families: Sequence[Family], currency: str) -> tuple[Feature, ...]:
    from features.customers.base import MONEY

    every = [feature for family in families for feature in family.features]
    return tuple(replace(feature, unit=currency) if feature.unit == MONEY else feature for feature in every)


def _frame(numbers: pa.Table, positions: pa.Array, features: tuple[Feature, ...]) -> pd.DataFrame:
    """The columns in the order of `positions`; a customer who is absent did nothing, so that counts and sums are 0."""
    places = pc.index_in(positions, numbers["customer"].combine_chunks())
    columns = {}
    for feature in features:
        values = numbers[feature.name].combine_chunks().take(places).to_numpy(zero_copy_only=False)
        empty = np.nan if feature.unit in UNKNOWN_WHEN_EMPTY or feature.name in UNKNOWN_WHEN_EMPTY else 0.0
        columns[feature.name] = np.where(np.isnan(values), empty, values)
    return pd.DataFrame(columns)


def _worded(frame: pd.DataFrame, families: Sequence[Family]) -> pd.DataFrame:
    """The frame with its categories in words."""
    for name, words in ((name, words) for family in families for name, words in family.words.items()):
        codes = frame[name].fillna(-1).to_numpy(np.int8)
        frame[name] = pd.Series(pd.Categorical.from_codes(codes, categories=pd.Index(words)))
    return frame


def _told(rows: ir.Table, ids: pa.Array, traits: Sequence[str]) -> dict[str, pa.Array]:
    """Per trait what each of these customers was last told, as JSON text."""
    from features.customers.profile import latest

    texts = {}
    for trait in traits:
        told = latest(rows, trait).to_pyarrow()
        places = pc.index_in(ids, told["customer"].combine_chunks())
        texts[trait] = told["value"].combine_chunks().take(places)
    return texts
