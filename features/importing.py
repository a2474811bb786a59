"""Imports of anybody's own files: propose a map, import events or traits by one, a campaign's log, a file of items."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from features.consent import Basis, ConsentMap, grant
from features.erased import erased_among
from features.exposures import ExposureLog, save_log
from features.imported import ImportResult, earlier, fingerprint, require_file
from features.imports import import_events, keep_rejects
from features.items import upsert
from features.ledger import Ledger
from features.progress import step
from features.quality import described
from features.sources import catalog_files, exposure_files, traits
from features.sources.files import EventMap, as_yaml, preview, propose, read
from features.workspace import Workspace, read_yaml

MAP = "map.yaml"
NOBODY = "\nno consent was named: nothing of it is used for personalisation"


def propose_map(workspace: Workspace, path: Path) -> str:
    """Writes a map guessed from the file beside `attune.yaml`; ten rows as they would be read, and what to do next."""
    using = propose(require_file(path), workspace.settings)
    shown = preview(path, using, workspace.settings)
    proposed = as_yaml(using)
    target = _kept(workspace, proposed, using.source)
    missing = [name for name in ("customer", "time", "item", "price") if name not in using.columns]
    lines = [shown, "", proposed.rstrip(), ""]
    if missing:
        lines.append(f"no column was found for {missing}; name it in the map where the file has one")
    lines.append(f"look over {target} and name the consent's basis, then: attune import events {path} --map {target}")
    return "\n".join(lines)


def _kept(workspace: Workspace, proposed: str, source: str) -> Path:
    """Where the proposed map is: beside `attune.yaml`, over none that says something else."""
    target = workspace.folder / MAP
    if target.exists() and target.read_text(encoding="utf-8") != proposed:
        target = workspace.folder / f"map-{source}.yaml"
    target.write_text(proposed, encoding="utf-8")
    return target


def propose_traits(workspace: Workspace, path: Path, now: datetime) -> str:
    """Writes a map guessed from a file of customers; ten rows as they would be stored, and what to do next."""
    using = traits.propose(require_file(path), workspace.settings)
    proposed = traits.as_yaml(using)
    target = _kept(workspace, proposed, using.source)
    then = f"look over {target} and name the consent's basis, then: attune import traits {path} --map {target}"
    return "\n".join([traits.preview(path, using, now), "", proposed.rstrip(), "", then])


def import_traits(workspace: Workspace, path: Path, map_file: Path, *, consent: str, proof: str, now: datetime) -> str:
    """Imports what a CRM tells of customers; a file without times holds since the day of its import."""
    using = read_yaml(require_file(map_file), traits.TraitsMap)
    basis, day = _basis(consent, proof, using.consent), "" if using.time else str(now.date())
    mark = fingerprint(require_file(path), using.model_dump_json(), repr(basis), day)
    result = earlier(workspace, mark)
    if result is None:
        with step(f"Importing {path.name}"):
            parsed = traits.read(path, using, now)
            result = import_events(workspace, parsed, source=using.source, path=path, mark=mark, basis=basis, time=now)
    return described(result) + ("" if basis.purposes else NOBODY)


def import_file(workspace: Workspace, path: Path, map_file: Path, *, consent: str, proof: str, now: datetime) -> str:
    """Imports by the map and says what was read, stored and rejected."""
    using = read_yaml(require_file(map_file), EventMap)
    basis = _basis(consent, proof, using.consent)
    mark = fingerprint(require_file(path), using.model_dump_json(), repr(basis), repr(workspace.settings.rates))
    result = earlier(workspace, mark)
    if result is None:
        with step(f"Importing {path.name}"):
            parsed = read(path, using, workspace.settings, now)
            result = import_events(workspace, parsed, source=using.source, path=path, mark=mark, basis=basis, time=now)
    return described(result) + ("" if basis.purposes else NOBODY)


def import_campaign(
    workspace: Workspace, path: Path, map_file: Path | None, *, consent: str, proof: str, now: datetime
) -> str:
    """Keeps a campaign's log, grants the basis to the customers it names, and says what it holds."""
    model = exposure_files.ExposureMap
    using = model() if map_file is None else read_yaml(require_file(map_file), model)
    basis = _basis(consent, proof, using.consent)
    ledger = Ledger.at(workspace.ledger)
    log = _without_erased(ledger, exposure_files.read(require_file(path), using, workspace.settings.timezone))
    save_log(workspace, log)
    if log.table.customers is None:
        return log.described()
    grant(ledger, sorted(set(log.table.customers)), basis, source=log.name, time=now)
    nobody = "" if basis.purposes else "\nno consent was named: only customers who agreed elsewhere are learned from"
    return log.described() + nobody


def import_catalog(workspace: Workspace, address: str, now: datetime) -> str:
    """Merges a file of items, or what a URL answers, into the live catalogue; what was read, changed and rejected."""
    with catalog_files.local(address) as path, step("Importing the catalogue"):
        found = catalog_files.read(path, workspace.settings)
        changed = upsert(Ledger.at(workspace.ledger), found.items, time=now)
        columns = dict.fromkeys(name for row in found.rejected for name in row)
        lost = pa.table({name: [row.get(name) for row in found.rejected] for name in columns})
        mark = fingerprint(path)[:12]
        rejected, examples, kept = keep_rejects(workspace, lost, f"catalog-{mark}.csv")
    read = len(found.items) + len(found.rejected)
    same = len(found.items) - changed
    noted = {"as they were": same} if same else {}
    return described(ImportResult("catalog", read, changed, rejected, noted, rejects=kept, examples=examples))


def _without_erased(ledger: Ledger, log: ExposureLog) -> ExposureLog:
    """The log without the rows of customers who were erased."""
    if log.table.customers is None:
        return log
    with ledger.read() as connection:
        gone = erased_among(connection, set(log.table.customers))
    return log if not gone else log.take(np.flatnonzero(~np.isin(log.table.customers.astype(str), sorted(gone))))


def _basis(consent: str, proof: str, mapped: ConsentMap) -> Basis:
    """The basis that the command names, else that of the map."""
    given = tuple(word.strip() for word in consent.split(",") if word.strip())
    return Basis(given, proof) if consent else mapped.basis()
