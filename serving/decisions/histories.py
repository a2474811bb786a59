"""Histories: whose past a recommendation is made for, and why it is not the customer's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from features.identity import ids_of
from features.interactions import Interactions, event_weights
from features.ledger import Ledger
from features.workspace import InteractionSettings
from serving.decisions.folded import Did, folded, history
from serving.decisions.glance import UNREAD, UNREADABLE, Glance, glance
from serving.decisions.lately import lately, lately_each, visited
from serving.decisions.pace import LetDownError, asked_of
from serving.decisions.requests import HistoryEntry
from serving.decisions.state import State
from training.release import Release

TOGETHER = 100  # customers of whom what they did is read at once: each may have done a thousand things


def history_of(
    state: State,
    release: Release | None,
    who: Glance | None,
    given: Sequence[str | HistoryEntry] | None,
    now: datetime,
) -> tuple[Interactions, str | None]:
    """The history to answer for: the one that was given, else that of a customer who agreed; and why it is neither."""
    settings = weighing(state, release)
    if given is not None:
        told = described(given, settings, now)
        return told, _unheard(told, release)
    if who is None:
        return described([], settings, now), "no customer and no history were given"
    known = _known(release, who.ids)
    since = None if known is None or release is None else release.as_of
    try:
        did = _since(state, who, since, settings) if who.agreed else []
    except UNREADABLE:
        return _unread(known, settings, now)
    return _lived(state, release, known, who, did, now)


def histories_each(
    state: State, release: Release, looks: Sequence[Glance], now: datetime
) -> list[tuple[Interactions | None, str | None]]:
    """What `history_of` gives for each of these customers, who bear one id; None for what the release knows as it is.

    What they did since is looked up for all at once.
    """
    settings = weighing(state, release)
    some, known = [who.ids[0] for who in looks], release.interactions
    there = set() if known is None else {one for one, row in zip(some, known.places(some), strict=True) if row >= 0}
    active = {who.ids[0]: release.as_of if who.ids[0] in there else None for who in looks if who.agreed and who.did}
    did = _since_each(state, active, settings)
    found: list[tuple[Interactions | None, str | None]] = []
    for who in looks:
        since = did.get(who.ids[0], [])
        if since is None:
            found.append(_unread(_known(release, who.ids), settings, now))
            continue
        plain = who.agreed and who.ids[0] in there and not since
        found.append((None, None) if plain else _lived(state, release, _known(release, who.ids), who, since, now))
    return found


def person(state: State, customer: str) -> list[str]:
    """Every id of the customer's person, the one that it bears first; the customer alone where that cannot be read."""
    if state.ledger is None:
        return [customer]
    try:
        with state.ledger.read() as connection:
            return ids_of(connection, customer)
    except UNREADABLE:
        return [customer]


def described(given: Sequence[str | HistoryEntry], settings: InteractionSettings, now: datetime) -> Interactions:
    """The history of one customer who did all this."""
    entries = [entry if isinstance(entry, HistoryEntry) else HistoryEntry(item=entry) for entry in given]
    _check(entries, settings)
    return history([Did(entry.item, entry.event, entry.time) for entry in entries], settings, now)


def _check(entries: Sequence[HistoryEntry], settings: InteractionSettings) -> None:
    """An event that counts nothing is an error, because it would be left out unsaid."""
    weights = event_weights(settings)
    for place, entry in enumerate(entries):
        if entry.event not in weights:
            known = ", ".join(map(repr, sorted(weights)))
            raise ValueError(f"history.{place}.event == {entry.event!r:.80}, must be one of {known}")


def history_on(state: State, release: Release | None, device: str, now: datetime) -> tuple[Interactions, str | None]:
    """The history of a device on which nobody has identified, with the consent given there; and why it says nothing."""
    settings = weighing(state, release)
    who = glance(state, device, now)
    if state.ledger is None or not who.agreed:
        why = "what the visitor agreed to cannot be read"
        return described([], settings, now), why if who.unread else "the visitor has not agreed to personalisation"
    try:
        did = visited(state.ledger, device)
    except UNREADABLE:
        return described([], settings, now), "what the visitor did cannot be read"
    told = history(_weighing(did, settings), settings, now)
    return told, _unheard(told, release)


def weighing(state: State, release: Release | None) -> InteractionSettings:
    """How events weigh: as the model learned it, also where it was tuned."""
    return (None if release is None else release.weighed) or state.settings.interactions


def _known(release: Release | None, ids: Sequence[str]) -> Interactions | None:
    """What the release knows of the person who bears these ids."""
    known = None if release is None else release.interactions
    rows = [] if known is None else [row for one in ids if (row := known.place(one)) >= 0]
    return known.between(rows[0], rows[0] + 1) if known is not None and rows else None


def _lived(
    state: State, release: Release | None, known: Interactions | None, who: Glance, did: Sequence[Did], now: datetime
) -> tuple[Interactions, str | None]:
    """What is known with all that was done since, of a customer who agreed; and why it is nothing of that."""
    settings = weighing(state, release)
    if who.unread:
        return described([], settings, now), UNREAD
    if not who.agreed:
        why = "is not known to the model" if known is None else "has not agreed to personalisation"
        return described([], settings, now), f"the customer {why}"
    if known is not None:
        return folded(known, did, settings, now), None
    if not did:
        return described([], settings, now), "the customer is not known to the model"
    lived = history(did, settings, now)
    return lived, _unheard(lived, release)


def _unread(known: Interactions | None, settings: InteractionSettings, now: datetime) -> tuple[Interactions, str]:
    """The history of a customer of whom nobody can say what was done since; what is known was at least bought."""
    told = described([], settings, now) if known is None else folded(known, [], settings, now)
    return told, "what the customer did lately cannot be read"


def _since(state: State, who: Glance, known: datetime | None, settings: InteractionSettings) -> list[Did]:
    """What this person did since, as far as it weighs."""
    if state.ledger is None or not who.did:
        return []
    return _weighing(lately(state.ledger, who.ids, known), settings)


def _since_each(
    state: State, known: Mapping[str, datetime | None], settings: InteractionSettings
) -> dict[str, list[Did] | None]:
    """The same of each of these customers; None of whom it cannot be read."""
    found: dict[str, list[Did] | None] = {}
    customers = list(known)
    for start in range(0, len(customers) if state.ledger else 0, TOGETHER):
        some = {customer: known[customer] for customer in customers[start : start + TOGETHER]}
        try:
            did = lately_each(cast(Ledger, state.ledger), some)
        except UNREADABLE:
            return found | dict.fromkeys(customers[start:])
        found |= {customer: _weighing(did[customer], settings) for customer in some}
    return found


def _weighing(did: Sequence[Did], settings: InteractionSettings) -> list[Did]:
    """What was done, as far as it weighs."""
    weights = event_weights(settings)
    return [one for one in did if one.event in weights]


def _unheard(history: Interactions, release: Release | None) -> str | None:
    """Why a history that was given says nothing to the model."""
    if not len(history):
        return "the history is empty"
    model = None if release is None else release.recommender
    try:  # above 0 for every item that is known
        items = history.items[history.item]
        unknown = model is not None and not asked_of(model, lambda: model.chance_of_repeat(items)).any()
    except LetDownError:  # the step that asks it next says so
        return None
    return "the model knows no item of the history" if unknown else None
