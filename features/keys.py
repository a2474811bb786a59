"""Keys: who may send, and in whose name. A key is shown once, when it is made; the ledger holds its hash.

Whoever sends with a key speaks for its source, whatever the body says.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Column, DateTime, String, Table, insert, select, update

from features.events import utc
from features.ledger import Ledger, metadata

SEND = "send"  # the only role of a key that stands in a shop's page, where everybody reads it: it reads nothing
ROLES = (SEND,)
SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # as the map of an events file
BYTES = 20  # of chance: nobody guesses a key, so a hash without salt tells nothing
NAMED = 8  # characters of a key by which it is listed and revoked

keys = Table(
    "keys",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("id", String(NAMED), nullable=False, unique=True),
    Column("source", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("revoked_at", DateTime),
)


@dataclass(frozen=True, slots=True)
class Key:
    """What is known of a key; the key itself is not."""

    hash: str
    id: str
    source: str
    role: str
    created_at: datetime
    revoked_at: datetime | None = None


def create(ledger: Ledger, source: str, role: str, now: datetime) -> str:
    """A new key of this source: the only time that it is seen."""
    if not SOURCE.fullmatch(source):
        raise ValueError(f"source == {source[:80]!r}, must be 1 to 64 letters, digits, '_', '.' or '-'")
    if role not in ROLES:
        raise ValueError(f"role == {role[:80]!r}, must be one of {list(ROLES)}")
    key = secrets.token_hex(BYTES)
    row = {"hash": hashed(key), "id": key[:NAMED], "source": source, "role": role, "created_at": utc(now)}
    with ledger.write() as connection:
        connection.execute(insert(keys), row)
    return key


def every(ledger: Ledger) -> list[Key]:
    """The keys by their age, revoked ones too."""
    with ledger.read() as connection:
        rows = connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id)).mappings().all()
    return [Key(**row) for row in rows]


def valid(ledger: Ledger) -> dict[str, Key]:
    """The keys that may be used, by their hash."""
    return {key.hash: key for key in every(ledger) if key.revoked_at is None}


def revoke(ledger: Ledger, name: str, now: datetime) -> Key:
    """Makes a key useless, named by its first characters (or whole); the key."""
    known = {key.id: key for key in every(ledger)}
    if (key := known.get(name[:NAMED])) is None:
        raise ValueError(f"there is no key {name[:NAMED]!r}; `attune keys list` shows all")
    with ledger.write() as connection:
        first = keys.c.revoked_at.is_(None)
        connection.execute(update(keys).where(keys.c.id == key.id, first).values(revoked_at=utc(now)))
    return key


def hashed(key: str) -> str:
    """How the ledger knows a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def described(key: Key) -> str:
    """The key in one line."""
    state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "valid"
    return f"{key.id}...  {key.role}  {key.source}  made {key.created_at:%Y-%m-%d %H:%M}  {state}"
