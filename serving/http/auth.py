"""Who asks: the key in the `Authorization` header, the path or the body, found among the ledger's."""

from __future__ import annotations

import base64
import binascii
from time import monotonic

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from features.keys import Key, hashed, valid
from features.ledger import Ledger
from serving.http.errors import HttpError

FRESH_SECONDS = 2.0  # a revoked key is refused this long after
NEEDED = "a write key is needed: Basic authorization with the key and no password, or `writeKey` in the body"


class Keys:
    """The ledger's valid keys, read again when they are old or one is not among them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._known: dict[str, Key] = {}
        self._read = -FRESH_SECONDS

    async def of(self, key: str | None, role: str) -> Key:
        """What is known of this key; 401 where it is none, 403 where it is for something else."""
        if not key:
            raise HttpError(401, "no_key", NEEDED)
        found = await self._find(hashed(key))
        if found is None:
            raise HttpError(401, "wrong_key", "the key is not one of this workspace, or was revoked")
        if found.role != role:
            raise HttpError(403, "wrong_role", f"the key's role is {found.role!r}, {role!r} is needed")
        return found

    async def _find(self, digest: str) -> Key | None:
        if digest not in self._known or monotonic() - self._read > FRESH_SECONDS:
            self._known, self._read = await run_in_threadpool(valid, self._ledger), monotonic()
        return self._known.get(digest)


def in_header(request: Request) -> str | None:
    """The key of a Basic or Bearer `Authorization`; None without one."""
    scheme, _, told = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return told.strip() or None
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(told.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise HttpError(401, "wrong_key", "the Authorization header is no Basic authorization; " + NEEDED) from None
    return pair.partition(":")[0].strip() or None
