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
    "experiments": "experiments/schema.json",
    "metrics": "metrics.schema.json",
}
UPSTAIRS = Path(__file__).parent / "upstairs"  # the schemas of what only serving reads, which keeps them in step


def schema(kind: str) -> str:
    """The JSON Schema of a file of this kind."""
    if kind not in FILES:
        raise ValueError(f"schema == {kind!r:.80}, must be one of {', '.join(FILES)}")
    if kind not in MODELS:
        return (UPSTAIRS / f"{kind}.json").read_text(encoding="utf-8").rstrip("\n")
    return json.dumps(MODELS[kind].model_json_schema(by_alias=True), indent=1)


def write(folder: Path) -> None:
    """All of them, beside the files of the workspace in this folder."""
    for kind, name in FILES.items():
        (folder / name).write_text(schema(kind) + "\n", encoding="utf-8")
