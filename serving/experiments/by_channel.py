"""Metrics per channel: of a metric with `by: channel` one for each channel that its events name.

    revenue-by-channel ---> revenue-by-channel-email  revenue-by-channel-web  ...  revenue-by-channel-none

Customers are those of the whole metric, so that what is not capped adds up to it. They are secondary metrics only:
of many parts some differ by chance, and the p-values of those are told among each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from serving.experiments.definitions import Experiment
from serving.experiments.metrics import Measure, Metric

if TYPE_CHECKING:
    import ibis.expr.types as ir

MOST = 12  # channels, those with the most events
NONE = "none"  # of what names no channel


def split_by_channel(
    experiment: Experiment, metrics: Sequence[Metric], rows: ir.Table
) -> tuple[Experiment, list[Metric]]:
    """The experiment and its metrics, each metric with `by` replaced by those of the channels of these events."""
    parts = {one.key: list(_parts(one, rows)) for one in metrics if one.by is not None}
    for name in ("primary", "guardrails"):
        if wrong := [key for key in getattr(experiment, name) if key in parts]:
            raise ValueError(
                f"experiment {experiment.key!r}: {name}: {wrong[0]!r} is told by channel, which only secondary metrics "
                "are; name the metric of one channel (`where`) instead"
            )
    keys = {key: [one.key for one in found] for key, found in parts.items()}
    secondary = tuple(each for key in experiment.secondary for each in keys.get(key, [key]))
    known = {
        one.key: one for found in ([one] if one.by is None else parts[one.key] for one in metrics) for one in found
    }
    return experiment.model_copy(update={"secondary": secondary}), list(known.values())


def _parts(metric: Metric, rows: ir.Table) -> Iterator[Metric]:
    taken: set[str] = set()
    for channel in _channels(metric, rows):
        slug = re.sub(r"[^a-z0-9]+", "-", channel.lower()).strip("-") or NONE
        key = f"{metric.key}-{slug}"
        while key in taken:  # Email and email
            key += "-x"
        taken.add(key)
        yield metric.model_copy(
            update={
                "key": key,
                "name": f"{metric.name}: {channel or 'no channel'}",
                "by": None,
                "numerator": _of(metric.numerator, channel),
                "denominator": None if metric.denominator is None else _of(metric.denominator, channel),
            }
        )


def _of(measure: Measure, channel: str) -> Measure:
    return measure.model_copy(update={"where": {**measure.where, "channel": channel}})


def _channels(metric: Metric, rows: ir.Table) -> list[str]:
    """The channels of what the numerator counts, by their names; empty: of what names none."""
    done = rows.filter(rows.name == metric.numerator.event)
    counted = done.group_by(channel=done.channel.fill_null("")).aggregate(many=done.count())
    told = counted.to_pyarrow().to_pylist()
    most = sorted(told, key=lambda row: (-row["many"], row["channel"]))[:MOST]
    return sorted(row["channel"] for row in most)
