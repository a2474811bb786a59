"""Rows: a report's values as a table for a spreadsheet: `part, where, name, value`, each value a row.

`part` is the field of the report that a value stands in, `where` what leads to it there, an object of a list by its
first text, e.g. `arms, treatment / metrics / revenue, lift, 0.04`. Lists that belong together (a curve) count places.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

Plain = str | float | bool | None
Row = tuple[str, str, str, Plain]
PLAIN = (str, int, float, bool, type(None))
NAMES = ("part", "where", "name", "value")
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet runs a text that begins so


def csv_of(report: Mapping[str, Any]) -> str:
    """The report as CSV; a value that is not known is an empty cell."""
    told = io.StringIO()
    writer = csv.writer(told, lineterminator="\n")
    writer.writerow(NAMES)
    writer.writerows([_cell(value) for value in row] for row in rows_of(report))
    return told.getvalue()


def rows_of(report: Mapping[str, Any]) -> Iterator[Row]:
    """The rows, in the report's order."""
    for part, value in report.items():
        if isinstance(value, PLAIN):
            yield "report", "", part, value
        else:
            for (*where, name), plain in _within(value, ()):
                yield part, " / ".join(where), name, plain


def _within(value: Any, where: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Plain]]:
    if isinstance(value, PLAIN):
        yield where, value
    elif isinstance(value, Mapping):
        for name, one in value.items():
            yield from _within(one, (*where, str(name)))
    else:
        for place, one in enumerate(value):
            yield from _within(one, (*where, _name(one, place)))


def _name(one: Any, place: int) -> str:
    """What an object of a list calls itself: its first text."""
    told = one.values() if isinstance(one, Mapping) else ()
    return next((value for value in told if isinstance(value, str)), str(place))


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
