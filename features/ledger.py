"""Ledger: connection and transactions of the SQL store. Each table stands beside its noun, on `metadata`.

SQLite in WAL mode with `synchronous=FULL`, or PostgreSQL by URL; the same statements on both.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, create_engine, event, inspect
from sqlalchemy.exc import OperationalError

metadata = MetaData()
BUSY_MS = 30_000  # a second process waits this long for the write lock before it gives up


class Ledger:
    """The store of what must not be lost."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine: Engine = create_engine(url)
        if self.engine.dialect.name == "sqlite":
            event.listen(self.engine, "connect", _pragmas)
            event.listen(self.engine, "begin", _begin)

    @classmethod
    def at(cls, path: Path) -> Ledger:
        """The SQLite ledger at this path, brought to the newest schema."""
        path.parent.mkdir(parents=True, exist_ok=True)
        ledger = cls(f"sqlite:///{path}")
        ledger.migrate()
        return ledger

    def migrate(self) -> None:
        """Brings the schema to the newest revision; does nothing when it is there already."""
        from features.migrations import upgrade

        with self._told():
            upgrade(self.engine)

    def tables(self) -> list[str]:
        return sorted(inspect(self.engine).get_table_names())

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that holds the write lock from its start; committed at the end, rolled back on an error."""
        with self._told(), self.engine.connect().execution_options(attune_write=True) as connection, connection.begin():
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view."""
        with self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What the store could not do (a full disk, a lock held for too long) becomes one line that names it."""
        try:
            yield
        except OperationalError as error:
            raise OSError(f"{self.engine.url}: the ledger could not be written, nothing was: {error.orig}") from error

    def close(self) -> None:
        self.engine.dispose()


def _pragmas(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event opens transactions, not the driver
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        f"busy_timeout={BUSY_MS}",
        "cache_size=-65536",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin(connection: Connection) -> None:
    write = connection.get_execution_options().get("attune_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
