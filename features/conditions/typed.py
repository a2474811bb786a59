"""Typed: a value in a query, looked at once for each type it may have; of another type, a comparison is false."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING

import pyarrow as pa

from features.conditions.comparisons import Comparison, Range, Scalar
from features.conditions.facts import attributes

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from features.catalog import Catalog

TYPES = {"text": (str, pa.string()), "number": (float, pa.float64()), "flag": (bool, pa.bool_())}
NO = False  # what a comparison with a missing value is
NUMBERS = ("quantity", "price")  # of the fields of an event; the others are texts


@dataclass(frozen=True)
class Typed:
    """`columns` hold the value by type, null where it is of another; `known` says whether there is one. Never null."""

    known: ir.BooleanValue
    columns: Mapping[str, ir.Value]

    @classmethod
    def of_json(cls, value: ir.StringValue) -> Typed:
        """A trait's JSON text, null where it was never told."""
        json = value.cast("json")
        known = value.fill_null("null") != "null"
        return cls(known, {"text": json.str, "number": json.float, "flag": json.bool})

    @classmethod
    def of_field(cls, rows: ir.Table, name: str) -> Typed:
        """A field of the events."""
        column = rows[name]
        if name in NUMBERS:
            column = column.isnan().ifelse(None, column)
        return cls(column.notnull(), {"number" if name in NUMBERS else "text": column})

    @classmethod
    def of_attribute(cls, rows: ir.Table, place: int) -> Typed:
        """An attribute by its place in `described`."""
        return cls(rows[f"known_{place}"].fill_null(NO), {kind: rows[f"{kind}_{place}"] for kind in TYPES})

    def fits(self, test: Comparison) -> ir.BooleanValue:
        """Whether the value is what it must be: `comparisons.fits`."""
        if test.exists is False:
            return ~self.known
        asked = [self.known, inside(test, self.columns.get("number"))]
        asked += [self._among((test.is_,))] if test.is_ is not None else []
        asked += [self._among(test.in_)] if test.in_ is not None else []
        return reduce(operator.and_, asked)

    def _among(self, wanted: Sequence[Scalar]) -> ir.BooleanValue:
        found = [every(value=False)]
        for kind, column in self.columns.items():
            same = [literal(one) for one in wanted if isinstance(one, TYPES[kind][0])]
            found += [column.isin(same).fill_null(NO)] if same else []
        return reduce(operator.or_, found)


def inside(test: Range, number: ir.NumericValue | None) -> ir.BooleanValue:
    """Whether the number is within the range: `comparisons.inside`; None stands for a value that is no number."""
    if test.at_least is None and test.at_most is None:
        return every(value=True)
    if number is None:
        return every(value=False)
    ends = [number >= literal(test.at_least)] if test.at_least is not None else []
    ends += [number <= literal(test.at_most)] if test.at_most is not None else []
    return reduce(operator.and_, ends).fill_null(NO)


def described(catalog: Catalog | None, names: Sequence[str]) -> ir.Table:
    """One row per item, `described`, with the attributes of these names by type and place."""
    import ibis

    items = list(attributes(catalog, "item"))
    columns = {"described": pa.array(items, pa.string())}
    for place, name in enumerate(names):
        values = attributes(catalog, name).values()
        columns[f"known_{place}"] = pa.array([value is not None for value in values], pa.bool_())
        for kind, (python, arrow) in TYPES.items():
            columns[f"{kind}_{place}"] = pa.array([v if isinstance(v, python) else None for v in values], arrow)
    return ibis.memtable(pa.table(columns))


def literal(value: Scalar) -> ir.Value:
    """The value in SQL; a number by its text, because DuckDB reads 0.1 as a decimal and rounds it on the way."""
    import ibis

    return ibis.literal(repr(value)).cast("float64") if isinstance(value, float) else ibis.literal(value)


def every(*, value: bool) -> ir.BooleanValue:
    """True or false for every row."""
    import ibis

    return ibis.literal(value)
