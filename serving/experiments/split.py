"""Split: whether the arms are as large as planned, as plain values of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import numpy as np
import pyarrow as pa

Days = Mapping[str, Counter[str]]  # per day of first exposures its customers by arm


def split(people: pa.Table, shares: Mapping[str, float], segments: Mapping[str, Days] | None = None) -> dict[str, Any]:
    """Whether they are as their shares say: in all, on each day of first exposures, day after day, and per segment."""
    from serving.experiments.ratio import cells, chi_square, watch

    days = by_day(people["arm"].to_pylist(), people["first"].to_pylist())
    whole, each, watched = chi_square(whole_of(days), shares), cells(days, shares), watch(days, shares)
    parts = _parts(segments or {}, shares)
    since = f"day after day it is off since {watched.since}" if watched.since else ""
    said = [whole.why, since, *(f"{day.cell}: {day.why}" for day in each if day.alarm), *(one["why"] for one in parts)]
    return {
        "p_value": whole.p_value,
        "as_planned": not any(said),
        "why": "; ".join(filter(None, said)),
        "sequential": {"p_value": watched.p_value, "since": watched.since},
        "days": [
            {"day": cell.cell, "arms": days[cell.cell], "p_value": cell.adjusted, "alarm": cell.alarm} for cell in each
        ],
        "segments": parts,
    }


def _parts(segments: Mapping[str, Days], shares: Mapping[str, float]) -> list[dict[str, Any]]:
    """Each segment's split, once and day after day, both p-values among those of all segments."""
    from serving.experiments.ratio import FACTOR, cells, holm, watch

    once = cells({name: whole_of(days) for name, days in segments.items()}, shares)
    followed = holm(np.array([watch(days, shares).p_value for days in segments.values()])).tolist()
    found = []
    for cell, sequential in zip(once, followed, strict=True):
        alarm = cell.alarm or sequential < 1 / FACTOR
        why = (cell.why or "day after day it is off") if alarm else ""
        found.append(
            {
                "segment": cell.cell,
                "arms": dict(whole_of(segments[cell.cell])),
                "p_value": cell.adjusted,
                "sequential": sequential,
            }
            | {"alarm": alarm, "why": f"{cell.cell}: {why}" if why else ""}
        )
    return found


def by_day(arms: Iterable[str], firsts: Iterable[datetime]) -> dict[str, Counter[str]]:
    """The customers of each arm by the day (UTC) of their first exposure, in its order."""
    days: dict[str, Counter[str]] = {}
    for arm, first in zip(arms, firsts, strict=True):
        days.setdefault(first.date().isoformat(), Counter())[arm] += 1
    return dict(sorted(days.items()))


def whole_of(days: Days) -> Counter[str]:
    """All days together."""
    return sum(days.values(), Counter())
