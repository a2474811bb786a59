"""Brings a ledger to the newest schema: Alembic, driven from here, with no files of configuration."""

from __future__ import annotations

import contextlib
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection


def upgrade(connection: Connection) -> None:
    """Applies what is missing, in the caller's transaction."""
    configuration = _configuration()
    configuration.attributes["connection"] = connection
    with contextlib.redirect_stdout(None):
        command.upgrade(configuration, "head")


def revision(connection: Connection) -> str | None:
    """The schema's revision, or None for a new store."""
    return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The revision that this code needs."""
    head = ScriptDirectory.from_config(_configuration()).get_current_head()
    if head is None:
        raise RuntimeError("no migration was found beside the code")
    return head


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return configuration
