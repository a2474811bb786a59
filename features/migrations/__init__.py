"""Brings a ledger to the newest schema: Alembic, driven from here, with no files of configuration."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, column, inspect, select, table

if TYPE_CHECKING:
    from alembic.config import Config

NEWEST = "0008"  # what this code needs; stated, since asking Alembic costs every verb a fifth of a second
APPLIED = table("alembic_version", column("version_num"))


def upgrade(connection: Connection) -> None:
    """Applies what is missing, in the caller's transaction."""
    from alembic import command

    configuration = _configuration()
    configuration.attributes["connection"] = connection
    with contextlib.redirect_stdout(None):
        command.upgrade(configuration, "head")


def revision(connection: Connection) -> str | None:
    """The schema's revision, or None for a new store."""
    if not inspect(connection).has_table(APPLIED.name):
        return None
    return connection.execute(select(APPLIED.c.version_num)).scalar_one_or_none()


def _configuration() -> Config:
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return configuration
