"""Split: whether the arms are as large as planned, as plain values of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

Counted = Mapping[str, Counter[str]]  # per day or segment, its customers by arm


def split(people: pa.Table, shares: Mapping[str, float], segments: Counted | None = None) -> dict[str, Any]:
    """Whether they are as their shares say: in all, on each day of first exposures, day after day, and per segment."""
    from serving.experiments.ratio import cells, chi_square, watch

    days = _by_day(people)
    whole, each, watched = chi_square(sum(days.values(), Counter()), shares), cells(days, shares), watch(days, shares)
    parts = cells(segments or {}, shares)
    since = f"day after day it is off since {watched.since}" if watched.since else ""
    said = [whole.why, since, *(f"{cell.cell}: {cell.why}" for cell in (*each, *parts) if cell.alarm)]
    return {
        "p_value": whole.p_value,
        "as_planned": not any(said),
        "why": "; ".join(filter(None, said)),
        "sequential": {"p_value": watched.p_value, "since": watched.since},
        "days": [
            {"day": cell.cell, "arms": days[cell.cell], "p_value": cell.adjusted, "alarm": cell.alarm} for cell in each
        ],
        "segments": [
            {"segment": cell.cell, "arms": cell.counts, "p_value": cell.adjusted, "alarm": cell.alarm} for cell in parts
        ],
    }


def _by_day(people: pa.Table) -> dict[str, Counter[str]]:
    days: dict[str, Counter[str]] = {}
    for arm, first in zip(people["arm"].to_pylist(), people["first"].to_pylist(), strict=True):
        days.setdefault(first.date().isoformat(), Counter())[arm] += 1
    return dict(sorted(days.items()))
