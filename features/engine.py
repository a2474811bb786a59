"""How a query runs: Ibis expressions on an in-process DuckDB."""

from __future__ import annotations

import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pyarrow as pa
    from ibis.backends.duckdb import Backend

MEMORY = "1800MB"  # more is spilled to the temporary folder: features of 20M events stay below 3 GB in all, 5 % slower


def connect(*, memory: str = MEMORY, threads: int | None = None) -> Backend:
    """A connection of its own, in memory, that fetches nothing from anywhere; by default one thread per core."""
    import ibis

    spilled = Path(tempfile.gettempdir()) / f"attune-{uuid4().hex}"  # made when first needed, removed at the end
    settings = {"memory_limit": memory, "temp_directory": str(spilled)} | ({"threads": threads} if threads else {})
    return ibis.duckdb.connect(autoinstall_known_extensions=False, autoload_known_extensions=False, **settings)


def created(backend: Backend, name: str, rows: pa.Table) -> ir.Table:
    """The rows as a table of this connection, without a copy."""
    backend.con.register(name, rows)
    return backend.table(name)


def held(rows: ir.Table) -> ir.Table:
    """The rows as a temporary table of their engine, dropped when no expression refers to it any more.

    Ibis' own `cache` cannot drop: with sqlglot 30 its `DROP TABLE` loses the name.
    """
    import ibis

    backend, name = ibis.get_backend(rows), f"held_{uuid4().hex}"
    table = backend.create_table(name, rows, temp=True)
    dropping = weakref.finalize(table.op(), backend.raw_sql, f"DROP TABLE IF EXISTS {name}")
    dropping.atexit = False  # a temporary table ends with its connection
    return table
