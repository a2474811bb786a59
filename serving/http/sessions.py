"""Sessions: who signed in with a key, as a cookie that holds no key.

`ID.UNTIL.SIGNATURE`: the key's first characters, the second at which it ends, and HMAC-SHA256 of both and of the key's
hash, under a secret made of the workspace's own for nothing else. The key is looked for at each request: a key that is
revoked has no sessions.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from features.keys import Key

NAME = "attune-session"
PATH = "/reports"
SECONDS = 12 * 3600
LONGEST = 256  # characters
USE = b"sessions of /reports"


def token(secret: bytes, key: Key, until: int) -> str:
    """The session as text; good until this second."""
    return f"{key.id}.{until}.{_signature(secret, key, until)}"


def id_of(text: str) -> str:
    """Of which key the session claims to be."""
    return text[:LONGEST].partition(".")[0]


def good(secret: bytes, key: Key, text: str, now: float) -> bool:
    """Whether we signed this session for this key, and it has not ended."""
    if len(text) > LONGEST or text.count(".") != 2:
        return False
    _, until, signature = text.split(".")
    if not (until.isascii() and until.isdigit()):
        return False
    signed = _signature(secret, key, int(until))
    return hmac.compare_digest(signature.encode("utf-8", "replace"), signed.encode()) and now < int(until)


def begin(response: Response, text: str, request: Request) -> None:
    """Gives the browser the session."""
    response.set_cookie(NAME, text, max_age=SECONDS, **_told(request))


def end(response: Response, request: Request) -> None:
    """Takes it back."""
    response.delete_cookie(NAME, **_told(request))


def is_own(request: Request) -> bool:
    """Whether a form of ours was sent: no page of somebody else's may sign anybody in or out."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        return site in ("same-origin", "none")
    return origin is None or origin.partition("://")[2] == request.headers.get("host")


def _told(request: Request) -> dict[str, Any]:
    """No script reads it, no other page's request carries it, and no plain connection where ours is none."""
    secure = "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
    return {"path": PATH, "httponly": True, "samesite": "strict", "secure": secure}


def _signature(secret: bytes, key: Key, until: int) -> str:
    own = hmac.digest(secret, USE, hashlib.sha256)
    return hmac.digest(own, f"{key.id}.{until}.{key.hash}".encode(), hashlib.sha256).hex()
