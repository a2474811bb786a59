"""Release: the folder that crosses upstairs. Files, checksums and a manifest, never a pickle.

.attune/releases/recommender/
    current.json            {"version": "3", "previous": "2"}, of a challenger also {"challenger": "4", "share": 0.1}
    3/manifest.json         what it is, where it came from, the SHA-256 of every file
    3/model/                the item side or the effects' parameters, as registered in MLflow
    3/customers/            what training wrote about customers; never in MLflow or in a bento
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from features.checksums import first_broken, sha256
from features.interactions import FILE as INTERACTIONS
from features.interactions import Interactions
from features.workspace import InteractionSettings, Workspace
from training.policies.prices import Prices
from training.recommenders.base import Recommender
from training.recommenders.own import Own
from training.uplift.base import UpliftModel
from training.uplift.baseline import FOLDER as BASELINE
from training.uplift.baseline import Baseline
from training.uplift.customer_effects import FILE as EFFECTS
from training.uplift.customer_effects import CustomerEffects

PICKLES = (".pkl", ".pickle", ".joblib", ".dill")
PICKLED = tuple(bytes((0x80, protocol)) for protocol in range(2, 6))  # how a pickle begins
MANIFEST = "manifest.json"
MODEL = "model"
CURRENT = "current.json"
OURS = Own()


@dataclass(frozen=True)
class Release:
    """A release, read and checked. Of `recommender` and `uplift` one is there; the customer side may be missing."""

    kind: str
    name: str  # in the registry of its kind
    version: str
    as_of: datetime | None
    manifest: Mapping[str, Any]
    recommender: Recommender | None = None
    uplift: UpliftModel | None = None
    interactions: Interactions | None = None
    weighed: InteractionSettings | None = None  # how events became the interactions; None: nobody said
    effects: CustomerEffects | None = None
    baseline: Baseline | None = None  # None in an uplift release from before it was kept
    prices: Prices | None = None  # of the plan that was made for an uplift release


@dataclass(frozen=True)
class Challenger:
    """The version that answers a share of the customers beside the champion; at 0 it answers nobody and is watched."""

    version: str
    share: float
    champion: str


def save_model(model: Recommender | UpliftModel, folder: Path, facts: Mapping[str, Any]) -> None:
    """Writes `model/` and `model.json`: the folder that is registered. `facts` has `kind`, `name` and `as_of`."""
    (folder / MODEL).mkdir(parents=True, exist_ok=True)
    model.save(folder / MODEL)
    (folder / "model.json").write_text(json.dumps(dict(facts), indent=2, default=str))


def load_model(folder: Path, own: Own = OURS) -> tuple[dict[str, Any], Any]:
    """The facts and the model of a folder that `save_model` wrote; `own` says which classes a name may mean."""
    facts: dict[str, Any] = json.loads((folder / "model.json").read_text())
    return facts, _model(facts["kind"], facts["name"], folder / MODEL, own)


def write_release(
    workspace: Workspace, model_folder: Path, *, version: str, run_id: str, facts: Mapping[str, Any]
) -> Path:
    """Joins the registered model and the run's customer side into one folder that appears whole or not at all."""
    model = json.loads((model_folder / "model.json").read_text())
    home: Path = workspace.releases / model["kind"]
    home.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=home))
    try:
        shutil.copytree(model_folder / MODEL, building / MODEL)
        _copy_customers(workspace.runs / run_id, building / "customers")
        files = {path.relative_to(building).as_posix(): sha256(path) for path in _files(building)}
        write_json(building / MANIFEST, {**model, **facts, "version": version, "run_id": run_id, "files": files})
        for path in building.rglob("*"):
            _flush(path)
        with _locked(home):
            return _put(building, home / version)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _put(building: Path, target: Path) -> Path:
    """Moves the folder there; one that says the same already stays, so that nobody who reads it is disturbed."""
    if target.exists():
        if _intact(target) and manifest_of(target) == manifest_of(building):
            return target
        old = building.with_name(f".old{building.name}")
        target.rename(old)
        building.rename(target)
        shutil.rmtree(old)
    else:
        building.rename(target)
    _flush(target.parent)
    return target


def point(workspace: Workspace, kind: str, version: str) -> None:
    """Makes this version the one that is served, and remembers the one before; no challenger stays beside it."""
    home = workspace.releases / kind
    with _locked(home):
        before = _pointer(home)
        previous = before.get("previous") if before.get("version") == version else before.get("version")
        write_json(home / CURRENT, {"version": version, "previous": previous})


def challenge(workspace: Workspace, kind: str, version: str, share: float) -> None:
    """Lets this version answer a share of the customers, beside the one that is served."""
    home = workspace.releases / kind
    with _locked(home):
        write_json(home / CURRENT, _pointer(home) | {"challenger": version, "share": share})


def withdraw(workspace: Workspace, kind: str) -> None:
    """Leaves the champion alone again."""
    home = workspace.releases / kind
    with _locked(home):
        pointer = _pointer(home)
        write_json(home / CURRENT, {name: pointer.get(name) for name in ("version", "previous")})


def challenger(workspace: Workspace, kind: str) -> Challenger | None:
    """Who stands beside the release that is served, or None."""
    pointer = _pointer(workspace.releases / kind)
    if pointer.get("challenger") is None:
        return None
    return Challenger(str(pointer["challenger"]), float(pointer["share"]), str(pointer["version"]))


