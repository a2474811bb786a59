"""How a query runs: Ibis expressions on an in-process DuckDB."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend


def connect() -> Backend:
    """A connection of its own, in memory, that fetches nothing from anywhere."""
    import ibis

    return ibis.duckdb.connect(autoinstall_known_extensions=False, autoload_known_extensions=False)
