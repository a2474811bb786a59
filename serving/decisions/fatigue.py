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
Shown = list[tuple[datetime, list[str]]]
EACH = """
SELECT customer, time, kind, chosen FROM (
    SELECT customer, time, kind, chosen, row_number() OVER (PARTITION BY customer ORDER BY time DESC) AS place
    FROM decisions WHERE customer IN (ALL_OF_THEM) AND time >= ?
) AS ranked WHERE place <= ?
"""


def tired(state: State, who: Glance | None, history: Interactions, now: datetime) -> NDArray[np.str_]:
    """The items that this customer is tired of; none without consent, or where the ledger cannot be read."""
    if state.ledger is None or who is None or not may_tire(state, who):
        return NONE
    today = now.replace(tzinfo=None)
    try:
        shown = _shown(state.ledger, who.ids, today - timedelta(days=DAYS))
    except UNREADABLE:
        return NONE
    return tired_of(state, shown, history, now)


def may_tire(state: State, who: Glance) -> bool:
    """Whether there may be something that the customer is tired of."""
    enough = state.settings.recommender.fatigue
    return who.agreed and 0 < enough <= who.shown


def tired_of(state: State, shown: Shown, history: Interactions, now: datetime) -> NDArray[np.str_]:
    """The items that a customer with this history is tired of, who was shown this."""
    enough, noticed = state.settings.recommender.fatigue, _noticed(history, now.replace(tzinfo=None))
    counts = Counter(item for time, items in shown for item in items if item not in noticed or time > noticed[item])
    return np.array(sorted(item for item, count in counts.items() if count >= enough), np.str_)


def _noticed(history: Interactions, now: datetime) -> dict[str, datetime]:
    """When something was last done with each item of the history: now where no time is known."""
    last = np.where(np.isnat(history.last), np.datetime64(now, "us"), history.last)
    return dict(zip(history.items[history.item].tolist(), last.tolist(), strict=True))


def shown_each(state: State, customers: Sequence[str], now: datetime) -> dict[str, Shown]:
    """What each of these customers, who bear one id, was shown, by one query; nothing where it cannot be read."""
    found: dict[str, Shown] = {customer: [] for customer in customers}
    if state.ledger is None or not customers:
        return found
    values = (*found, now.replace(tzinfo=None) - timedelta(days=DAYS), LOOKED)
    try:
        rows = state.ledger.look(EACH.replace("ALL_OF_THEM", ", ".join("?" * len(found))), values)
    except UNREADABLE:
        return found
    for customer, time, kind, chosen in rows:
        if kind in SHOWING:
            found[customer].append((moment(time), orjson.loads(chosen)))
    return found


def _shown(ledger: Ledger, ids: Sequence[str], since: datetime) -> Shown:
    whose = f"customer IN ({', '.join('?' * len(ids))})"
    query = f"SELECT time, kind, chosen FROM decisions WHERE {whose} AND time >= ? ORDER BY time DESC LIMIT ?"
    rows = ledger.look(query, (*ids, since, LOOKED))
    return [(moment(time), orjson.loads(chosen)) for time, kind, chosen in rows if kind in SHOWING]
