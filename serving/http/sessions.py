"""Sessions: who signed in with a key, as a cookie that holds no key.

`ID.UNTIL.NAME.SIGNATURE`: the key's first characters, the second at which it ends, chance, and HMAC-SHA256 of all three
and of the key's hash, under a secret made of the workspace's own for nothing else. The key is looked for at each
request: a key that is revoked has no sessions. Whoever signs out ends the session, and every copy of it: an empty file
of its name stands beside the secret until the session would have ended by itself.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from features.keys import Key
from features.workspace import Workspace

NAME = "attune-session"
PATH = "/reports"
SECONDS = 12 * 3600
LONGEST = 256  # characters
USE = b"sessions of /reports"
ENDED = "ended-sessions"  # in `.attune/`, which all workers share, as the secret


def token(secret: bytes, key: Key, until: int) -> str:
    """The session as text; good until this second."""
    told = f"{key.id}.{until}.{secrets.token_hex(16)}"
    return f"{told}.{_signature(secret, key, told)}"


def id_of(text: str) -> str:
    """Of which key the session claims to be."""
    return text[:LONGEST].partition(".")[0]


def good(secret: bytes, key: Key, text: str, now: float) -> bool:
    """Whether we signed this session for this key, and it has not ended."""
    told, _, signature = text.rpartition(".")
    if len(text) > LONGEST or told.count(".") != 2 or id_of(told) != key.id:
        return False
    given = signature.encode("utf-8", "replace")
    return hmac.compare_digest(given, _signature(secret, key, told).encode()) and now < int(told.split(".")[1])


def finish(workspace: Workspace, text: str, now: float) -> None:
    """Ends this session, which is good, wherever it was copied to; those that ended by themselves are forgotten."""
    folder = workspace.state / ENDED
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        with suppress(FileNotFoundError):  # another worker was first
            if old.stat().st_mtime + SECONDS < now:
                old.unlink()
    (folder / _name(text)).touch()


def finished(workspace: Workspace, text: str) -> bool:
    """Whether whoever had this session, which is good, signed out."""
    return (workspace.state / ENDED / _name(text)).exists()


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


def _name(text: str) -> str:
    return text.split(".")[2]


def _signature(secret: bytes, key: Key, told: str) -> str:
    own = hmac.digest(secret, USE, hashlib.sha256)
    return hmac.digest(own, f"{told}.{key.hash}".encode("utf-8", "replace"), hashlib.sha256).hex()
