"""Imports of anybody's own files: propose a map, import events by one, or a campaign's log."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import numpy as np

from features.consent import Basis, ConsentMap, grant
from features.erased import erased_among
from features.exposures import ExposureLog, save_log
from features.imported import earlier, fingerprint, require_file
from features.imports import import_events
from features.ledger import Ledger
from features.progress import step
from features.quality import described
from features.sources import exposure_files
from features.sources.files import EventMap, as_yaml, preview, propose, read
from features.workspace import Workspace, read_yaml

MAP = "map.yaml"


def propose_map(workspace: Workspace, path: Path) -> str:
    """Writes a map guessed from the file beside `attune.yaml`; ten rows as they would be read, and what to do next."""
    using = propose(require_file(path), workspace.settings)
    shown = preview(path, using, workspace.settings)
    proposed = as_yaml(using)
    target = workspace.folder / MAP
    if target.exists() and target.read_text(encoding="utf-8") != proposed:
        target = workspace.folder / f"map-{using.source}.yaml"
    target.write_text(proposed, encoding="utf-8")
    missing = [name for name in ("customer", "time", "item", "price") if name not in using.columns]
    lines = [shown, "", proposed.rstrip(), ""]
    if missing:
        lines.append(f"no column was found for {missing}; name it in the map where the file has one")
    lines.append(f"look over {target} and name the consent's basis, then: attune import events {path} --map {target}")
    return "\n".join(lines)


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
    nobody = "" if basis.purposes else "\nno consent was named: nothing of it is used for personalisation"
    return described(result) + nobody


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
