"""Bundle: a folder from which `bentoml build` makes a bento that answers without a workspace.

FOLDER/features, training, serving    our code
FOLDER/serving/bundled/recommender    the champion's item side: manifest and model, no customers
FOLDER/serving/bundled/uplift         the effects' parameters, and the prices of their plan
FOLDER/serving/bundled/catalog.csv    names and stock
FOLDER/serving/bundled/*.yaml, experiments/, segments/, slots/, templates/   the workspace's own
FOLDER/serving/bundled/PACKAGE        the code of a recommender of the user's own, where the champion is one
FOLDER/serving/bundled/workspace.json the hash of the workspace that it was made from
FOLDER/pyproject.toml                 what is built
FOLDER/Containerfile                  an image of the folder, or of the bento
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from features import slots
from features.catalog import read_catalog
from features.offers import FILE as OFFERS
from features.placements import FILE as PLACEMENTS
from features.segments import FOLDER as SEGMENTS
from features.workspace import SETTINGS, Workspace
from serving.decisions.state import BUNDLED_HASH
from serving.experiments.definitions import FOLDER as EXPERIMENTS
from serving.experiments.metrics import FILE as METRICS
from training.policies.prices import FILE as PLAN
from training.recommenders.own import Own
from training.release import MANIFEST, MODEL, Release, current, load_release

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("features", "training", "serving")
KINDS = ("recommender", "uplift")
WRITTEN = (".yaml", ".liquid")


def write(workspace: Workspace, folder: Path) -> list[str]:
    """Writes the folder, which must not be there yet; lines that say what it carries."""
    if folder.exists():
        raise ValueError(f"{folder}: exists already; name a folder that is made now")
    releases = {kind: release for kind in KINDS if (release := current(workspace, kind)) is not None}
    if not releases:
        raise ValueError(f"{workspace.folder}: no release to bundle; run `attune promote recommender latest`")
    own = Own.of(workspace)
    codes = {path for release in releases.values() if (path := own_code(workspace, load_release(release, own), own))}
    for package in PACKAGES:
        skipped = shutil.ignore_patterns("__pycache__", "bundled")
        shutil.copytree(ROOT / package, folder / package, ignore=skipped)
    shutil.copyfile(ROOT / "pyproject.toml", folder / "pyproject.toml")
    shutil.copyfile(ROOT / "requirements.lock", folder / "requirements.lock")
    shutil.copyfile(ROOT / "docs" / "operations" / "Containerfile", folder / "Containerfile")
    bundled = folder / "serving" / "bundled"
    for kind, release in releases.items():
        item_side(release, bundled / kind, own)
    for path in codes:
        carry(path, bundled)
    read_catalog(workspace).frame.reset_index().to_csv(bundled / "catalog.csv", index=False)
    rules(workspace, bundled)
    return [f"{kind} {release.name}" for kind, release in releases.items()]


def rules(workspace: Workspace, target: Path) -> None:
    """Copies what decides beside the models: the workspace's own files under its hash; none is of a customer."""
    own = [workspace.folder / name for name in (SETTINGS, OFFERS, PLACEMENTS, METRICS)]
    folders = (EXPERIMENTS, SEGMENTS, slots.FOLDER, slots.TEMPLATES)
    own += [path for folder in folders for path in (workspace.folder / folder).glob("*") if path.suffix in WRITTEN]
    for path in filter(Path.exists, own):
        copy = target / path.relative_to(workspace.folder)
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(path, copy)
    (target / BUNDLED_HASH).write_text(json.dumps({"hash": workspace.hash}))


def own_code(workspace: Workspace, release: Release, own: Own) -> Path | None:
    """The user's code that answers from this release, None where it is ours; refused where the workspace lacks it."""
    if release.recommender is None or not own.is_own(release.name):
        return None
    path = own.code(release.name)
    if not path.resolve().is_relative_to(workspace.folder):
        raise ValueError(
            f"{own.path(release.name)}: its code is {path}, outside of {workspace.folder}; a bento carries the code "
            "of the workspace and the packages of requirements.lock only"
        )
    return path


def carry(path: Path, target: Path) -> None:
    """Copies a module's file or a package's folder."""
    if path.is_dir():
        shutil.copytree(path, target / path.name, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copyfile(path, target / path.name)


def item_side(release: Path, target: Path, own: Own) -> None:
    """Copies a release without its customers; the copy is a release that `load_release` accepts."""
    load_release(release, own)
    manifest = json.loads((release / MANIFEST).read_text())
    kept = {name: checksum for name, checksum in manifest["files"].items() if name.startswith(f"{MODEL}/")}
    for name in kept:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(release / name, target / name)
    (target / MANIFEST).write_text(json.dumps(manifest | {"files": kept}, indent=1))
    if (release / PLAN).exists():
        shutil.copyfile(release / PLAN, target / PLAN)
