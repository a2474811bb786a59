"""Brings a ledger to the newest schema: Alembic, driven from here, with no files of configuration."""

from __future__ import annotations

import contextlib
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine


def upgrade(engine: Engine) -> None:
    """Applies what is missing; holds the write lock, so that of two processes the second finds nothing to do."""
    if revision(engine) == newest():
        return
    with engine.connect().execution_options(attune_write=True) as connection, connection.begin():
        configuration = _configuration()
        configuration.attributes["connection"] = connection
        with contextlib.redirect_stdout(None):
            command.upgrade(configuration, "head")


def revision(engine: Engine) -> str | None:
    """The schema's revision, or None for a new store."""
    with engine.connect() as connection:
        return _revision(connection)


def newest() -> str:
    """The revision that this code needs."""
    head = ScriptDirectory.from_config(_configuration()).get_current_head()
    if head is None:
        raise RuntimeError("no migration was found beside the code")
    return head


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _configuration() -> Config:
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return configuration
