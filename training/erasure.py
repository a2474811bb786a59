"""Erasure: a person's part of what training runs left, of releases and of reports; and which models learned from it.

FOLDER/interactions.npz   the customer's history
FOLDER/effects.npz        its row of effects
FOLDER/evaluation.npz     its row of what models were worth
FOLDER/oof.npz            its rows of predictions, and of features.parquet beside it
FOLDER/sample.json        its entry, where it is one of the ten; a report that shows them goes too

A model itself holds items and parameters, no customers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.checksums import sha256
from features.interactions import FILE as INTERACTIONS
from features.interactions import Interactions
from features.person import Person
from features.workspace import Workspace
from training.pipelines.recommend_sample import FILE as SAMPLE
from training.release import MANIFEST, write_json
from training.uplift.customer_effects import FILE as EFFECTS

EVALUATION, OUT_OF_FOLD, FEATURES = "evaluation.npz", "oof.npz", "features.parquet"
Arrays = dict[str, NDArray[Any]]


def erase_training(workspace: Workspace, person: Person) -> Iterator[str]:
    """Runs, releases and reports without the person; a line on each that held some, and on the models that learned."""
    held = []
    for run in sorted(workspace.runs.glob("[!.]*/")):
        sampled = _without(run, person)
        if sampled is not None:
            held.append(run.name)
            yield f"run {run.name[:8]}: its part"
            yield from _reports(workspace, run.name) if sampled else ()
    for manifest in sorted(workspace.releases.glob(f"*/[!.]*/{MANIFEST}")):
        if _without(manifest.parent / "customers", person) is not None:
            _sum_again(manifest)
            yield f"release {manifest.parent.parent.name} {manifest.parent.name}: its part"
    yield from _learned(held)


def _without(folder: Path, person: Person) -> bool | None:
    """Rewrites what the folder holds of the person; None where that is nothing, else whether it was in the sample."""
    rows = _out_of_fold(folder, person)  # first: it finds the rows by the effects' customers
    parts = [part(folder, person) for part in (_history, _by_row(EFFECTS), _by_row(EVALUATION))]
    sampled = _sample(folder, person)
    return sampled if any([rows, sampled, *parts]) else None


def _history(folder: Path, person: Person) -> bool:
    if not (folder / INTERACTIONS).exists():
        return False
    known = Interactions.load(folder)
    theirs = np.isin(known.customers, person.names)
    if theirs.any():
        known.rows(known.customers[~theirs].tolist()).save(folder)
    return bool(theirs.any())


def _by_row(name: str) -> Callable[[Path, Person], bool]:
    """Takes the person's row out of every array of this file that has one per customer."""

    def taken(folder: Path, person: Person) -> bool:
        arrays = _read(folder / name)
        customers = arrays.get("customers")
        if customers is None or not (theirs := np.isin(customers, person.names)).any():
            return False
        _write(folder / name, {one: _rows(values, ~theirs, len(customers)) for one, values in arrays.items()})
        return True

    return taken


def _out_of_fold(folder: Path, person: Person) -> bool:
    """The rows whose `unit` is the place of the person among the customers of the effects."""
    arrays, customers = _read(folder / OUT_OF_FOLD), _read(folder / EFFECTS).get("customers")
    if customers is None or "unit" not in arrays:
        return False
    kept = ~np.isin(arrays["unit"], np.flatnonzero(np.isin(customers, person.names)))
    if kept.all():
        return False
    count = len(kept)
    left = {one: values if one == "offers" else _rows(values, kept, count) for one, values in arrays.items()}
    left["unit"] = np.unique(left["unit"], return_inverse=True)[1]
    pd.read_parquet(folder / FEATURES)[kept].reset_index(drop=True).to_parquet(folder / FEATURES)
    _write(folder / OUT_OF_FOLD, left)
    return True


def _sample(folder: Path, person: Person) -> bool:
    path = folder / SAMPLE
    entries = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    kept = [entry for entry in entries if entry["customer"] not in person.names]
    if len(kept) < len(entries):
        path.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return len(kept) < len(entries)


def _reports(workspace: Workspace, run: str) -> Iterator[str]:
    for path in sorted(workspace.reports.glob(f"model-{run[:8]}.*")):
        path.unlink()
        yield f"report {path.name}: removed; `attune report model` writes it again"


def _sum_again(manifest: Path) -> None:
    facts: dict[str, Any] = json.loads(manifest.read_text(encoding="utf-8"))
    sums = {name: sha256(manifest.parent / name) for name in facts["files"]}
    write_json(manifest, facts | {"files": sums})


def _learned(runs: list[str]) -> Iterator[str]:
    if not runs:
        return
    from training import tracking

    for kind in tracking.KINDS:
        for version in reversed(tracking.versions(kind)):
            if version.run_id in runs:
                served = ", which is served" if version.alias else ""
                yield f"learned from the customer: {kind} {version.version}{served}; train again and promote"


def _rows(values: NDArray[Any], kept: NDArray[np.bool_], count: int) -> NDArray[Any]:
    return values[kept] if values.ndim and len(values) == count else values


def _read(path: Path) -> Arrays:
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as arrays:
        return dict(arrays)


def _write(path: Path, arrays: Mapping[str, NDArray[Any]]) -> None:
    half = path.with_name(f".{path.name}")
    np.savez_compressed(half, **arrays)  # type: ignore[arg-type]  # numpy types the keyword `allow_pickle` among them
    half.replace(path)
