"""Who asks: the key of a request, found among the ledger's, and whom it may ask for.

a key of the role           its route; `admin` is every role
a publishable key           what `PAGES` lists, from its origins, for the browser's own id or a signed customer
none                        decisions and reports, for programs on this host, until the first key for those is made
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.exc import SQLAlchemyError
from starlette.types import Scope

from features.keys import ADMIN, ASKED, DECIDE, PUBLISHABLE, READ, SEND, Key, hashed, valid
from serving.http.errors import HttpError
from serving.http.limits import Limits
from serving.http.tokens import HEADER, customer_of

FRESH_SECONDS = 2.0  # a revoked key is refused this long after
LEAST_SECONDS = 0.1  # between two looks into the ledger, however many unknown keys come
LOOK_SECONDS = 2.0  # a look that takes longer is given up: who was known goes on
FORWARDED = frozenset({b"forwarded", b"x-forwarded-for", b"x-real-ip", b"via"})  # somebody behind a proxy of this host
ORIGIN, TOKEN = b"origin", HEADER.encode()
HOW = "Basic authorization with the key as the user and no password, or Bearer"
Headers = Mapping[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks; without a key a program on this host."""

    key: Key | None = None
    customer: str | None = None  # whom the shop signed for a page

    @property
    def source(self) -> str:
        """Whose events these are; only a key says it."""
        assert self.key is not None  # noqa: S101  # nobody sends without one; this tells the type checker
        return self.key.source

    @property
    def is_page(self) -> bool:
        return self.key is not None and self.key.role == PUBLISHABLE

    def own(self, body: Any) -> Any:
        """The body, for the signed customer where it names none; 403 where a page asks for somebody else."""
        if not self.is_page:
            return body
        if getattr(body, "explain", None) == "full":  # expected profits, and what is known of whom
            raise HttpError(403, "wrong_role", "explain == 'full': a page does not see what a decision went by")
        if not hasattr(body, "customer"):
            return body
        if getattr(body, "features", None) is not None:  # who says what is known of them says which offer they get
            raise HttpError(403, "wrong_customer", "features: a page does not say what is known of a customer")
        self.require_own(body.customer)
        return body if self.customer is None else body.model_copy(update={"customer": self.customer})

    def require_own(self, customer: object) -> None:
        """403 where a page speaks of somebody else."""
        if self.is_page and customer is not None and customer != self.customer:
            said = f"a page asks for its own anonymous id, or for whom the shop signed in the header {HEADER}"
            raise HttpError(403, "wrong_customer", f"customer == {customer!r:.80}: {said}")

    def named(self, name: str) -> str:
        """The name under which an Idempotency-Key is kept: no page takes one that the shop's servers use."""
        return f"{name}@{self.key.id}" if self.key is not None and self.is_page else name


HERE = Asker()


