"""Backup: a workspace in one file, taken while others write; and its restore into an empty folder.

A backup is a gzipped tar whose last member, `backup.json`, holds the SHA-256 of every other. The order of reading makes
it consistent: the journal before the ledger (what the ledger took over is not missed), and the ledger and the history's
version under the history's lock (each event once). Deleted rows of the past are not in it, models in MLflow are not
either; releases are.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import IO
from urllib.parse import quote

from features.events import utc
from features.history import files, locked, newest_version
from features.ledger import Ledger
from features.registered import register_file
from features.workspace import SETTINGS, STATE, Workspace

MANIFEST = "backup.json"
FORMAT = 1
OWN = ("*.yaml", "*.csv", "*/*.yaml", "*/*.liquid", "*/*.txt")  # those of Workspace.hash, and the codes of offers
BLOCK = 1 << 20


def backup(workspace: Workspace, target: Path, now: datetime) -> int:
    """Writes the workspace to `target`, whole or not at all, registers the file and says how many files it holds."""
    if not target.parent.is_dir():
        raise ValueError(f"{target}: the folder {target.parent} does not exist")
    if target.is_dir():
        raise ValueError(f"{target}: is a folder; a backup is one file")
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            count = _write(workspace, file, now)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(target)
    finally:
        Path(name).unlink(missing_ok=True)
    register_file(Ledger.of_any_revision(workspace.ledger), target, kind="backup", time=now)
    return count


def not_held(workspace: Workspace) -> str | None:
    """The line that says what no archive of this workspace holds, or None when it holds everything."""
    if workspace.server is None:
        return None
    return (
        f"not in the archive: the ledger {workspace.server}; the server's own backup holds it "
        "(pg_dump before `attune backup`; restored before anything runs on this workspace)"
    )


def restore(source: Path, folder: Path) -> int:
    """Unpacks a backup into a folder that is empty or none yet; how many files. Nothing is left after an error."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder}: is not empty; a backup is restored into an empty or new folder")
    if not source.is_file():
        raise ValueError(f"{source}: no such file")
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        count = _unpacked(source, staging)
        staging.chmod(0o755)
        staging.replace(folder)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise ValueError(f"{source}: could not be restored: {' '.join(str(error).split())}") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return count


def _write(workspace: Workspace, file: io.BufferedWriter, now: datetime) -> int:
    sums: dict[str, str] = {}
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=3) as tar:
        for path in _plain_files(workspace):
            _add(tar, path, workspace.folder, sums)
        with locked(workspace):
            _add_ledger(tar, workspace, sums)
            for path in _history_files(workspace):
                _add(tar, path, workspace.folder, sums)
        facts = {"format": FORMAT, "name": workspace.settings.name, "time": utc(now).isoformat(), "files": sums}
        _add_bytes(tar, MANIFEST, json.dumps(facts, indent=1).encode())
    return len(sums)


def _plain_files(workspace: Workspace) -> Iterator[Path]:
    """The user's files and all state but the ledger, the history and the locks; a release's pointer before releases."""
    yield from sorted({path for pattern in OWN for path in workspace.folder.glob(pattern) if path.is_file()})
    file = workspace.ledger_file
    special = {file.with_name(file.name + end) for end in ("", "-wal", "-shm", "-journal")}
    state = [path for path in workspace.state.rglob("*") if path.is_file() and not path.is_symlink()]
    for path in sorted(state, key=lambda path: (path.name != "current.json", path)):
        unfinished = any(part.startswith(".") for part in path.relative_to(workspace.state).parts)
        apart = path in special or path.is_relative_to(workspace.history) or path.suffix == ".lock"
        if not apart and not unfinished:
            yield path


def _history_files(workspace: Workspace) -> Iterator[Path]:
    """The files of the newest version and its log; what older versions still hold stays behind."""
    version = newest_version(workspace)
    if version is None:
        return
    yield from sorted(files(workspace, version))
    yield from sorted(path for path in (workspace.history / "_delta_log").rglob("*") if path.is_file())


def _add_ledger(tar: tarfile.TarFile, workspace: Workspace, sums: dict[str, str]) -> None:
    """Adds the SQLite ledger; one on a server is not in the archive: `not_held` says so."""
    if not workspace.ledger_file.exists():
        return
    with tempfile.TemporaryDirectory(dir=workspace.state, prefix=".backup-") as folder:
        copy = Path(folder) / workspace.ledger_file.name
        address = f"file:{quote(str(workspace.ledger_file))}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True, timeout=30)) as live, closing(sqlite3.connect(copy)) as own:
                live.backup(own)
                own.execute("PRAGMA journal_mode=DELETE")
        except sqlite3.Error as error:
            raise OSError(f"{workspace.ledger_file}: the ledger could not be copied: {error}") from error
        _add(tar, copy, workspace.folder, sums, name=f"{STATE}/{workspace.ledger_file.name}")


def _add(tar: tarfile.TarFile, path: Path, root: Path, sums: dict[str, str], name: str = "") -> None:
    """Adds the file as it is now; one that has gone since it was listed was taken over by the ledger."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    with file:
        info = tarfile.TarInfo(name or path.relative_to(root).as_posix())
        status = os.fstat(file.fileno())
        info.size, info.mtime, info.mode = status.st_size, int(status.st_mtime), 0o600
        reader = _Summed(file, info.size)
        tar.addfile(info, reader)  # type: ignore[arg-type]  # only `read` is used
        sums[info.name] = reader.digest.hexdigest()


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    tar.addfile(info, io.BytesIO(content))


class _Summed:
    """A file that is hashed while it is read."""

    def __init__(self, file: io.BufferedReader, size: int) -> None:
        self.file, self.left, self.digest = file, size, hashlib.sha256()

    def read(self, size: int) -> bytes:
        block = self.file.read(min(size, self.left))
        self.left -= len(block)
        self.digest.update(block)
        return block


def _unpacked(source: Path, staging: Path) -> int:
    found: dict[str, str] = {}
    facts = None
    with tarfile.open(source, "r:gz") as tar:
        for member in tar:
            name = _safe(source, member)
            reader = tar.extractfile(member)
            if reader is None or name in found:
                raise ValueError(f"{source}: holds {member.name!r} twice or without content; it was not made by backup")
            if name == MANIFEST:
                facts = json.loads(reader.read())
            else:
                found[name] = _extract(reader, staging / name)
    _verify(source, facts, found)
    return len(found)


def _safe(source: Path, member: tarfile.TarInfo) -> str:
    path = PurePosixPath(member.name)
    if not member.isfile() or path.is_absolute() or ".." in path.parts or "\\" in member.name:
        raise ValueError(
            f"{source}: holds {member.name!r}, which is no plain file inside a workspace; nothing was kept"
        )
    return path.as_posix()


def _extract(reader: IO[bytes], target: Path) -> str:
    target.parent.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256()
    with target.open("xb") as file:
        while block := reader.read(BLOCK):
            digest.update(block)
            file.write(block)
    target.chmod(0o600)
    return digest.hexdigest()


def _verify(source: Path, facts: object, found: dict[str, str]) -> None:
    if not isinstance(facts, dict) or facts.get("format") != FORMAT or SETTINGS not in found:
        raise ValueError(f"{source}: is not a whole backup; it needs a {MANIFEST} of format {FORMAT} and {SETTINGS}")
    wrong = sorted(name for name, given in facts["files"].items() if found.get(name) != given)
    wrong += sorted(found.keys() - facts["files"].keys())
    if wrong:
        raise ValueError(f"{source}: {len(wrong)} files differ from their checksums, e.g. {wrong[0]!r}; nothing kept")
