"""Keys: who may ask, for what, and in whose name. A key is shown once, when it is made; the ledger holds its hash.

Whoever sends with a key speaks for its source, whatever the body says. A publishable key stands in the shop's page,
where everybody reads it: pages of its origins ask with it for the browser's own id, or for the customer whom the shop's
server signed with the key's secret. The signature needs the secret itself, so the ledger keeps that as it is.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import stat
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pydantic import TypeAdapter
from sqlalchemy import Column, DateTime, Integer, String, Table, Text, insert, select, update

from features.events import utc
from features.ledger import AwayError, Ledger, metadata
from features.workspace import Workspace

SEND = "send"  # events in; it reads nothing, so it may stand in a page
CATALOG = "catalog"  # changes items, prices and stock: for the shop's own servers, as are the next three
DECIDE = "decide"  # asks for decisions
READ = "read"  # reads customers, reports and metrics
ADMIN = "admin"  # all of these
PUBLISHABLE = "publishable"  # stands in a page
ROLES = (SEND, CATALOG, DECIDE, READ, ADMIN, PUBLISHABLE)
ASKED = frozenset({DECIDE, READ, ADMIN, PUBLISHABLE})  # the first of these ends that programs of this host need no key
PER_SECOND = {PUBLISHABLE: 100}  # requests that one worker answers, where the key does not say it
DEFAULT_PER_SECOND = 1_000
SOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")  # as the map of an events file
ORIGIN = re.compile(r"https?://([a-z0-9_.-]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
BYTES = 20  # of chance: nobody guesses a key, so a hash without salt tells nothing
NAMED = 8  # characters of a key by which it is listed and revoked
OWNERS = 0o600
NOTE = ".keys.json"  # in the workspace's state; no backup holds it

keys = Table(
    "keys",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("id", String(NAMED), nullable=False, unique=True),
    Column("source", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    Column("created_at", DateTime, nullable=False),
    Column("revoked_at", DateTime),
    Column("origins", Text),
    Column("secret", String(64)),
    Column("per_second", Integer),
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
    origins: str | None = None  # of the pages that may ask with a publishable key, a space between two
    secret: str | None = field(default=None, repr=False)
    per_second: int | None = None

    @property
    def rate(self) -> int:
        """Requests a second that one worker answers."""
        return self.per_second or PER_SECOND.get(self.role, DEFAULT_PER_SECOND)

    def admits(self, origin: str | None) -> bool:
        """Whether pages of this origin may ask with the key."""
        return origin is not None and origin in (self.origins or "").split()


def create(
    ledger: Ledger,
    source: str,
    role: str,
    now: datetime,
    origins: Collection[str] = (),
    per_second: int | None = None,
) -> str:
    """A new key of this source: the only time that it is seen."""
    if not SOURCE.fullmatch(source):
        raise ValueError(f"source == {source[:80]!r}, must be 1 to 64 letters, digits, '_', '.' or '-'")
    if role not in ROLES:
        raise ValueError(f"role == {role[:80]!r}, must be one of {list(ROLES)}")
    if per_second is not None and per_second < 1:
        raise ValueError(f"per_second == {per_second}, must be at least 1")
    key = secrets.token_hex(BYTES)
    row = {"hash": hashed(key), "id": key[:NAMED], "source": source, "role": role, "created_at": utc(now)}
    with ledger.write() as connection:
        connection.execute(insert(keys), row | {"per_second": per_second} | _of_pages(role, origins))
    return key


def _of_pages(role: str, origins: Collection[str]) -> dict[str, str]:
    """What only a publishable key has."""
    if (role == PUBLISHABLE) != bool(origins):
        raise ValueError(f"role == {role!r} with origins == {list(origins)}: pages of an origin need {PUBLISHABLE!r}")
    if not origins:
        return {}
    return {"origins": " ".join(map(_origin, origins)), "secret": secrets.token_hex(32)}


def _origin(text: str) -> str:
    """The origin as browsers write it: without the scheme's own port."""
    told = text.lower().rstrip("/").removesuffix(":443" if text.lower().startswith("https:") else ":80")
    if not ORIGIN.fullmatch(told):
        raise ValueError(f"origin == {text[:200]!r}, must be a scheme, a host and maybe a port: https://shop.example")
    return told


