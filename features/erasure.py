"""Erasure: a person's rows leave the ledger, the history and the files that imports left.

The hashes of the ids come first: from then on nothing that arrives brings the person back. The ledger's rows, which
say who the person is, go last: an erasure that was interrupted is completed by the next one.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import orjson
from deltalake import DeltaTable
from sqlalchemy import ColumnElement, Table, delete, or_, select, update

from features.codes import codes
from features.consent import consents
from features.erased import keep_hashes
from features.events import utc
from features.exposures import log_names, read_log, save_log
from features.history import newest_version
from features.ledger import Ledger
from features.person import Person, tables_of
from features.rejects import rejects
from features.states.store import overtake
from features.workspace import Workspace

LOG = "_delta_log"


def forget(workspace: Workspace, person: Person, now: datetime) -> None:
    """Keeps the salted hashes of the person's ids and addresses."""
    words = select(consents.c.address).where(consents.c.customer.in_(person.ids), consents.c.address.isnot(None))
    with Ledger.at(workspace.ledger).write() as connection:
        addresses = {*person.addresses, *connection.execute(words).scalars()}
        keep_hashes(connection, [*person.ids, *addresses, *(one.lower() for one in addresses)], utc(now))


def erase_files(workspace: Workspace, person: Person) -> Iterator[str]:
    """The history, the campaigns' logs and the rejected rows without the person; a line on each that held some.

    The caller holds `history.locked`, also until the ledger's rows are gone: no day closes in between.
    """
    if count := _of_history(workspace, person):
        yield f"history: {count:,} rows"
    for name in log_names(workspace):
        if count := _of_log(workspace, name, person):
            yield f"exposures {name}: {count:,} rows"
    for path in sorted(workspace.rejects.glob("*.csv")):
        if count := _of_rejects(path, person):
            yield f"rejects {path.name}: {count:,} rows"


def erase_rows(ledger: Ledger, person: Person) -> Iterator[str]:
    """The ledger without the person: rows are deleted, codes stay as given to nobody; then its file is rewritten."""
    for table, theirs in tables_of(ledger, person):
        mine = or_(theirs, *_named(table, person)) if table.name == rejects.name else theirs
        of_nobody = update(table).where(mine).values(customer=None)
        with ledger.write() as connection:
            done = connection.execute(of_nobody if table.name == codes.name else delete(table).where(mine))
            overtake(connection)  # a refresh that read the person's state before this does not write it again
        if done.rowcount:
            yield f"ledger, {table.name}: {done.rowcount:,} rows"
    if not ledger.rewrite():
        yield "ledger: somebody reads it still, so that its write-ahead log keeps old pages; erase again"


def _named(rejected: Table, person: Person) -> list[ColumnElement[bool]]:
    """The rejects that say one of the person's ids anywhere: they stand under one id, and may name another."""
    return [rejected.c.body.contains(orjson.dumps(one).decode(), autoescape=True) for one in person.names]


def _of_history(workspace: Workspace, person: Person) -> int:
    """How many rows were deleted. The files are rewritten, older ones and those that no version names removed."""
    version = newest_version(workspace)
    if version is None:
        return 0
    count = int(version.delete(_predicate(person))["num_deleted_rows"])
    version.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
    _shorten(workspace.history, version)
    return count


def _shorten(folder: Path, version: DeltaTable) -> None:
    """The log begins at this version: earlier entries say what was deleted, and the least and greatest ids of files."""
    version.create_checkpoint()
    newest = version.version()
    for path in (folder / LOG).iterdir():
        number = path.name.partition(".")[0]
        if number.isdigit() and int(number) < newest:
            path.unlink()


def _predicate(person: Person) -> str:
    parts = [f"customer IN {_listed(person.names)}"]
    if person.devices:
        parts.append(f"(customer IS NULL AND anonymous IN {_listed(person.devices)})")
    for device, messages in person.shared.items():
        there = f"anonymous IN {_listed([device])} AND message_id IN {_listed(messages)}"
        parts.append(f"(customer IS NULL AND {there})")
    return " OR ".join(parts)


def _listed(texts: Sequence[str]) -> str:
    return "(" + ", ".join("'" + text.replace("'", "''") + "'" for text in texts) + ")"


def _of_log(workspace: Workspace, name: str, person: Person) -> int:
    log = read_log(workspace, name)
    if log.table.customers is None:
        return 0
    theirs = np.isin(log.table.customers.astype(str), person.names)
    if theirs.any():
        save_log(workspace, log.take(np.flatnonzero(~theirs)))
    return int(theirs.sum())


def _of_rejects(path: Path, person: Person) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    kept = [row for row in rows if not set(row) & set(person.names)]
    if len(kept) < len(rows):
        half = path.with_name(f".{path.name}")
        with half.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(kept)
        half.replace(path)
    return len(rows) - len(kept)
