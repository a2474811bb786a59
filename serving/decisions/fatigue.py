"""Fatigue: what a customer was shown again and again and took no notice of comes after everything else.

    shown     in an answer to this customer, by the journal, in the last `DAYS` days and after the customer last did
              anything with the item that the history knows of
    tired     shown in `recommender.fatigue` answers (attune.yaml; 0: never)

One query by customer and time, of at most `LOOKED` decisions, and only with the customer's consent.
"""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta

import numpy as np
import orjson
from numpy.typing import NDArray
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from features.decisions import decisions
from features.identity import ids_of
from features.interactions import Interactions
from features.ledger import Ledger
from serving.decisions.state import State

DAYS = 30
LOOKED = 200  # the customer's newest decisions, of whatever kind: bounds what an answer costs
SHOWING = ("recommend", "basket")


def tired(state: State, customer: str | None, history: Interactions, now: datetime) -> NDArray[np.str_]:
    """The items that this customer, who agreed, is tired of; none where the ledger cannot be read."""
    enough = state.settings.recommender.fatigue
    if customer is None or state.ledger is None or enough == 0:
        return np.empty(0, np.str_)
    moment = now.replace(tzinfo=None)
    noticed = _noticed(history, moment)
    try:
        shown = _shown(state.ledger, customer, moment - timedelta(days=DAYS))
    except (OSError, RuntimeError, SQLAlchemyError):
        return np.empty(0, np.str_)
    counts = Counter(item for time, items in shown for item in items if item not in noticed or time > noticed[item])
    return np.array(sorted(item for item, count in counts.items() if count >= enough), np.str_)


def _noticed(history: Interactions, now: datetime) -> dict[str, datetime]:
    """When something was last done with each item of the history: now where no time is known."""
    last = np.where(np.isnat(history.last), np.datetime64(now, "us"), history.last)
    return dict(zip(history.items[history.item].tolist(), last.tolist(), strict=True))


def _shown(ledger: Ledger, customer: str, since: datetime) -> list[tuple[datetime, list[str]]]:
    columns = (decisions.c.time, decisions.c.kind, decisions.c.chosen)
    with ledger.read() as connection:
        ids = ids_of(connection, customer)
        newest = select(*columns).where(decisions.c.customer.in_(ids), decisions.c.time >= since)
        rows = connection.execute(newest.order_by(decisions.c.time.desc()).limit(LOOKED)).all()
    return [(time, orjson.loads(chosen)) for time, kind, chosen in rows if kind in SHOWING]
