"""Journal: every decision, durable against a crash of the process before its answer leaves.

    answer -> write() of one checksummed line to this worker's segment -> the answer leaves
                                    |
              a background thread commits groups of lines to the ledger's `decisions`

A segment is locked by its worker while that lives. At start every segment without a living owner is committed.
What a segment holds of a customer who was erased leaves it within two groups: the worker sees the file `FORGET`.
A torn last line (killed while writing) belongs to an answer that never left; it is skipped and counted.
"""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import threading
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from features.decisions import Decision, decisions
from features.erased import erased_among
from features.ledger import Ledger
from features.many import add_missing

log = logging.getLogger("attune.journal")
SEGMENT = ".segment"
FORGET = "forget"  # touched by an erasure: segments from before it are replaced
GROUP_SECONDS = 0.2  # a decision is in the ledger this long after its answer
ROTATE_BYTES = 8_000_000  # a segment that long is replaced by one with the lines that are not committed yet
COLUMNS = tuple(map(str, decisions.columns.keys()))  # plain texts, as JSON takes them
PACKED = ("options", "chosen", "context")  # as JSON
ID_AT = len(b'12345678 {"decision_id":"')  # where a line says its decision's id, the first of the columns
LOOKUP = 500  # decision ids per query


class Journal:
    """One worker's segment, and the thread that commits it. Starting one recovers what dead workers left.

    Where the ledger is away at the start, as soon as it is back.
    """

    def __init__(self, folder: Path, ledger: Ledger) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder, self._ledger = folder, ledger
        self.recovered, self.torn, self._behind = 0, 0, True
        self._recover()
        self._lock, self._wake, self._closing = threading.Lock(), threading.Event(), False
        self._pending: list[dict[str, Any]] = []
        self.failure: str | None = None  # why the last commit did not succeed; the lines stay in the segment
        self._open()
        self._writer = threading.Thread(target=self._run, name="journal", daemon=True)
        self._writer.start()

    def append(self, *made: Decision) -> None:
        """Returns once the decisions have been handed to the operating system, with one write: all of them or none."""
        rows = [_row(decision) for decision in made]
        lines = b"".join(map(line, rows))
        with self._lock:
            _write_whole(self._file, lines)
            self._pending += rows

    @property
    def waiting(self) -> int:
        """How many decisions are not in the ledger yet."""
        return len(self._pending)

    def committed(self, decision_id: str) -> dict[str, Any] | None:
        """The row of this id in the ledger, or None."""
        return self.all_committed([decision_id]).get(decision_id)

    def all_committed(self, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """The rows of these ids in the ledger, as far as there are any."""
        with self._ledger.read() as connection:
            return rows_of(connection, ids)

    def keep_all(self, made: Iterable[Decision]) -> None:
        """Commits the decisions in one transaction; of an id that is in the ledger already the first stays."""
        store(self._ledger, map(_row, made))

    def keep(self, decision_id: str, made: Callable[[Connection], Decision]) -> dict[str, Any]:
        """The ledger's row of this id: the one that was there first, else that of a decision made now."""
        with self._ledger.write() as connection:
            first = rows_of(connection, [decision_id]).get(decision_id)
            if first is not None:
                return first
            row = _nameless(connection, [_row(made(connection))])[0]
            connection.execute(insert(decisions), [row])
            return _decoded(row)

    def commit(self) -> int:
        """Commits what is pending; how many decisions that was. Lines are dropped from the segment only after."""
        with self._lock:
            group, self._pending = self._pending, []
        try:
            erased = store(self._ledger, group)
        except BaseException:
            with self._lock:
                self._pending = group + self._pending
            raise
        with self._lock:
            if erased or self._forgets() or os.fstat(self._file).st_size > ROTATE_BYTES:
                self._rotate()
        return len(group)

    def close(self) -> None:
        """Commits the rest and removes the segment; on a failure the segment stays for the next start."""
        self._closing = True
        self._wake.set()
        self._writer.join()
        self.commit()
        self._path.unlink(missing_ok=True)
        os.close(self._file)

    def _recover(self) -> None:
        """Commits what dead workers left, once."""
        if self._behind and not self._ledger.away:
            self.recovered, self.torn = recover(self._folder, self._ledger)
            self._behind = False

    def _forgets(self) -> bool:
        """Whether somebody was erased since the segment was begun."""
        return _touched(self._folder) != self._begun

    def _open(self) -> None:
        self._begun = _touched(self._folder)
        while True:
            handle, name = tempfile.mkstemp(suffix=SEGMENT, prefix="worker-", dir=self._folder)
            os.close(handle)
            self._path, self._file = Path(name), os.open(name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if os.fstat(self._file).st_nlink:
                return
            os.close(self._file)  # another worker's recovery took the file before it was locked

    def _rotate(self) -> None:
        """A new segment with what is pending. The old one goes last: a crash in between doubles lines, loses none."""
        path, file = self._path, self._file
        try:
            self._open()
            _write_whole(self._file, b"".join(map(line, self._pending)))
        except OSError:  # a full disk: the old segment goes on
            if self._file != file:
                self._path.unlink(missing_ok=True)
                os.close(self._file)
            self._path, self._file = path, file
            raise
        path.unlink(missing_ok=True)
        os.close(file)

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait(GROUP_SECONDS)
            try:
                self.commit()
                self._recover()
                self._tell(None)
            except Exception as error:  # noqa: BLE001  # the edge of a thread: a full disk must not end it
                self._tell(" ".join(str(error).split())[:200])

    def _tell(self, failure: str | None) -> None:
        """One line in the service's log when commits begin to fail, and one when they succeed again."""
        if failure and not self.failure:
            log.error("%s: decisions wait in their segment for the ledger: %s", self._path, failure)
        elif self.failure and not failure:
            log.info("%s: the decisions that waited are in the ledger", self._path)
        self.failure = failure


def line(row: dict[str, Any]) -> bytes:
    """`checksum json`, ended by a newline."""
    body = orjson.dumps(row)
    return b"%08x %s\n" % (zlib.crc32(body), body)


def read_segment(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The rows whose checksum is right, and how many lines were torn; none where the segment is gone."""
    return parse(_content(path))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def parse(content: bytes) -> tuple[list[dict[str, Any]], int]:
    """The rows whose checksum is right, and how many lines were torn."""
    rows, torn = [], 0
    for entry in content.split(b"\n"):
        checksum, _, body = entry.partition(b" ")
        if entry and checksum == b"%08x" % zlib.crc32(body):
            rows.append(_parsed(body))
        elif entry:
            torn += 1
    return rows, torn


def recover(folder: Path, ledger: Ledger) -> tuple[int, int]:
    """Commits the segments whose worker is gone; how many decisions they held, and how many torn lines."""
    found, torn = 0, 0
    for path in sorted(folder.glob(f"*{SEGMENT}")):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            continue  # another worker's recovery took it
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its worker lives
            rows, broken = parse(file.read())
            store(ledger, rows)
            path.unlink(missing_ok=True)
            found, torn = found + len(rows), torn + broken
    return found, torn


def store(ledger: Ledger, rows: Iterable[dict[str, Any]]) -> bool:
    """Adds the decisions that the ledger does not hold yet, in one transaction; whether one was of somebody erased."""
    fresh = {row["decision_id"]: row for row in reversed(list(rows))}  # of one id the first row stays
    if not fresh:
        return False
    with ledger.write() as connection:
        kept = _nameless(connection, list(fresh.values()))
        add_missing(connection, list(decisions.columns), [[row[name] for name in COLUMNS] for row in kept])
        return any(row["customer"] != fresh[row["decision_id"]]["customer"] for row in kept)


def _nameless(connection: Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, those of customers who were erased as nobody's."""
    gone = erased_among(connection, [row["customer"] for row in rows])
    return [row | {"customer": None} if row["customer"] in gone else row for row in rows]


def _touched(folder: Path) -> int | None:
    path = folder / FORGET
    return path.stat().st_mtime_ns if path.exists() else None


def find(folder: Path, ledger: Ledger, decision_id: str) -> dict[str, Any] | None:
    """The decision's row, also one that is still in a segment; None when there is none."""
    return find_all(folder, ledger, [decision_id]).get(decision_id)


def find_all(folder: Path, ledger: Ledger, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """The rows of these ids, as far as there are any."""
    found = {row["decision_id"]: _decoded(row) for row in _waiting(folder, {one.encode() for one in ids})}
    with ledger.read() as connection:  # last: what left its segment meanwhile is in the ledger
        return found | rows_of(connection, [one for one in ids if one not in found])


def _waiting(folder: Path, ids: set[bytes]) -> Iterator[dict[str, Any]]:
    """The rows of these ids in the segments; no other line is read."""
    for path in folder.glob(f"*{SEGMENT}"):
        lines = _content(path).split(b"\n")
        yield from parse(b"\n".join(one for one in lines if one[ID_AT : one.find(b'"', ID_AT)] in ids))[0]


def rows_of(connection: Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The ledger's rows of these ids."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(ids), LOOKUP):
        query = select(decisions).where(decisions.c.decision_id.in_(ids[start : start + LOOKUP]))
        for row in connection.execute(query).mappings():
            found[row["decision_id"]] = _decoded(
                {str(name): value for name, value in row.items()}
            )  # as JSON takes them
    return found


def _row(decision: Decision) -> dict[str, Any]:
    row = {name: getattr(decision, name) for name in COLUMNS}
    for name in PACKED:
        row[name] = orjson.dumps(row[name]).decode()
    return row


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    return row | {name: orjson.loads(row[name]) for name in PACKED}


def _parsed(body: bytes) -> dict[str, Any]:
    row: dict[str, Any] = orjson.loads(body)
    return row | {"time": datetime.fromisoformat(row["time"])}


def _write_whole(file: int, data: bytes) -> None:
    """Writes all or nothing: what a full disk took of it would spoil the next line."""
    before = os.fstat(file).st_size
    try:
        while data:  # a short write happens on a nearly full disk; the rest then raises
            data = data[os.write(file, data) :]
    except OSError:
        os.ftruncate(file, before)
        raise
