"""How a query runs: Ibis expressions on an in-process DuckDB."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

MEMORY = "2GB"  # more than this is spilled to the temporary folder: a laptop's share, and no slower at 20M events


def connect(*, memory: str = MEMORY, threads: int | None = None) -> Backend:
    """A connection of its own, in memory, that fetches nothing from anywhere; by default one thread per core."""
    import ibis

    spilled = Path(tempfile.gettempdir()) / f"attune-{uuid4().hex}"  # made when first needed, removed at the end
    settings = {"memory_limit": memory, "temp_directory": str(spilled)} | ({"threads": threads} if threads else {})
    return ibis.duckdb.connect(autoinstall_known_extensions=False, autoload_known_extensions=False, **settings)
