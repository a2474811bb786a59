"""Copies: what the workers of a service read of a large release, one copy on disk and in memory for all of them.

    .attune/.serving/recommender-3-0f3a...    a copy of the release with its large arrays unpacked (features/arrays.py)

Workers map the arrays, so they need files that nobody writes to: a release itself may be written again, or break,
while it is served. A copy is made by the first worker and appears whole; `attune backup` leaves it out, an erasure
removes it.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from features.arrays import LARGE, unpack
from features.checksums import first_broken
from features.workspace import Workspace
from training.policies.prices import FILE as PLAN
from training.recommenders.own import Own
from training.release import MANIFEST, Release, challenger, current, load_release, manifest_of

FOLDER, BUILDING = ".serving", ".building-"
LEFT = 3600.0  # seconds after which what a killed worker was building goes


def read_copy(workspace: Workspace, folder: Path) -> Release:
    """The release, read from the copy where it is large; what is wrong is told of the release itself."""
    own = Own.of(workspace)
    if not any(path.stat().st_size >= LARGE for path in folder.rglob("*.npz")):
        return load_release(folder, own)
    copy = _copied(workspace, folder)
    try:
        return load_release(copy, own)
    except (ValueError, OSError) as error:
        shutil.rmtree(copy, ignore_errors=True)
        raise ValueError(str(error).replace(str(copy), str(folder))) from None


def tidy(workspace: Workspace, kinds: tuple[str, ...]) -> None:
    """Removes the copies of releases that no pointer names; who has one mapped keeps it."""
    home, kept = workspace.state / FOLDER, set[Path]()
    for kind in kinds:
        beside = challenger(workspace, kind)
        folders = (current(workspace, kind), workspace.releases / kind / beside.version if beside else None)
        kept |= {_target(workspace, folder) for folder in folders if folder is not None}
    for path in set(home.glob("*")) - kept:
        with suppress(OSError):
            if not path.name.startswith(BUILDING) or path.stat().st_mtime < time.time() - LEFT:
                shutil.rmtree(path)


def forget_copies(workspace: Workspace) -> None:
    """Removes all of them: they hold customers. The next worker that reads a release makes its copy again."""
    shutil.rmtree(workspace.state / FOLDER, ignore_errors=True)


def _copied(workspace: Workspace, folder: Path) -> Path:
    target, files = _target(workspace, folder), manifest_of(folder)["files"]
    if target.exists():
        return target
    target.parent.mkdir(exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=BUILDING, dir=target.parent))
    try:
        shutil.copytree(folder, building, dirs_exist_ok=True)
        if first_broken(building, files) is None:
            for path in building.rglob("*.npz"):
                unpack(path)
        with suppress(OSError):  # another worker was first
            building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def _target(workspace: Workspace, folder: Path) -> Path:
    """Another manifest, or another plan, is another copy."""
    parts = (path.read_bytes() for name in (MANIFEST, PLAN) if (path := folder / name).exists())
    mark = hashlib.sha256(b"".join(parts)).hexdigest()[:16]
    return workspace.state / FOLDER / f"{folder.parent.name}-{folder.name}-{mark}"
