"""What is counted beside BentoML's own metrics, over all workers; no label holds what a request said."""

from __future__ import annotations

from functools import cache

from prometheus_client import Counter, Histogram

from features.decisions import HELD, Decision

BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
DECISIONS = Counter(
    "attune_decisions", "Decisions that were answered for the first time.", ["kind", "policy", "fallback"]
)
SECONDS = Histogram(
    "attune_answer_seconds",
    "From the checked request to the journalled decision.",
    ["kind", "fallback"],
    buckets=BUCKETS,
)
HELD_OUT = Counter("attune_held_out", "Decisions for customers of a holdout.", ["kind"])


def count(decision: Decision, seconds: float) -> None:
    """Adds one decision, and what it took."""
    fallback = "yes" if decision.fallback else "no"
    _decisions(decision.kind, decision.policy, fallback).inc()
    _seconds(decision.kind, fallback).observe(seconds)
    if decision.context.get(HELD):
        _held_out(decision.kind).inc()


@cache
def _decisions(kind: str, policy: str, fallback: str) -> Counter:
    return DECISIONS.labels(kind, policy, fallback)


@cache
def _seconds(kind: str, fallback: str) -> Histogram:
    return SECONDS.labels(kind, fallback)


@cache
def _held_out(kind: str) -> Counter:
    return HELD_OUT.labels(kind)
