"""What a shadow's journal says: how much a challenger that answers nobody differs from what was answered."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
from sqlalchemy import select

from features.decisions import SHADOW, decisions
from features.ledger import Ledger
from features.workspace import Workspace


def lines(workspace: Workspace, key: str) -> Iterator[str]:
    """For a terminal. Nothing is said of what customers did after it: they saw the champion's answers."""
    mine = select(decisions.c.context).where(
        decisions.c.kind == SHADOW, decisions.c.context.contains(f'"{key}"', autoescape=True)
    )
    with Ledger.at(workspace.ledger).read() as connection:
        told = [json.loads(row) for row in connection.execute(mine).scalars()]
    same = np.array([row["same"] for row in told if row.get(SHADOW) == key])
    if not len(same):
        raise ValueError(f"{key}: no decision has a shadow yet; it comes with the next answers of the service")
    yield f"{key}: {len(same):,} decisions, each beside what was answered"
    yield f"of a choice {same.mean():.1%} was answered too; {np.mean(same == 1):.1%} of the decisions are the same"
    yield "what it would have earned is not known: nobody saw it; `attune promote ... --share` lets customers see it"
