"""Histories: whose past a recommendation is made for, and why it is not the customer's own."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.exc import SQLAlchemyError

from features.consent import allows
from features.events import ORDERED, REFUNDED
from features.identity import ids_of
from features.interactions import ROUNDING, Interactions, event_weights
from features.workspace import InteractionSettings
from serving.decisions.requests import HistoryEntry
from serving.decisions.state import State
from training.recommenders.base import Recommender
from training.release import Release

POPULAR = "what is popular"
DAY = np.timedelta64(1, "D")


def history_of(
    state: State,
    release: Release,
    customer: str | None,
    given: Sequence[str | HistoryEntry] | None,
    now: datetime,
    *,
    agreed: bool,
) -> tuple[Interactions, str | None]:
    """The history to answer for: the one that was given, else that of a customer who agreed; and why it is neither."""
    settings = release.weighed or state.settings.interactions  # as the model learned it, also where it was tuned
    nothing = described([], settings, now)
    if given is not None:
        history = described(given, settings, now)
        return history, _unheard(history, release.recommender)
    if customer is None:
        return nothing, f"no customer and no history were given: {POPULAR}"
    known = release.interactions
    ids = [] if known is None else [one for one in person(state, customer) if one in known.position]
    if known is None or not ids:
        return nothing, f"the customer is not known to the model: {POPULAR}"
    if not agreed:
        return nothing, f"the customer has not agreed to personalisation: {POPULAR}"
    return known.rows(ids[:1]), None


def may(state: State, customer: str, now: datetime) -> bool:
    """Consent that cannot be read counts as none."""
    if state.ledger is None:
        return False
    try:
        return allows(state.ledger, customer, purpose="personalisation", as_of=now)
    except (OSError, RuntimeError, SQLAlchemyError):
        return False


def person(state: State, customer: str) -> list[str]:
    """Every id of the customer's person, the one that it bears first; the customer alone where that cannot be read."""
    if state.ledger is None:
        return [customer]
    try:
        with state.ledger.read() as connection:
            return ids_of(connection, customer)
    except (OSError, RuntimeError, SQLAlchemyError):
        return [customer]


def described(given: Sequence[str | HistoryEntry], settings: InteractionSettings, now: datetime) -> Interactions:
    """The history of one customer who did all this; weights as in `Interactions.build`, halved with the time."""
    entries = [entry if isinstance(entry, HistoryEntry) else HistoryEntry(item=entry) for entry in given]
    moment = np.datetime64(now.replace(tzinfo=None), "us")
    time = np.minimum(np.array([entry.time for entry in entries], "M8[us]"), moment)  # NaT where not known
    items, item = np.unique(np.array([entry.item for entry in entries], np.str_), return_inverse=True)
    age = np.where(np.isnat(time), 0.0, (moment - time) / DAY)
    weight = np.bincount(item, _weights(entries, settings) * 0.5 ** (age / settings.half_life_days), len(items))
    bought = np.array([(entry.event == ORDERED) - (entry.event == REFUNDED) for entry in entries], float)
    purchases = np.maximum(np.bincount(item, bought, len(items)), 0)
    kept = np.flatnonzero(weight > ROUNDING)
    first, last = np.full((2, len(items)), np.datetime64("NaT"), "M8[us]")
    np.fmin.at(first, item, time)
    np.fmax.at(last, item, time)
    return Interactions(
        np.array([""]),
        items,
        np.zeros(len(kept), np.int32),
        kept.astype(np.int32),
        weight[kept].astype(np.float32),
        purchases[kept].astype(np.float32),
        first[kept],
        last[kept],
    )


def _weights(entries: Sequence[HistoryEntry], settings: InteractionSettings) -> NDArray[np.float64]:
    """What each entry counts; an event that counts nothing is an error, because it would be left out unsaid."""
    weights = event_weights(settings)
    for place, entry in enumerate(entries):
        if entry.event not in weights:
            known = ", ".join(map(repr, sorted(weights)))
            raise ValueError(f"history.{place}.event == {entry.event!r:.80}, must be one of {known}")
    return np.array([weights[entry.event] for entry in entries], float)


def _unheard(history: Interactions, model: Recommender | None) -> str | None:
    """Why a history that was given says nothing to the model."""
    if not len(history):
        return f"the history is empty: {POPULAR}"
    if (
        model is not None and not model.chance_of_repeat(history.items[history.item]).any()
    ):  # above 0 for every item that is known
        return f"the model knows no item of the history: {POPULAR}"
    return None
