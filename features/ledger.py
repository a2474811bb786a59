"""Ledger: connection and transactions of the SQL store. Each table stands beside its noun, on `metadata`.

SQLite in WAL mode with `synchronous=FULL`, or PostgreSQL by URL; the same statements on both.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Integer,
    MetaData,
    String,
    Table,
    create_engine,
    event,
    inspect,
    select,
)
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError

from features.patience import Patience, hurried

metadata = MetaData()
NUMBER = BigInteger().with_variant(Integer, "sqlite")  # SQLite counts up in a column of type INTEGER only
identities = Table("identity", metadata, Column("id", String(32), primary_key=True))  # one row
BUSY_MS = 30_000  # a second process waits this long for the write lock before it gives up
LOOK_MS = 200  # whoever looks answers somebody who waits; a reader waits for nobody but a ledger that recovers
EMPTYING = 3  # attempts, each of which waits for readers up to BUSY_MS
BACK_SECONDS = 2.0  # so long one look takes whether a server is there again
CONNECT_SECONDS = 10  # an address where nobody answers is told after this long
WRITE_LOCK = 0x617474756E65  # "attune": PostgreSQL's advisory lock that stands for SQLite's one writer
# a server that is set to answer before the disk has it would lose what was acknowledged
DURABLE = "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
LOOKED_MS = 2_000  # the server ends a look after this long, also one that nobody waits for any more
LOOKERS = 16  # connections of a process that stay open for looks, as far as so many look at once
READING: dict[str, Any] = {
    "isolation_level": "REPEATABLE READ",  # a reader sees one snapshot
    "pool_pre_ping": True,  # a server that was restarted costs no request
    "max_overflow": -1,  # who waits for a lock holds up nobody who could read; threads bound how many there are
}
LOOKING: dict[str, Any] = {  # one trip to the server, where a transaction, a ping and a reset would be four more
    "isolation_level": "AUTOCOMMIT",
    "pool_size": LOOKERS,
    "max_overflow": -1,  # whoever looks need not wait for who else does
    "pool_use_lifo": True,
    "pool_reset_on_return": None,
}
BACKUP = {"sqlite": "`attune backup FILE`", "postgresql": "`pg_dump`"}
WRITING: dict[str, dict[str, Any]] = {
    "sqlite": {"attune_write": True},
    # the reader's isolation would show a writer what was committed before it waited for the lock
    "postgresql": {"attune_write": True, "isolation_level": "READ COMMITTED"},
}


class AwayError(OSError):
    """The ledger cannot be asked now: nobody answers there, or not in order."""


class Ledger:
    """The store of what must not be lost."""

    def __init__(self, url: str) -> None:
        self._url, self._patience = url, Patience()
        self.engine: Engine = _sqlite(url) if url.startswith("sqlite:") else _postgresql(url, self._patience, **READING)
        self._writer = self.engine.execution_options(**WRITING[self.engine.dialect.name])
        self._looking = threading.local()
        weakref.finalize(self, self.engine.dispose)  # verbs open a ledger for one call and let go of it
        if not self.stays:
            self._looks = _postgresql(url, self._patience, **LOOKING)
            event.listen(self._looks, "connect", _bounded)
            weakref.finalize(self, self._looks.dispose)

    @classmethod
    def at(cls, url: str) -> Ledger:
        """The ledger at this address, made where there is none; one of another revision is refused in one line."""
        ledger = cls(url)
        if not ledger.is_made():
            ledger.migrate()
        return ledger

    @classmethod
    def awaited(cls, url: str) -> Ledger:
        """The same, also where its server is away: it is left alone then until `is_back` finds it right."""
        try:
            return cls.at(url)
        except AwayError as error:
            ledger = cls(url)
            if ledger.stays:
                raise
            ledger._patience.away = str(error)
            return ledger

    @property
    def away(self) -> str | None:
        """Why nobody may ask it yet: its server was away when it was opened; else None."""
        return self._patience.away

    def is_back(self) -> bool:
        """Whether it was away and is there again; one of another revision is refused in one line."""
        if self.away is None:
            return False
        ledger = Ledger(self._url)
        try:
            with hurried(BACK_SECONDS):  # a server that hangs holds up nobody who looks for other things too
                made = ledger.is_made()
            if not made:
                ledger.migrate()
        except AwayError:
            return False
        self._patience.away = None
        return True

    @classmethod
    def of_any_revision(cls, url: str) -> Ledger:
        """The same for what every revision holds: an old ledger is backed up before it is migrated."""
        ledger = cls(url)
        return ledger if ledger.revision() else cls.at(url)

    def is_made(self) -> bool:
        """Whether there are tables; those of another revision than this code needs are refused in one line."""
        from features.migrations import NEWEST

        found = self.revision()
        if found not in (None, NEWEST):
            raise OSError(f"{self.engine.url}: {self.remedy(found)}")
        return found is not None

    def remedy(self, found: str) -> str:
        """What to do about this revision, which is not the one that this code needs."""
        from features.migrations import NEWEST

        if found > NEWEST:
            return f"the ledger is of revision {found}, this Attune knows {NEWEST}; install the newer Attune"
        first = BACKUP[self.engine.dialect.name]
        return f"the ledger is of revision {found}, this Attune needs {NEWEST}; run {first}, then `attune migrate`"

    def migrate(self) -> str | None:
        """Brings the schema to the newest revision and says which it had; of two processes the second changes nothing.

        A ledger of a newer Attune is refused.
        """
        from features.migrations import NEWEST, upgrade

        found = self.revision()
        if found is not None and found > NEWEST:
            raise OSError(f"{self.engine.url}: {self.remedy(found)}")
        if found != NEWEST:
            with self.write() as connection:
                upgrade(connection)
        return found

    def revision(self) -> str | None:
        """The schema's revision, or None where there are no tables yet; looking makes no file."""
        from features.migrations import revision

        if self.engine.dialect.name == "sqlite" and not Path(self.engine.url.database or "").exists():
            return None
        with self.read() as connection:
            return revision(connection)

    def identity(self) -> str:
        """What no other ledger is called; sequences are its own, so whoever notes one notes this beside it."""
        with self.read() as connection:
            return str(connection.execute(select(identities.c.id)).scalar_one())

    def tables(self) -> list[str]:
        return sorted(inspect(self.engine).get_table_names())

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction that holds the write lock from its start; committed at the end, rolled back on an error.

        The lock makes sequences ascend in the order of the commits on both dialects: the history's watermark needs it.
        """
        with self._told("written"), self._writer.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent view."""
        self._patience.require()
        with self._told("read"), self.engine.connect() as connection, connection.begin():
            yield connection

    def glance(self, query: str) -> Any:
        """The first value of a query, for what every request asks."""
        rows = self.look(query)
        return rows[0][0] if rows else None

    def look(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows of a query in the driver's words, `?` for each value: a tenth of the cost of `read`.

        One look is one view; SQLite tells times as text.
        """
        try:
            return self._sqlite_look(query, values) if self.stays else self._server_look(query, values)
        except self.engine.dialect.loaded_dbapi.Error as error:
            raise OSError(f"{self.engine.url}: the ledger could not be read: {' '.join(str(error).split())}") from error

    @property
    def stays(self) -> bool:
        """Whether a look asks a file of this host: it waits for no server and for no writer."""
        return self.engine.dialect.name == "sqlite"

    def _sqlite_look(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        if not hasattr(self._looking, "driver"):
            self._begin_looking()
        found: list[tuple[Any, ...]] = self._looking.driver.execute(query, tuple(map(_texted, values))).fetchall()
        return found

    def _begin_looking(self) -> None:
        """A connection of this thread's own, until the ledger is let go of."""
        taken = self.engine.raw_connection()
        self._looking.driver = driver = cast(Any, taken.driver_connection)
        self._looking.taken = taken  # who lets go of it closes it
        taken.detach()
        driver.execute(f"PRAGMA busy_timeout={LOOK_MS}")

    def _server_look(self, query: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        """One statement by a connection that stays; where the server was restarted since, by a new one."""
        asked, given = query.replace("?", "%s"), tuple(values)
        for last in (False, True):
            self._patience.require()
            connection = self._looks.raw_connection()
            driver = cast(Any, connection.driver_connection)
            try:
                found: list[tuple[Any, ...]] = driver.execute(asked, given).fetchall()
            except self.engine.dialect.loaded_dbapi.Error:
                if driver.closed:
                    connection.invalidate()
                if last or not driver.closed:
                    raise
                self._looks.dispose()  # the others were cut as well
            else:
                self._patience.answered()
                return found
            finally:
                connection.close()
        raise AssertionError

    @contextmanager
    def _told(self, done: str) -> Iterator[None]:
        """What the store could not do (a full disk, no server, a lock held for too long) becomes one line."""
        try:
            yield
        except IntegrityError:
            raise
        except DatabaseError as error:
            fault = " ".join(str(error.orig).split())
            kind = AwayError if isinstance(error, OperationalError) else OSError
            raise kind(f"{self.engine.url}: the ledger could not be {done}: {fault}") from error

    def rewrite(self) -> bool:
        """Leaves no byte of deleted rows in the store's files; False where a reader holds on to the log of writes."""
        connection = self.engine.raw_connection()
        driver = cast(Any, connection.driver_connection)
        connection.detach()  # what is set below must not come back to the pool
        try:
            if self.engine.dialect.name == "postgresql":
                driver.autocommit = True  # VACUUM takes no transaction
            cursor = connection.cursor()
            cursor.execute("VACUUM")
            return self.engine.dialect.name == "postgresql" or _emptied(cursor)
        finally:
            connection.close()

    def close(self) -> None:
        self._looking = threading.local()
        self.engine.dispose()
        if not self.stays:
            self._looks.dispose()


def moment(told: datetime | str) -> datetime:
    """A time that `look` found."""
    return datetime.fromisoformat(told) if isinstance(told, str) else told


def _texted(value: Any) -> Any:
    """The value as SQLite keeps it."""
    return value.isoformat(" ", "microseconds") if isinstance(value, datetime) else value


def _sqlite(url: str) -> Engine:
    engine = create_engine(url, hide_parameters=True)  # an error's words hold no customer
    event.listen(engine, "connect", _pragmas)
    event.listen(engine, "begin", _begin)
    return engine


def _postgresql(url: str, patience: Patience, **settings: Any) -> Engine:
    """Connections that take a password that the address lacks from PGPASSWORD or `~/.pgpass`, as libpq does."""
    engine = create_engine(url, hide_parameters=True, connect_args={"connect_timeout": CONNECT_SECONDS}, **settings)
    event.listen(engine, "do_connect", lambda _dialect, _record, words, named: _connected(patience, words, named))
    event.listen(engine, "connect", _settings)
    event.listen(engine, "begin", _lock)
    return engine


def _connected(patience: Patience, words: Sequence[Any], named: dict[str, Any]) -> Any:
    from features.connections import connected

    return connected(patience, *words, **named)


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
    connection.exec_driver_sql("BEGIN IMMEDIATE" if _writes(connection) else "BEGIN")


def _emptied(cursor: Any) -> bool:
    """Whether the write-ahead log could be brought to length 0: readers that began before hold on to it."""
    checkpoint = "PRAGMA wal_checkpoint(TRUNCATE)"
    return any(cursor.execute(checkpoint).fetchone()[0] == 0 for _ in range(EMPTYING))


def _settings(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SET lock_timeout = {BUSY_MS}")
        cursor.execute(DURABLE)
    connection.commit()


def _bounded(connection: Any, _record: Any) -> None:
    connection.execute(f"SET statement_timeout = {LOOKED_MS}")


def _lock(connection: Connection) -> None:
    if _writes(connection):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({WRITE_LOCK})")


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("attune_write", False))
