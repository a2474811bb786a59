"""Kept: since when the journal shows that the global holdout is kept out of what is personal.

`holdout` in attune.yaml bears no date. A period that begins before it was set counts what reached its customers then
as if nothing had, which makes increments smaller than they are. So many customers decided for without one of the
holdout among them do not come about by chance.
"""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

from sqlalchemy import func, select

from features.decisions import HELD, decisions
from features.holdout import SALT
from features.ledger import Ledger
from features.workspace import Workspace
from serving.impact.period import Period

PERSONAL = ("recommend", "offer", "decide")  # the kinds that the holdout changes
CHANCE = 0.001  # with which none of so many customers would be of the holdout


def not_yet_kept(workspace: Workspace, when: Period) -> str | None:
    """That the holdout was not kept as the period began; None where the journal speaks of nothing else."""
    share, inside = workspace.settings.holdout, (decisions.c.time >= when.start, decisions.c.time < when.until)
    if not share:
        return None
    held = decisions.c.context.like(f'%"{HELD}":%"{SALT}"%')
    first = select(func.min(decisions.c.time)).where(*inside, held)
    many = select(func.count(decisions.c.customer.distinct())).where(*inside, decisions.c.kind.in_(PERSONAL))
    with Ledger.at(workspace.ledger).read() as connection:
        since = connection.execute(first).scalar_one()
        before = connection.execute(many if since is None else many.where(decisions.c.time < since)).scalar_one()
    if (1 - share) ** before >= CHANCE:
        return None
    told = f"of the {before:,} customers decided for in the period"
    if since is None:
        return f"{told} none was kept back by the holdout: was `holdout` set later? The increments say too little then"
    day = since.replace(tzinfo=UTC).astimezone(ZoneInfo(workspace.settings.timezone)).date()
    return (
        f"{told} before {day} none was kept back by the holdout; what reached it then makes the increments smaller "
        f"than they are: begin there (`--from {day}`)"
    )
