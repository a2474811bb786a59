"""Compaction: the many small files of closed days become few, in one Delta transaction; no row changes.

Who reads has the file list of one version, so what was joined stays on the disk as long as any reader may need it. A
crash leaves files that no version names; they go when they are as old. An erasure removes all of it at once.
"""

from __future__ import annotations

from datetime import timedelta

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from features.history import locked, newest_version
from features.workspace import Workspace

MANY = 32  # small files: of one a day, a month's
SMALL = 64 * 2**20  # bytes: below it a file is joined with others, up to this; some 5 million events
READ = timedelta(days=7)  # nobody reads one version longer: a training takes hours; it is Delta's own limit


def compact(workspace: Workspace, *, many: int = MANY, read: timedelta = READ) -> int:
    """How many files were joined; none below `many`. Removes what was joined longer ago than `read`."""
    with locked(workspace):  # no day closes, and nobody is erased, in between
        version = newest_version(workspace)
        if version is None:
            return 0
        try:
            joined = _joined(version) if _small(version) >= many else 0
            _clear(version, read)
        except DeltaError as error:
            fault = " ".join(str(error).split())[:300]
            raise OSError(f"{workspace.history}: its files stay as they are: {fault}") from error
    return joined


def _small(version: DeltaTable) -> int:
    return sum(size < SMALL for size in version.get_add_actions().column("size_bytes").to_pylist())


def _joined(version: DeltaTable) -> int:
    # one at a time: each needs memory for the rows that it holds
    return int(version.optimize.compact(target_size=SMALL, max_concurrent_tasks=1)["numFilesRemoved"])


def _clear(version: DeltaTable, read: timedelta) -> None:
    hours = int(read.total_seconds() // 3600)
    if version.vacuum(hours, dry_run=True, enforce_retention_duration=False, full=True):  # else two commits for nothing
        version.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True)
