"""Many rows in one statement: the driver is entered once, which `executemany` does once a row.

So it takes half the CPU, and the other threads of the process go on: SQLite's driver gives Python's lock away, and
waits for it again, at each entry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Column, Connection, CursorResult

MOST = 1_500  # values in a statement: a server keeps the plans of some hundred lengths, and SQLite takes 32,766


def add(connection: Connection, columns: Sequence[Column[Any]], rows: Iterable[Sequence[Any]]) -> None:
    """Inserts these rows of `columns`, numbered in their order."""
    for part in _parts(columns, rows):
        _insert(connection, columns, part, "")


def add_missing(connection: Connection, columns: Sequence[Column[Any]], rows: Iterable[Sequence[Any]]) -> None:
    """Inserts those of the rows whose key is not there yet."""
    for part in _parts(columns, rows):
        _insert(connection, columns, part, "ON CONFLICT DO NOTHING")


def add_new(connection: Connection, column: Column[Any], values: Iterable[Any]) -> set[Any]:
    """Inserts the values of a key that are not there yet; those."""
    new: set[Any] = set()
    for part in _parts([column], ([value] for value in values)):
        found = _insert(connection, [column], part, f"ON CONFLICT DO NOTHING RETURNING {column.name}")
        new.update(found.scalars())
    return new


def _parts(columns: Sequence[Column[Any]], rows: Iterable[Sequence[Any]]) -> Iterable[Sequence[Sequence[Any]]]:
    every, size = list(rows), MOST // len(columns)
    return (every[start : start + size] for start in range(0, len(every), size))


def _insert(
    connection: Connection, columns: Sequence[Column[Any]], rows: Sequence[Sequence[Any]], end: str
) -> CursorResult[Any]:
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    values = ", ".join([f"({', '.join([mark] * len(columns))})"] * len(rows))
    names = ", ".join(column.name for column in columns)
    plain = [column.type.dialect_impl(connection.dialect).bind_processor(connection.dialect) for column in columns]
    given = tuple(
        value if change is None else change(value) for row in rows for change, value in zip(plain, row, strict=True)
    )
    return connection.exec_driver_sql(f"INSERT INTO {columns[0].table.name} ({names}) VALUES {values} {end}", given)
