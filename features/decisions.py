"""Decision: the row of everything decided, silence included; and its table in the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Column, DateTime, Float, Index, String, Table, Text

from features.ledger import metadata

NOTHING = "nothing"  # the choice of silence
WEIGHED = "weighed"  # in the context: of each offer that was weighed, what another policy would go by
HELD = "held_out_of"  # in the context: the holdout that the customer is in, where that decided
SHADOW = "shadow"  # a kind: what a challenger that answers nobody would have answered
RETRY = "retry"  # in the context of a decision that was kept: the body's fingerprint and the answer


@dataclass(slots=True)  # frozen, one takes four times as long to make, and an answer has ten
class Option:
    """One thing that was considered: an item, an offer or an arm. Nobody changes one."""

    key: str
    score: float | None = None  # a recommender's score, or an offer's expected profit
    eligible: bool = True
    probability: float | None = None  # with which the policy would choose it
    reason: str | None = None  # why it is not eligible, where its condition or what is left of it says so


@dataclass(frozen=True, slots=True)
class Decision:
    """Who, when, what was considered, what was chosen with which probability, by which policy and model, and why.

    `chosen` are item ids in order, one offer key, one arm, or [`NOTHING`]; of content all of it: `content:KEY`,
    `item:ID`, `offer:KEY` and `ELEMENT:VARIANT`, as its options are. `probability` is that of the whole choice.
    `fallback` says why the answer is not the model's own, or is None. `time` is UTC without a zone.
    """

    decision_id: str
    kind: str  # recommend, basket, similar, offer, assign, decide or SHADOW
    time: datetime
    customer: str | None
    options: tuple[Option, ...]
    chosen: tuple[str, ...]
    probability: float
    policy: str
    model: str | None
    model_version: str | None
    workspace_hash: str
    reason: str
    fallback: str | None = None
    context: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0 < self.probability <= 1 + 1e-9:
            raise ValueError(f"probability == {self.probability}, must be > 0 and <= 1 (decision {self.decision_id!r})")

    def row(self) -> dict[str, Any]:
        """The decision as plain values; `options`, `chosen` and `context` are lists and mappings."""
        return asdict(self)


decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", String(64), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("time", DateTime, nullable=False),
    Column("customer", String(256)),
    Column("policy", String(64), nullable=False),
    Column("model", String(64)),
    Column("model_version", String(32)),
    Column("workspace_hash", String(12), nullable=False),
    Column("probability", Float, nullable=False),
    Column("fallback", Text),
    Column("reason", Text, nullable=False),
    Column("options", Text, nullable=False),  # JSON list of Option
    Column("chosen", Text, nullable=False),  # JSON list of keys
    Column("context", Text, nullable=False),  # JSON object
    Index("decisions_customer_time", "customer", "time"),
)
