"""Address: where the ledger's server is. It is never shown with its password."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sqlalchemy import URL

VARIABLE = "ATTUNE_LEDGER_URL"
EXAMPLE = "one like postgresql://attune@host/shop is needed"
DRIVERS = ("postgresql", "postgresql+psycopg")
PASSWORDS = {"password", "sslpassword"}  # of the part behind `?`, which is shown as it is


def written(address: str) -> str:
    """The address as `attune.yaml` may hold it: without a password."""
    if _server(address).password is not None:
        raise ValueError(f"holds a password; it belongs into PGPASSWORD, ~/.pgpass or {VARIABLE}: {EXAMPLE}")
    return address


def told() -> str | None:
    """The address that ATTUNE_LEDGER_URL tells, if it does; it may hold a password, as platforms hand it over."""
    address = os.environ.get(VARIABLE) or None
    try:
        if address:
            _server(address)
    except ValueError as error:
        raise ValueError(f"{VARIABLE}: {error}") from None
    return address


def shown(address: str) -> str:
    """The address with `***` for its password."""
    from sqlalchemy import make_url  # a workspace without a server does not wait for it

    return address if make_url(address).password is None else str(make_url(address))


def _server(address: str) -> URL:
    """A PostgreSQL address; what is wrong is said without the address, which may hold a password."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        server = make_url(address)
    except (ArgumentError, ValueError):
        raise ValueError(f"is no address; {EXAMPLE}") from None
    if server.drivername not in DRIVERS:
        raise ValueError(f"does not name PostgreSQL; {EXAMPLE}")
    if PASSWORDS & server.query.keys():
        raise ValueError(f"holds a password; it belongs into PGPASSWORD or ~/.pgpass, never behind `?`: {EXAMPLE}")
    return server
