"""Erased: a salted hash of every id that was erased, so that no import and no event brings the person back.

The salt is the ledger's identity. Whoever holds the ledger and a list of ids can find out which of them were erased;
nobody can read the id of one from it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Column, Connection, DateTime, LargeBinary, Table, insert, select

from features.ledger import identities, metadata

BATCH = 5_000  # SQLite takes 32,766 parameters in a statement

erased_ids = Table(
    "erased",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("time", DateTime, nullable=False),
)


def hashes(connection: Connection, ids: Iterable[str]) -> dict[bytes, str]:
    """The ids by their salted hashes."""
    salt = str(connection.execute(select(identities.c.id)).scalar_one()).encode()
    return {hmac.digest(salt, one.encode("utf-8", "surrogatepass"), hashlib.sha256): one for one in ids}


def erased_among(connection: Connection, ids: Iterable[str | None]) -> set[str]:
    """Those of the ids that were erased; one short query where nobody ever was."""
    if connection.execute(select(erased_ids.c.hash).limit(1)).first() is None:
        return set()
    known = hashes(connection, {one for one in ids if one is not None})
    keys, found = list(known), set[str]()
    for start in range(0, len(keys), BATCH):
        part = select(erased_ids.c.hash).where(erased_ids.c.hash.in_(keys[start : start + BATCH]))
        found |= {known[bytes(key)] for key in connection.execute(part).scalars()}
    return found


def keep_hashes(connection: Connection, ids: Iterable[str], now: datetime) -> None:
    """Remembers that these ids were erased; each once."""
    fresh = set(ids) - erased_among(connection, ids)
    if fresh:
        connection.execute(insert(erased_ids), [{"hash": key, "time": now} for key in hashes(connection, fresh)])
