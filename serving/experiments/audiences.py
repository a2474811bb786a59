"""Audiences: what experiments ask of a customer, as far as this workspace can answer it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from features.catalog import Catalog
from features.conditions.facts import require_attributes, require_scores
from serving.experiments.definitions import FOLDER, Experiment, read_experiments


def read_asked(folder: Path, catalog: Catalog) -> dict[str, Experiment]:
    """The workspace's experiments by key; refused where an audience asks for what no item of the catalogue has."""
    found = read_experiments(folder)
    for one in found.values():
        if one.audience is not None:
            try:
                require_attributes(one.audience, catalog)
            except ValueError as error:
                raise ValueError(f"{folder / FOLDER}: the audience of {one.key!r}: {error}") from None
    return found


def require_known_audiences(folder: Path, experiments: Iterable[Experiment], scores: Sequence[str]) -> None:
    """Refuses an audience that asks for a score which the uplift release and the offers do not have."""
    for one in experiments:
        if one.audience is not None:
            try:
                require_scores(one.audience, scores)
            except ValueError as error:
                raise ValueError(f"{folder / FOLDER}: the audience of {one.key!r}: {error}") from None
