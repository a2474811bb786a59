"""Webhooks: the secret by which a provider signs what it reports, as Standard Webhooks has it.

The signature needs the secret itself, so the ledger keeps it as it is; it is shown once, and is in no log.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Column, DateTime, String, Table, delete, insert, select
from standardwebhooks import Webhook, WebhookVerificationError

from features.events import utc
from features.keys import SOURCE
from features.ledger import Ledger, metadata

PREFIX = "whsec_"
LEAST, MOST = 24, 64  # bytes of a secret, by the standard

webhooks = Table(
    "webhooks",
    metadata,
    Column("source", String(64), primary_key=True),
    Column("secret", String(128), nullable=False),
    Column("created_at", DateTime, nullable=False),
)


def keep(ledger: Ledger, source: str, secret: str | None, now: datetime) -> str:
    """Keeps the secret of this source, the provider's own or a new one, in place of the one before; the secret."""
    if not SOURCE.fullmatch(source):
        raise ValueError(f"source == {source[:80]!r}, must be 1 to 64 letters, digits, '_', '.' or '-'")
    kept = PREFIX + base64.b64encode(secrets.token_bytes(LEAST)).decode() if secret is None else _sound(secret)
    with ledger.write() as connection:
        connection.execute(delete(webhooks).where(webhooks.c.source == source))
        connection.execute(insert(webhooks), {"source": source, "secret": kept, "created_at": utc(now)})
    return kept


def secret_of(ledger: Ledger, source: str) -> str | None:
    """The secret of this source, or None where it has none."""
    if not SOURCE.fullmatch(source):
        return None  # what cannot be kept is not asked for: PostgreSQL takes no NUL in a text
    with ledger.read() as connection:
        return connection.execute(select(webhooks.c.secret).where(webhooks.c.source == source)).scalar()


def signed(secret: str, body: bytes, headers: Mapping[str, str]) -> bool:
    """Whether who knows the secret signed this body lately."""
    try:
        Webhook(secret).verify(body, dict(headers), json_parse=False)
    except (WebhookVerificationError, ValueError):  # ValueError: a signature that is none, a body that is no text
        return False
    return True


def _sound(secret: str) -> str:
    """The secret, where it is one; what is wrong is said without it."""
    try:
        size = len(base64.b64decode(secret.removeprefix(PREFIX), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if not LEAST <= size <= MOST:
        raise ValueError(f"the secret has {size} bytes, must be {LEAST} to {MOST} in base64, as in {PREFIX}...")
    return secret
