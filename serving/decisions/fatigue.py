"""Fatigue: what a customer was shown again and again and took no notice of comes after everything else.

    shown     in an answer to this customer, by the journal, in the last `DAYS` days and after the customer last did
              anything with the item that the history knows of
    tired     shown in `recommender.fatigue` answers (attune.yaml; 0: never)

One query by customer and time, of at most `LOOKED` decisions, only with the customer's consent and where there are as
many decisions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np
import orjson
from numpy.typing import NDArray

from features.interactions import Interactions
from features.ledger import Ledger, moment
from serving.decisions.glance import DAYS, LOOKED, UNREADABLE, Glance
from serving.decisions.state import State

SHOWING = ("recommend", "basket")
NONE = np.empty(0, np.str_)


def tired(state: State, who: Glance | None, history: Interactions, now: datetime) -> NDArray[np.str_]:
    """The items that this customer is tired of; none without consent, or where the ledger cannot be read."""
    enough = state.settings.recommender.fatigue
    if who is None or not who.agreed or state.ledger is None or enough == 0 or who.shown < enough:
        return NONE
    today = now.replace(tzinfo=None)
    noticed = _noticed(history, today)
    try:
        shown = _shown(state.ledger, who.ids, today - timedelta(days=DAYS))
    except UNREADABLE:
        return NONE
    counts = Counter(item for time, items in shown for item in items if item not in noticed or time > noticed[item])
    return np.array(sorted(item for item, count in counts.items() if count >= enough), np.str_)


def _noticed(history: Interactions, now: datetime) -> dict[str, datetime]:
    """When something was last done with each item of the history: now where no time is known."""
    last = np.where(np.isnat(history.last), np.datetime64(now, "us"), history.last)
    return dict(zip(history.items[history.item].tolist(), last.tolist(), strict=True))


def _shown(ledger: Ledger, ids: Sequence[str], since: datetime) -> list[tuple[datetime, list[str]]]:
    whose = f"customer IN ({', '.join('?' * len(ids))})"
    query = f"SELECT time, kind, chosen FROM decisions WHERE {whose} AND time >= ? ORDER BY time DESC LIMIT ?"
    rows = ledger.look(query, (*ids, since, LOOKED))
    return [(moment(time), orjson.loads(chosen)) for time, kind, chosen in rows if kind in SHOWING]
