"""Preferences: which messages a customer wants, topic by topic."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from features.consent import About, allows, say
from features.ledger import Ledger
from features.workspace import Settings
from serving.pages.links import Link
from serving.pages.shell import SWITCHED, listed, section, shell, switch, words

EVERY = "*"  # stands for all topics in the form


def shown(ledger: Ledger, link: Link, settings: Settings, now: datetime) -> str:
    """The page: a switch for each topic of `attune.yaml`, and one for all."""
    rows = [_row(ledger, link, topic, name, now) for topic, name in settings.topics.items()]
    every = _row(ledger, link, EVERY, "All messages", now)
    intro = words(f"What {settings.name} may send you. A switch takes effect at once.", "soft")
    return shell("Your messages", intro, *([section("Topics", listed(rows))] if rows else []), section("", every))


def posted(ledger: Ledger, link: Link, form: Mapping[str, str], settings: Settings, now: datetime) -> None:
    """Adds the customer's word on one topic, or on all."""
    topic, granted = form.get("topic"), form.get("granted")
    if topic not in {EVERY, *settings.topics} or granted not in ("yes", "no"):
        raise ValueError("this is no choice that the page offers")
    say(
        ledger,
        link.customer,
        "marketing",
        granted=granted == "yes",
        source="preference page",
        proof=SWITCHED,
        time=now,
        about=_about(link, topic or EVERY),
    )


def _about(link: Link, topic: str) -> About:
    return replace(link.about, topic=None if topic == EVERY else topic)


def _row(ledger: Ledger, link: Link, topic: str, name: str, now: datetime) -> str:
    on = allows(ledger, link.customer, purpose="marketing", as_of=now, about=_about(link, topic))
    by = f"by {link.about.channel}" if link.about.channel else "on every channel"
    return switch("topic", topic, name, by, on=on)
