"""Segment: a kind of customer, by a condition; from `segments/*.yaml`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from features.conditions.bound import all_bound
from features.conditions.grammar import Condition, CustomerCondition
from features.workspace import Frozen, read_yaml

FOLDER = "segments"


class Segment(Frozen):
    """One segment: `who` is a condition (docs/conditions.md) that may name other segments by their key."""

    key: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=64)
    description: str = ""
    who: CustomerCondition


class SegmentFile(Frozen):
    """One file of `segments/`."""

    segments: tuple[Segment, ...] = ()


def read_segments(folder: Path) -> dict[str, Segment]:
    """The workspace's segments by key, each with what the segments it names mean; none without `segments/`."""
    found: dict[str, Segment] = {}
    for path in sorted((folder / FOLDER).glob("*.yaml")):
        for segment in read_yaml(path, SegmentFile).segments:
            if segment.key in found:
                raise ValueError(f"{path}: the key {segment.key!r} is taken by another segment of {folder / FOLDER}")
            found[segment.key] = segment
    try:
        meant = all_bound(conditions(found))
    except ValueError as error:
        raise ValueError(f"{folder / FOLDER}: {error}") from None
    return {key: segment.model_copy(update={"who": meant[key]}) for key, segment in found.items()}


def conditions(segments: Mapping[str, Segment]) -> dict[str, Condition]:
    """What each segment asks."""
    return {key: segment.who for key, segment in segments.items()}
