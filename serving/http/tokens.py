"""Tokens: whom a page asks for, signed by the shop's server with the secret of its publishable key.

A JSON Web Token of HMAC-SHA256 (RFC 7519, HS256), which every language signs: `sub` is the customer, `exp` the second
at which it ends. What its header says is not read: nothing but this signature is ever accepted.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError

from serving.decisions.requests import Id
from serving.http.errors import HttpError

HEADER = "attune-customer"  # in which a page sends it
LONGEST = 4096  # characters of a token
MOST_SECONDS = 86_400  # a token that is good for longer is refused: who finds one must not have it for ever
START = b'{"alg":"HS256","typ":"JWT"}'
CUSTOMER = TypeAdapter[str](Id)


def token(secret: str, customer: str, until: float) -> str:
    """The token as text; good until this second."""
    content = orjson.dumps({"sub": CUSTOMER.validate_python(customer), "exp": int(until)})
    signed = f"{_text(START)}.{_text(content)}"
    return f"{signed}.{_signature(secret, signed)}"


def customer_of(secret: str, text: str, now: float) -> str:
    """Whom the shop signed; 401 where it signed nobody, or no longer."""
    signed, _, signature = text.rpartition(".")
    given = signature.encode("utf-8", "surrogatepass")
    if len(text) > LONGEST or not hmac.compare_digest(given, _signature(secret, signed).encode()):
        raise _refused("is not signed with the secret of this key")
    claims = _claims(signed)
    until = claims.get("exp")
    if isinstance(until, bool) or not isinstance(until, int | float):
        raise _refused("has no `exp`, the second at which it ends")
    if until <= now:
        raise _refused("has expired: let the shop's server sign a new one")
    if until > now + MOST_SECONDS:
        raise _refused(f"is good for more than the {MOST_SECONDS} seconds that are taken")
    return _subject(claims)


def _claims(signed: str) -> dict[str, Any]:
    content = signed.partition(".")[2]
    try:
        claims = orjson.loads(urlsafe_b64decode(content + "=" * (-len(content) % 4)))
    except (Error, ValueError):  # what is no text of base64, what is no JSON
        claims = None
    if not isinstance(claims, dict):
        raise _refused("holds no claims")
    return claims


def _subject(claims: dict[str, Any]) -> str:
    try:
        return CUSTOMER.validate_python(claims.get("sub"), strict=True)
    except ValidationError:
        raise _refused("has no `sub`, the id of a customer") from None


def _refused(why: str) -> HttpError:
    return HttpError(401, "wrong_token", f"{HEADER}: the token {why}")


def _signature(secret: str, text: str) -> str:
    return _text(hmac.digest(secret.encode(), text.encode("utf-8", "surrogatepass"), hashlib.sha256))


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")