def every(ledger: Ledger) -> list[Key]:
    """The keys by their age, revoked ones too."""
    with ledger.read() as connection:
        rows = connection.execute(select(keys).order_by(keys.c.created_at, keys.c.id)).mappings().all()
    return [Key(**row) for row in rows]


def valid(keys: Sequence[Key]) -> dict[str, Key]:
    """Those that may be used, by their hash."""
    return {key.hash: key for key in keys if key.revoked_at is None}


def noted(workspace: Workspace, ledger: Ledger) -> Sequence[Key]:
    """`every`, noted where the ledger is a server: for `known` when that is away."""
    found = every(ledger)
    if not ledger.stays:
        with suppress(OSError):  # a full disk, or another worker that was first, stops nobody who has a key
            _note(workspace.state / NOTE, _NOTE.dump_json((workspace.server, found)))
    return found


def known(workspace: Workspace, ledger: Ledger) -> Sequence[Key]:
    """The keys; while the ledger is away as they were noted last, and where they never were nobody may begin."""
    if ledger.away is None:
        return noted(workspace, ledger)
    try:
        server, found = _NOTE.validate_json((workspace.state / NOTE).read_bytes())
    except (OSError, ValueError):
        server, found = None, []
    if server != workspace.server:
        raise AwayError(f"{ledger.away}; who may ask is not known either: no service read the keys there yet")
    return found


def of_environment() -> list[Key]:
    """The key by which a bento, which has no ledger, is asked for decisions: that of ATTUNE_DECIDE_KEY, or none."""
    told = os.environ.get("ATTUNE_DECIDE_KEY")
    return [Key(hashed(told), "bento", "bento", DECIDE, datetime.min)] if told else []  # noqa: DTZ901  # no moment is meant


def named(ledger: Ledger, name: str) -> Key:
    """The key of these first characters (or named whole)."""
    known = {key.id: key for key in every(ledger)}
    if (key := known.get(name[:NAMED])) is None:
        raise ValueError(f"there is no key {name[:NAMED]!r}; `attune keys list` shows all")
    return key


def secret_of(ledger: Ledger, name: str) -> str:
    """What signs the customers of this publishable key."""
    key = named(ledger, name)
    if key.secret is None:
        raise ValueError(f"the key {key.id}... is of the role {key.role!r}; only a {PUBLISHABLE} one has a secret")
    return key.secret


def revoke(ledger: Ledger, name: str, now: datetime) -> Key:
    """Makes a key useless, named by its first characters (or whole); the key."""
    key = named(ledger, name)
    with ledger.write() as connection:
        first = keys.c.revoked_at.is_(None)
        connection.execute(update(keys).where(keys.c.id == key.id, first).values(revoked_at=utc(now)))
    return key


def hashed(key: str) -> str:
    """How the ledger knows a key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def _note(path: Path, content: bytes) -> None:
    """Writes the file anew, for its owner only, where it is another one; a part of it lets nobody in."""
    if path.exists() and stat.S_IMODE(path.stat().st_mode) == OWNERS and path.read_bytes() == content:
        return
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, OWNERS), "wb") as file:
        file.write(content)


_NOTE = TypeAdapter(tuple[str | None, list[Key]])  # of which server, and its keys


def described(key: Key) -> str:
    """The key in one line."""
    state = f"revoked {key.revoked_at:%Y-%m-%d %H:%M}" if key.revoked_at else "valid"
    pages = f"  {key.origins}" if key.origins else ""
    return f"{key.id}...  {key.role}  {key.source}  made {key.created_at:%Y-%m-%d %H:%M}  {state}{pages}"
