"""Score: what the served release says about every customer who agreed, as one file.

recommender   customer, rank, item, score          rank 1 is the best
uplift        customer, offer, effect, standard_error

Where a campaign's log names no customers, `customer` is the row's position in it, from 0: nobody to ask for consent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import csv, parquet

from features.catalog import read_catalog
from features.consent import consented_customers, left_out
from features.interactions import Interactions
from features.ledger import Ledger
from features.progress import Step, step
from features.registered import register_file
from features.workspace import Workspace
from training.recommenders.base import Recommender
from training.recommenders.bought import allowed
from training.recommenders.own import Own
from training.recommenders.variety import recommend_varied
from training.release import Release, current, load_release
from training.tracking import require_kind
from training.uplift.base import Effects

BATCH = 2000  # customers at once: their score matrix with 10,000 items is 160 MB
WRITERS = {".csv": csv.CSVWriter, ".parquet": parquet.ParquetWriter}
SCHEMAS = {
    "recommender": pa.schema(
        {"customer": pa.string(), "rank": pa.int32(), "item": pa.string(), "score": pa.float32()}.items()
    ),
    "uplift": pa.schema(
        {"customer": pa.string(), "offer": pa.string(), "effect": pa.float64(), "standard_error": pa.float64()}.items()
    ),
}
PURPOSE = "personalisation"
Names = NDArray[np.str_]


def score(workspace: Workspace, kind: str, out: Path, *, as_of: datetime) -> list[str]:
    """Writes the file whole or not at all, registers it in the ledger, and says what it holds."""
    require_kind(kind)
    check_out(out)
    release, ledger = load_release(served(workspace, kind), Own.of(workspace)), Ledger.at(workspace.ledger)
    known, kept, said = agreed(release, ledger, as_of)
    register_file(ledger, out, kind=f"score {kind}", time=as_of)  # before it is there: an erasure must find it
    with step(f"Scoring {len(kept):,} customers", max(len(kept), 1)) as bar:
        rows = write(out, SCHEMAS[kind], _frames(release, workspace, known, kept, bar))
    return [said, f"{out}: {rows:,} rows for {len(kept):,} customers, {kind} {release.version} ({release.name})"]


def check_out(out: Path) -> None:
    """An error in one line where no file can be written there."""
    if out.suffix not in WRITERS:
        raise ValueError(f"--out == {str(out)!r}, must end with one of {list(WRITERS)}")
    if not out.parent.is_dir():
        raise ValueError(f"{out.parent}: no such folder (--out {out})")


def served(workspace: Workspace, kind: str) -> Path:
    """The folder of the release that is served; an error in one line where there is none."""
    folder = current(workspace, kind)
    if folder is None:
        raise ValueError(f"{kind} has no release in {workspace.folder}; run `attune promote {kind} latest`")
    return folder


def agreed(release: Release, ledger: Ledger, as_of: datetime) -> tuple[Names, NDArray[np.intp], str]:
    """The customers of the release, the places of those who agreed, and the line on who was left out."""
    known = _customers(release)
    if release.effects is not None and release.effects.customers is None:
        said = "consent: the log names no customers, nobody left out; `customer` is the row's position in it, from 0"
        return known, np.arange(len(known)), said
    agreed = np.array(consented_customers(ledger, purpose=PURPOSE, as_of=as_of), dtype=np.str_)
    kept = np.flatnonzero(np.isin(known, agreed))
    return known, kept, left_out(len(known), len(known) - len(kept), PURPOSE)


def _customers(release: Release) -> Names:
    if release.interactions is not None:
        return release.interactions.customers
    if release.effects is not None:
        return release.effects.names
    raise ValueError(
        f"{release.kind} {release.version} was trained in another workspace: this one has no customers of it; "
        f"run `attune train {release.kind}` here and promote it"
    )


def _frames(
    release: Release, workspace: Workspace, known: Names, kept: NDArray[np.intp], bar: Step
) -> Iterator[pd.DataFrame]:
    catalog = read_catalog(workspace)
    model = release.recommender and release.recommender.admit(catalog)
    for start in range(0, len(kept), BATCH):
        rows = kept[start : start + BATCH]
        if model is not None and release.interactions is not None:
            histories = release.interactions.rows(known[rows].tolist())
            yield _ranked(model, histories, catalog.out_of_stock, workspace, release.as_of)
        elif release.effects is not None:
            yield _effects(release.effects.effects, known[rows], rows)
        bar.advance(len(rows))


def _ranked(
    model: Recommender, histories: Interactions, stock: Any, workspace: Workspace, as_of: datetime | None
) -> pd.DataFrame:
    settings = workspace.settings.recommender
    items = replace(allowed(settings.include_bought, histories.bought, model), excluded=stock)
    rankings = recommend_varied(model, histories, settings.k, items=items, as_of=as_of, variety=settings.variety)
    lengths = [len(items) for items in rankings.items]
    return pd.DataFrame(
        {
            "customer": np.repeat(histories.customers, lengths),
            "rank": np.concatenate([np.arange(1, length + 1, dtype=np.int32) for length in lengths]),
            "item": np.concatenate(rankings.items),
            "score": np.concatenate(rankings.scores),
        }
    )


def _effects(effects: Effects, customers: Names, rows: NDArray[np.intp]) -> pd.DataFrame:
    width = len(effects.offers)
    return pd.DataFrame(
        {
            "customer": np.repeat(customers, width),
            "offer": np.tile(np.array(effects.offers, dtype=object), len(rows)),
            "effect": effects.effect[rows].ravel(),
            "standard_error": effects.standard_error[rows].ravel(),
        }
    )


def write(out: Path, schema: pa.Schema, frames: Iterator[pd.DataFrame]) -> int:
    """Writes the file whole or not at all; how many rows it has."""
    temporary = out.with_name(f".{out.name}.part")
    rows = 0
    try:
        with WRITERS[out.suffix](temporary, schema) as writer:
            for frame in frames:
                writer.write_table(pa.Table.from_pandas(frame, schema, preserve_index=False))
                rows += len(frame)
        temporary.replace(out)
    finally:
        temporary.unlink(missing_ok=True)
    return rows
