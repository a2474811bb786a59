"""`attune export`: everything that is kept about a person, as one JSON file, which is registered for an erasure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pandas as pd

from features.events import KEY, Events
from features.exposures import log_names, read_log
from features.history import read_events
from features.interactions import FILE as INTERACTIONS
from features.interactions import Interactions
from features.ledger import Ledger
from features.person import EVER, Person, ledger_rows, person_of
from features.registered import register_file
from features.table import FeatureTable
from features.workspace import Workspace
from training.uplift.customer_effects import FILE as EFFECTS
from training.uplift.customer_effects import CustomerEffects

Found = dict[str, Any]


def export(workspace: Workspace, customer: str, out: Path, now: datetime) -> Found:
    """Writes the file whole or not at all, and returns what it holds."""
    if not out.parent.is_dir():
        raise ValueError(f"{out.parent}: no such folder (--out {out})")
    ledger = Ledger.at(workspace.ledger)
    found = everything(workspace, person_of(workspace, customer), now)
    register_file(ledger, out, kind="export", time=now)  # before it is there: an erasure must find it
    half = out.with_name(f".{out.name}.part")
    half.write_bytes(orjson.dumps(found, default=_plain, option=orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY))
    half.replace(out)
    return found


def everything(workspace: Workspace, person: Person, now: datetime) -> Found:
    """What each place of the workspace holds of the person, under the place's name."""
    rows = ledger_rows(Ledger.at(workspace.ledger), person)
    return {
        "customer": person.ids[0],
        "ids": person.ids,
        "devices": [*person.devices, *person.shared],
        "exported_at": now,
        "events": _events(read_events(workspace), person),
        "ledger": {name: found for name, found in rows.items() if name != "events"},  # those stand above
        "features": _features(workspace, person, now),
        "exposures": dict(_exposures(workspace, person)),
        "runs": dict(_runs(workspace, person)),
    }


def _events(events: Events, person: Person) -> list[Found]:
    """What the person did, and what was done on its own devices by nobody in particular."""
    mine, every = events.of_person(person.ids, EVER), events.stored()
    near = every.filter(every.customer.isnull(), every.anonymous.isin(list(person.devices)))
    found: list[Found] = mine.union(near.anti_join(mine, KEY)).order_by("time").to_pyarrow().to_pylist()
    return found


def _features(workspace: Workspace, person: Person, now: datetime) -> Found:
    settings = workspace.settings
    table = FeatureTable.build(
        read_events(workspace), now, customers=person.ids[:1], traits=settings.traits, currency=settings.currency
    )
    values = table.frame.iloc[0].to_dict()
    return {str(name): None if pd.isna(value) else value for name, value in values.items()}  # NaN is not known


def _exposures(workspace: Workspace, person: Person) -> Iterator[tuple[str, list[Found]]]:
    for name in log_names(workspace):
        log = read_log(workspace, name)
        if log.table.customers is None:
            continue
        mine = np.flatnonzero(np.isin(log.table.customers.astype(str), person.names))
        if len(mine):
            part = log.take(mine)
            arms = {"arm": part.exposures.arm, "probability": part.exposures.probability, "time": part.exposures.time}
            frame = part.table.frame.assign(**arms)
            rows = frame.join(part.outcomes.add_prefix("outcome: ")).to_dict("records")
            yield name, [{str(column): value for column, value in row.items()} for row in rows]


def _runs(workspace: Workspace, person: Person) -> Iterator[tuple[str, Found]]:
    """Per training run the history and the effects that it kept; its releases hold the same."""
    for run in sorted(workspace.runs.glob("[!.]*/")):
        parts = {name: found for name, read in KEPT.items() if (run / name).exists() and (found := read(run, person))}
        if parts:
            yield run.name, parts


def _history(run: Path, person: Person) -> list[Found]:
    known = Interactions.load(run)
    mine = known.rows(person.names)
    parts = (mine.items[mine.item], mine.weight, mine.purchases, mine.first.astype(str), mine.last.astype(str))
    names = ("item", "weight", "purchases", "first", "last")
    return [dict(zip(names, row, strict=True)) for row in zip(*(part.tolist() for part in parts), strict=True)]


def _effects(run: Path, person: Person) -> list[Found]:
    known = CustomerEffects.load(run)
    rows = [row for one in person.names if (row := known.row(one)) is not None]
    return [dict(zip(known.effects.offers, known.effects.effect[row].tolist(), strict=True)) for row in rows]


KEPT: dict[str, Callable[[Path, Person], list[Found]]] = {INTERACTIONS: _history, EFFECTS: _effects}


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else str(value)
