"""Why this? What is recommended to a customer, which signals that comes from and whose they are, with a switch per
purpose: who switches one off sees at once what is recommended without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from features.consent import PURPOSES, allows, say
from features.events import ADDED, CLICKED, ENGAGED, IDENTIFIED, OPENED, ORDERED, REFUNDED, VIEWED
from features.history import read_events
from features.ledger import Ledger
from features.past import people
from features.workspace import Workspace
from serving.decisions.histories import person
from serving.decisions.recommend import recommend
from serving.decisions.requests import RecommendRequest
from serving.decisions.state import State
from serving.pages.links import Link
from serving.pages.shell import SWITCHED, listed, pair, section, shell, switch, words

SHOWN = 5
NAMES = {
    ORDERED: "What you bought",
    REFUNDED: "What you sent back",
    VIEWED: "What you looked at",
    ADDED: "What you put into your basket",
    OPENED: "E-mails that you opened",
    CLICKED: "Links in e-mails that you clicked",
    ENGAGED: "How long you read pages",
    IDENTIFIED: "What you told about yourself",
}
MEANT = {
    "personalisation": ("Personal recommendations", "Choose what you see by what you did"),
    "marketing": ("Messages", "Send you offers and news"),
    "analytics": ("Statistics", "Count you in reports that name nobody"),
    "ads": ("Advertising", "Show you our ads elsewhere"),
}


@dataclass(frozen=True)
class Signal:
    """What somebody did, from one source: how often, and when last."""

    name: str
    source: str
    count: int
    last: datetime


def shown(state: State, workspace: Workspace, link: Link, now: datetime) -> str:
    """The page as of now."""
    assert state.ledger is not None  # noqa: S101  # there is a workspace; this tells the type checker
    agreed = {one: allows(state.ledger, link.customer, purpose=one, as_of=now) for one in PURPOSES}
    switches = [switch("purpose", one, *MEANT[one], on=agreed[one]) for one in PURPOSES]
    return shell(
        "Why do I see this?",
        section("What is recommended to you", *_recommended(state, link, now)),
        section("What that comes from", *_signals(state, workspace, link, now, agreed=agreed["personalisation"])),
        section("What we may do with it", listed(switches)),
    )


def posted(ledger: Ledger, link: Link, form: Mapping[str, str], now: datetime) -> None:
    """Adds the customer's word on one purpose."""
    purpose, granted = form.get("purpose"), form.get("granted")
    if purpose not in PURPOSES or granted not in ("yes", "no"):
        raise ValueError("this is no choice that the page offers")
    say(ledger, link.customer, purpose, granted=granted == "yes", source="why page", proof=SWITCHED, time=now)


def signals(state: State, workspace: Workspace, customer: str, now: datetime) -> list[Signal]:
    """What is known of the customer before now, by name and source, the most frequent first."""
    rows = people(read_events(workspace).of_person(person(state, customer), now))
    counted = rows.group_by("name", "source").aggregate(count=rows.count(), last=rows.time.max())
    found = [Signal(**row) for row in counted.to_pyarrow().to_pylist()]
    return sorted(found, key=lambda one: (-one.count, one.name, one.source))


def _recommended(state: State, link: Link, now: datetime) -> list[str]:
    _, found = recommend(state, RecommendRequest(customer=link.customer, k=SHOWN), "page", now)  # not journalled
    if not found["items"]:
        return [words("Nothing is recommended at the moment.")]
    rows = [pair(str(one["name"]), one["reason"]["text"]) for one in found["items"]]
    note = [words("These are not chosen for you: they are what is popular.", "soft")] if found["fallback"] else []
    return [*note, listed(rows)]


def _signals(state: State, workspace: Workspace, link: Link, now: datetime, *, agreed: bool) -> list[str]:
    found = signals(state, workspace, link.customer, now)
    if not found:
        return [words("We know of nothing that you did.")]
    used = "" if agreed else "None of this is used for what you see, because personal recommendations are off."
    rows = [
        pair(NAMES.get(one.name, one.name), f"{_often(one.count)} on {one.last:%d %B %Y}; from {one.source}")
        for one in found
    ]
    return [*([words(used, "soft")] if used else []), listed(rows)]


def _often(count: int) -> str:
    return "once," if count == 1 else f"{count:,} times, last"
