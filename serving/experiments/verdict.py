"""Verdict: what to do with each arm, in words, from what its metrics say.

broken            the arms are not as large as planned: no number is to be believed
keep going        too few windows have closed
stop ARM          a guardrail got worse, or a primary metric and none got better
ship ARM          a primary metric got better and none worse
weigh ARM         one got better and another worse
not distinguishable   none did, with how large the effect on the first can still be
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from serving.experiments.metrics import Metric

Said = Mapping[str, Any]
BETTER, WORSE = "better", "worse"
WHOLE = 1_000  # from here on decimals say nothing


def effect(metric: Metric, found: Said) -> str | None:
    """Whether the metric got better or worse, its interval leaving out 0; None within noise."""
    lower, upper = found.get("lower"), found.get("upper")
    risen, fallen = lower is not None and lower > 0, upper is not None and upper < 0
    if not (risen or fallen):
        return None
    return BETTER if risen == (metric.better == "higher") else WORSE


def unharmed(metric: Metric, found: Said, control: Said) -> bool | None:
    """Of a guardrail: whether the interval leaves out a harm of its margin or more; None where it cannot be said."""
    worst = found.get("lower" if metric.better == "higher" else "upper")
    if metric.margin is None or worst is None or not control["mean"]:
        return None
    harm = -worst if metric.better == "higher" else worst
    return bool(harm < metric.margin * abs(control["mean"]))


def verdict(
    arms: Sequence[Said], metrics: Mapping[str, Metric], *, primary: Sequence[str], guardrails: Sequence[str]
) -> str:
    """The verdict on every arm but the control, which is the first."""
    return "; ".join(_of_arm(arm, metrics, primary, guardrails) for arm in arms[1:])


def _of_arm(arm: Said, metrics: Mapping[str, Metric], primary: Sequence[str], guardrails: Sequence[str]) -> str:
    name, told = arm["arm"], arm["metrics"]
    effects = {key: effect(metrics[key], told[key]) for key in (*primary, *guardrails) if key in told}
    harmed = [key for key in guardrails if effects.get(key) == WORSE]
    better, worse = ([key for key in primary if effects.get(key) == one] for one in (BETTER, WORSE))
    if harmed:
        return f"stop {name}: {_list(_words(key, told[key], WORSE) for key in harmed)}"
    if better and worse:
        both = [*((key, BETTER) for key in better), *((key, WORSE) for key in worse)]
        return f"weigh {name}: {_list(_words(key, told[key], one) for key, one in both)}"
    if worse:
        return f"stop {name}: {_list(_words(key, told[key], WORSE) for key in worse)}"
    if better:
        return f"ship {name}: {_list(_words(key, told[key], BETTER) for key in better)}"
    known = [key for key in primary if told.get(key, {}).get("lower") is not None]
    within = f"; the effect on {known[0]} is {_between(told[known[0]])}" if known else ""
    return f"{name} is not distinguishable from the control{within}"


def _words(key: str, found: Said, effect: str) -> str:
    return f"{key} is {effect} by {_between(found)}"


def _between(found: Said) -> str:
    least, most = (found[name] for name in ("lower", "upper"))
    return f"{_number(least)} to {_number(most)}"


def _number(value: float | None) -> str:
    if value is None:
        return "any"
    return f"{value:+,.0f}" if abs(value) >= WHOLE else f"{value:+.4g}"


def _list(said: Iterator[str]) -> str:
    return ", ".join(said)