def before(workspace: Workspace, kind: str) -> Path | None:
    """The folder of the release that was served before the current one, or None."""
    version = _pointer(workspace.releases / kind).get("previous")
    return None if version is None else Path(workspace.releases / kind / version)


def previous(workspace: Workspace, kind: str) -> str:
    """The version that was served before the current one; an error where there was none."""
    home = workspace.releases / kind
    version = _pointer(home).get("previous")
    if version is None:
        known = sorted(path.name for path in home.glob("[0-9]*"))
        raise ValueError(f"{kind} has no earlier release to go back to; {home} holds {known}")
    return str(version)


def current(workspace: Workspace, kind: str) -> Path | None:
    """The folder of the release that is served, or None."""
    version = _pointer(workspace.releases / kind).get("version")
    return None if version is None else Path(workspace.releases / kind / version)


def serves(workspace: Workspace, kind: str, *, version: str) -> bool:
    """Whether this version is served, whole, and with the customers that its run left in this workspace."""
    folder = workspace.releases / kind / version
    if current(workspace, kind) != folder or not _intact(folder):
        return False
    manifest = manifest_of(folder)
    left = {f"customers/{path.name}": sha256(path) for path in _customers(workspace.runs / manifest["run_id"])}
    held = {name: checksum for name, checksum in manifest["files"].items() if name.startswith("customers/")}
    return left == held


def load_release(folder: Path, own: Own = OURS) -> Release:
    """The release, after its checksums were found right; one line that names the file where they are not.

    A recommender that is not ours is of a class in `own`: see `Own.of`.
    """
    _require_no_pickle(folder)
    manifest = manifest_of(folder)
    if broken := first_broken(folder, manifest["files"]):
        raise ValueError(f"{folder / broken}: the checksum is not the manifest's; promote the model again")
    kind, customers = manifest["kind"], folder / "customers"
    model = _model(kind, manifest["name"], folder / MODEL, own)
    as_of = datetime.fromisoformat(manifest["as_of"]) if manifest.get("as_of") else None
    facts = {"kind": kind, "name": manifest["name"], "version": str(manifest["version"]), "as_of": as_of}
    if kind == "recommender":
        known = _alike(Interactions.load(customers), model) if (customers / INTERACTIONS).exists() else None
        return Release(
            **facts,
            manifest=manifest,
            recommender=model if known is None else model.beside(known),
            interactions=known,
            weighed=_weighed(manifest),
        )
    effects = CustomerEffects.load(customers) if (customers / EFFECTS).exists() else None
    baseline = Baseline.load(folder / MODEL / BASELINE) if (folder / MODEL / BASELINE).is_dir() else None
    prices = Prices.read(folder)
    return Release(**facts, manifest=manifest, uplift=model, effects=effects, baseline=baseline, prices=prices)


def _require_no_pickle(folder: Path) -> None:
    """Reading a pickle runs what somebody wrote; a folder that holds one was not written by us."""
    for path in _files(folder):
        with path.open("rb") as file:
            if path.suffix in PICKLES or file.read(2) in PICKLED:
                raise ValueError(f"{path}: is a pickle; a release holds JSON, npz and text, and is refused with one")


def _alike(known: Interactions, model: Any) -> Interactions:
    """The histories over the model's own list of items where that is the same: then nobody need compare them again."""
    items = getattr(model, "items_", None)
    return replace(known, items=items) if items is not None and np.array_equal(known.items, items) else known


def _weighed(manifest: Mapping[str, Any]) -> InteractionSettings | None:
    given = manifest.get("interactions")
    return None if given is None else InteractionSettings.model_validate(given)


def _model(kind: str, name: str, folder: Path, own: Own) -> Any:
    from training.uplift import LEARNERS

    if kind == "recommender":
        return own.loaded(name, folder)
    if name not in LEARNERS:
        raise ValueError(f"{folder}: the release names {name!r}; known {kind} models are {sorted(LEARNERS)}")
    entry: Any = LEARNERS[name]
    learned: Any = entry if isinstance(entry, type) else type(entry())
    return learned.load(folder)


def _copy_customers(source: Path, target: Path) -> None:
    target.mkdir()
    for path in _customers(source):
        shutil.copyfile(path, target / path.name)


def _customers(run: Path) -> list[Path]:
    return [run / name for name in (INTERACTIONS, EFFECTS) if (run / name).exists()]


def manifest_of(folder: Path) -> dict[str, Any]:
    """What the release says of itself; one line where that cannot be read."""
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_text())
        _ = found["files"].items(), found["kind"], found["name"], found["version"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / MANIFEST}: not a readable manifest ({error}); promote the model again") from None
    return found


def _intact(folder: Path) -> bool:
    try:
        return first_broken(folder, manifest_of(folder)["files"]) is None
    except ValueError:
        return False


def _pointer(home: Path) -> dict[str, Any]:
    path = home / CURRENT
    try:
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise ValueError(f"{path}: not readable ({error}); promote a model again") from None
    return found


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes the file whole or not at all, also when the power fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(json.dumps(value, indent=2, default=str))
    _flush(temporary)
    temporary.replace(path)
    _flush(path.parent)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One process of this host at a time changes the releases of a kind."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
