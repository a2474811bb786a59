"""Segments of a workspace: how many are in each, who is in two, and how customers move between stages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from features.catalog import read_catalog
from features.conditions import Members, members
from features.conditions.facts import require_attributes, require_scores
from features.conditions.grammar import Score, leaves
from features.consent import consented
from features.customers.journey import Journey, month_ends
from features.events import Events
from features.history import read_events
from features.offers import read_offers
from features.progress import step
from features.segments import FOLDER, Segment, conditions, read_segments
from features.workspace import Workspace
from training.recommenders.own import Own
from training.release import current, load_release
from training.uplift.customer_effects import CustomerEffects
from training.uplift.scores import score_names, score_tables

PURPOSE = "analytics"  # a report that people look at, as for `attune features`
TICK = timedelta(microseconds=1)  # before midnight is the day that ended
Figures = dict[str, Any]


def figures(workspace: Workspace, months: int, as_of: datetime, now: datetime) -> Figures:
    """Sizes, overlaps and movement as of this moment, of the customers who agree now; no customer is named."""
    segments = read_segments(workspace.folder)
    events, left_out = consented(read_events(workspace), workspace, purpose=PURPOSE, as_of=now)
    with step("Counting segments", 2) as bar:
        found = _members(workspace, segments, events, as_of)
        bar.advance()
        journey = Journey.of(events, month_ends(as_of, months, workspace.settings.timezone))
        bar.advance()
    return {
        "as_of": as_of.isoformat(),
        "left_out": left_out,
        "customers": len(found.customers),
        "sizes": [_size(segments[key], found, place) for place, key in enumerate(found.names)],
        "overlaps": sorted(_overlaps(found), key=lambda one: (-one["share"], one["first"], one["second"])),
        "journey": _journey(journey, ZoneInfo(workspace.settings.timezone)),
    }


def _members(workspace: Workspace, segments: dict[str, Segment], events: Events, as_of: datetime) -> Members:
    catalog, stored = read_catalog(workspace), _stored(workspace)
    learned = () if stored is None else stored.effects.offers
    keys = dict.fromkeys([*(offer.key for offer in read_offers(workspace.folder)), *learned])
    for key, segment in segments.items():
        try:
            require_attributes(segment.who, catalog)
            require_scores(segment.who, score_names(keys))
        except ValueError as error:
            raise ValueError(f"{workspace.folder / FOLDER}: segment {key!r}: {error}") from None
    asked = {leaf.score for one in segments.values() for leaf in leaves(one.who) if isinstance(leaf, Score)}
    return members(conditions(segments), events, as_of, scores=score_tables(stored, asked), catalog=catalog)


def _stored(workspace: Workspace) -> CustomerEffects | None:
    folder = current(workspace, "uplift")
    return None if folder is None else load_release(folder, Own.of(workspace)).effects


def _size(segment: Segment, found: Members, place: int) -> Figures:
    count = int(found.inside[:, place].sum())
    share = count / len(found.customers) if len(found.customers) else 0.0
    return {"key": segment.key, "description": segment.description, "customers": count, "share": share}


def _overlaps(found: Members) -> Iterator[Figures]:
    """Every two segments that somebody is in; `share`: of those who are in either."""
    inside = found.inside.astype(np.float64)
    both = (inside.T @ inside).astype(np.int64)
    for first, second in zip(*np.triu_indices(len(found.names), 1), strict=True):
        if count := int(both[first, second]):
            sizes = int(both[first, first]), int(both[second, second])
            yield {
                "first": found.names[first],
                "second": found.names[second],
                "customers": count,
                "share": count / (sum(sizes) - count),
                "of_first": count / sizes[0],
                "of_second": count / sizes[1],
            }


def _journey(journey: Journey, zone: ZoneInfo) -> Figures:
    ends = [(moment - TICK).replace(tzinfo=UTC).astimezone(zone) for moment in journey.moments]
    moves = [
        {"from": a, "to": b, "start": place, "customers": int(count)}
        for place in range(len(journey.moments) - 1)
        for a, row in zip(journey.names, journey.moved(place), strict=True)
        for b, count in zip(journey.names, row, strict=True)
        if count
    ]
    return {
        "days": [f"{end:%Y-%m-%d}" for end in ends],
        "stages": list(journey.names),
        "sizes": journey.sizes().tolist(),
        "moves": moves,
    }
