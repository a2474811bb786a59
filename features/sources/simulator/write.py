"""The folder of a simulation: the log, the campaign, the catalogue, and the truth apart."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.sources.simulator.shop import CHUNK, Chunk, Shop, chunks

EVENTS_MAP = """# A log in Attune's own columns: nothing to map.
format: attune
source: simulator
currency: EUR
consent:
  purposes: [personalisation, marketing, analytics]
  proof: simulated customers, nobody's data
"""
EXPOSURES_MAP = """# A randomised campaign: features and outcomes come from the event log.
name: campaign
timezone: UTC
columns:
  customer: customer
  arm: arm
  time: time
  probability: probability
"""
PARTS = {"events": "events", "exposures": "exposures", "effects": "truth/effects", "tastes": "truth/tastes"}


def write(shop: Shop, customers: int, folder: Path, advance: Callable[[int], None]) -> dict[str, int]:
    """Rows written per file of the folder; `advance` hears of every chunk of customers."""
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; a folder to write to is needed")
    (folder / "truth").mkdir(parents=True, exist_ok=True)
    _small(shop, folder)
    written = dict.fromkeys(PARTS, 0)
    with ExitStack() as stack:
        writers: dict[str, pq.ParquetWriter] = {}
        for chunk in chunks(shop, customers):
            for part, name in PARTS.items():
                table = getattr(chunk, part)
                if part not in writers:
                    file = folder / f"{name}.parquet"
                    writers[part] = stack.enter_context(pq.ParquetWriter(file, table.schema, compression="zstd"))
                writers[part].write_table(table)
                written[part] += table.num_rows
            advance(CHUNK)
    return written


def read(shop: Shop, customers: int) -> Chunk:
    """The whole simulation in memory, for tests and notebooks."""
    every = list(chunks(shop, customers))
    return Chunk(*(pa.concat_tables([getattr(chunk, part) for chunk in every]) for part in PARTS))


def _small(shop: Shop, folder: Path) -> None:
    items = shop.items
    items.catalog().to_csv(folder / "catalog.csv", index=False)
    items.truth().to_csv(folder / "truth" / "items.csv", index=False)
    (folder / "truth" / "world.json").write_text(shop.world.describe() + "\n")
    (folder / "map.yaml").write_text(EVENTS_MAP)
    (folder / "exposures.yaml").write_text(EXPOSURES_MAP)