class Keys:
    """The keys, read again when they are old or one is not among them; while they cannot be read, as they were."""

    def __init__(self, read: Callable[[], Sequence[Key]], first: Sequence[Key] | None = None) -> None:
        self._list = read
        self._began = self._read = monotonic()
        self._keep(read() if first is None else first)
        self._lock, self._limits = asyncio.Lock(), Limits()

    async def admitted(
        self, scope: Scope, role: str, *, now: datetime, pages: bool = False, told: str | None = None
    ) -> Asker:
        """Who asks for something of this role; 401 where nobody says so, 403 where it is for somebody else."""
        headers: Headers = dict(scope["headers"])
        told = told or in_header(headers)
        if told is None:
            return await self._unnamed(scope, headers, role)
        key = await self._found(told)
        self._limits.take(key, monotonic())
        if key.role == PUBLISHABLE and pages:
            return _of_page(key, headers, now)
        if key.role not in (role, ADMIN):
            raise HttpError(403, "wrong_role", f"the key's role is {key.role!r}, {role!r} is needed")
        if ORIGIN in headers and key.role != SEND:
            said = (
                "a page asks with a publishable key; this one is for the shop's servers, revoke it if it was in a page"
            )
            raise HttpError(403, "wrong_origin", said)
        return Asker(key)

    async def reading(self, told: str) -> Key:
        """The key, which may read: whoever signs in tells it once."""
        key = await self._found(told)
        self._limits.take(key, monotonic())
        if key.role not in (READ, ADMIN):
            raise HttpError(403, "wrong_role", f"the key's role is {key.role!r}, {READ!r} is needed")
        return key

    async def session(self, name: str, is_good: Callable[[Key], bool]) -> Asker | None:
        """Who signed in with the valid key of these first characters; None where the session is not good for it."""
        await self._look(None)
        key = self._readers.get(name)
        if key is None or not is_good(key):
            return None
        self._limits.take(key, monotonic())
        return Asker(key)

    async def lists(self, origin: str | None) -> bool:
        """Whether pages of this origin may ask with any key."""
        await self._look(origin)
        return origin in self._origins

    async def _unnamed(self, scope: Scope, headers: Headers, role: str) -> Asker:
        if role in (DECIDE, READ):
            await self._look(None)
            if not self._closed and is_local(scope, headers):
                return HERE
        body = ", or `writeKey` in the body" if role == SEND else ""
        said = f"a key of the role {role!r} is needed, as `attune keys create NAME --role {role}` makes it: {HOW}{body}"
        raise HttpError(401, "no_key", said)

    async def _found(self, told: str) -> Key:
        digest = hashed(told)
        await self._look(digest)
        key = self._known.get(digest)
        if key is None and self._down:
            raise HttpError(503, "try_again", "the keys cannot be read; send the same again", {"retry-after": "1"})
        if key is None:
            raise HttpError(401, "wrong_key", "the key is not one of this workspace, or was revoked")
        return key

    async def _look(self, told: str | None) -> None:
        """Reads the keys where what is known is old or lacks this digest or origin; those who wait share one look."""
        asked = monotonic()
        if asked - self._read <= FRESH_SECONDS and (not told or told in self._known or told in self._origins):
            return
        async with self._lock:
            if self._began < asked:
                await asyncio.sleep(self._began + LEAST_SECONDS - monotonic())
                await self._again()

    async def _again(self) -> None:
        self._began = self._read = monotonic()
        try:
            self._keep(await asyncio.wait_for(asyncio.to_thread(self._list), LOOK_SECONDS))
        except (OSError, SQLAlchemyError):  # TimeoutError is an OSError
            self._down = True

    def _keep(self, keys: Sequence[Key]) -> None:
        self._known, self._down = valid(keys), False
        self._readers = {key.id: key for key in self._known.values() if key.role in (READ, ADMIN)}
        self._origins = frozenset(origin for key in self._known.values() for origin in (key.origins or "").split())
        self._closed = any(key.role in ASKED for key in keys)  # a revoked one too: revoking opens nothing


def in_header(headers: Headers) -> str | None:
    """The key of a Basic or Bearer `Authorization`; None without one."""
    scheme, _, told = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return told.strip().decode("latin-1") or None
    if scheme.lower() != b"basic":
        return None
    try:
        pair = base64.b64decode(told.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise HttpError(401, "wrong_key", f"the Authorization header is no Basic authorization; {HOW}") from None
    return pair.partition(":")[0].strip() or None


def _of_page(key: Key, headers: Headers, now: datetime) -> Asker:
    """The browser, after its page's origin and its customer's token were found good."""
    origin = headers[ORIGIN].decode("latin-1") if ORIGIN in headers else None
    if not key.admits(origin):
        given = "absent" if origin is None else f"== {origin[:200]!r}"
        raise HttpError(403, "wrong_origin", f"Origin is {given}; the key is for pages of {key.origins}")
    token = headers.get(TOKEN)
    if token is None:
        return Asker(key)
    return Asker(key, customer_of(str(key.secret), token.decode("latin-1"), now.timestamp()))


def is_local(scope: Scope, headers: Headers) -> bool:
    """Whether a program on this host asks: not a proxy, not a page, and by a name that only this host has."""
    client = scope.get("client")
    if not client or ORIGIN in headers or not FORWARDED.isdisjoint(headers):
        return False
    return _loopback(client[0]) and _loopback(_host(headers.get(b"host", b"")))


@lru_cache(1024)
def _host(header: bytes) -> str:
    try:
        return urlsplit(f"//{header.decode('latin-1')}").hostname or ""
    except ValueError:
        return ""


@lru_cache(1024)
def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
