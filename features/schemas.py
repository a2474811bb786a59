"""Schemas: what editors check a workspace's files against; `attune init` writes them, `attune schema` prints one."""

from __future__ import annotations

import json
from pathlib import Path

from features.offers import OfferFile
from features.placements import PlacementFile
from features.segments import SegmentFile
from features.slots import Slot
from features.workspace import Frozen

MODELS: dict[str, type[Frozen]] = {
    "segments": SegmentFile,
    "slots": Slot,
    "placements": PlacementFile,
    "offers": OfferFile,
}
FILES = {  # in the workspace; the first line of the shipped files names theirs
    "segments": "segments/schema.json",
    "slots": "slots/schema.json",
    "placements": "placements.schema.json",
    "offers": "offers.schema.json",
}


def schema(kind: str) -> str:
    """The JSON Schema of `placements.yaml`, `offers.yaml`, or a file of `segments/` or `slots/`."""
    if kind not in MODELS:
        raise ValueError(f"schema == {kind!r:.80}, must be one of {', '.join(MODELS)}")
    return json.dumps(MODELS[kind].model_json_schema(by_alias=True), indent=1)


def write(folder: Path) -> None:
    """All of them, beside the files of the workspace in this folder."""
    for kind, name in FILES.items():
        (folder / name).write_text(schema(kind) + "\n", encoding="utf-8")
