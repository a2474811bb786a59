"""Links: a page for one customer, signed, so that nobody else can be read or changed with it.

`PAGE.CONTENT.SIGNATURE`: the content says who and for which channel; the signature is HMAC-SHA256 under a secret that
is made at first use and kept in the workspace's `.attune/link-secret`, readable by its owner only. A link does not
expire: one in an old message must still unsubscribe. Whoever deletes the secret ends every link there is.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from dataclasses import astuple, dataclass
from pathlib import Path

import orjson

from features.consent import EVERYTHING, About
from features.workspace import Workspace

FILE = "link-secret"
PAGES = ("unsubscribe", "preferences", "why")
LONGEST = 4096  # characters of a token


@dataclass(frozen=True, slots=True)
class Link:
    """Which page, of whom; an unsubscribe link is about the messages that it names."""

    page: str
    customer: str
    about: About = EVERYTHING

    def __post_init__(self) -> None:
        if self.page not in PAGES:
            raise ValueError(f"page == {self.page!r}, must be one of {list(PAGES)}")


def path_of(workspace: Workspace, link: Link) -> str:
    """The path below the service's address, e.g. `/v1/pages/why.WyJ.....`."""
    return f"/v1/pages/{token(secret_of(workspace), link)}"


def token(secret: bytes, link: Link) -> str:
    """The link as text."""
    content = _text(orjson.dumps([link.customer, *astuple(link.about)]))
    return f"{link.page}.{content}.{_signature(secret, f'{link.page}.{content}')}"


def read(secret: bytes, text: str) -> Link | None:
    """The link that this text is; None where this service did not sign it."""
    signed, _, signature = text.rpartition(".")
    given = signature.encode("utf-8", "surrogatepass")
    if len(text) > LONGEST or not hmac.compare_digest(given, _signature(secret, signed).encode()):
        return None
    page, _, content = signed.partition(".")
    try:
        customer, *about = orjson.loads(urlsafe_b64decode(content))
    except (Error, ValueError):
        return None
    return Link(page, customer, About(*about))


def secret_of(workspace: Workspace) -> bytes:
    """The workspace's secret, made where there is none; of two processes that make it one is first."""
    path = workspace.state / FILE
    if not path.exists():
        _make(path)
    return path.read_bytes()


def _make(path: Path) -> None:
    half = path.with_name(f".{path.name}.{os.getpid()}")
    half.touch(mode=0o600)
    half.write_bytes(secrets.token_bytes(32))
    try:
        os.link(half, path)  # fails where another process was first
    except FileExistsError:
        pass
    finally:
        half.unlink()


def _signature(secret: bytes, text: str) -> str:
    return _text(hmac.digest(secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256)).rstrip("=")


def _text(content: bytes) -> str:
    return urlsafe_b64encode(content).decode()
