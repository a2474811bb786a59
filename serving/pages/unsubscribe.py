"""Unsubscribe (RFC 8058): a GET shows what would happen, only a POST does it, and one is enough."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from features.consent import say
from features.ledger import Ledger
from features.workspace import Settings
from serving.pages.links import Link
from serving.pages.shell import section, shell, words

BUTTON = (
    '<form method="post"><input type="hidden" name="List-Unsubscribe" value="One-Click">'
    "<button>Unsubscribe</button></form>"
)


def shown(link: Link, settings: Settings) -> str:
    """The page before anything has happened."""
    return shell("Unsubscribe", section("", words(f"Stop {_what(link, settings)} from {settings.name}?"), BUTTON))


def posted(ledger: Ledger, link: Link, _form: Mapping[str, str], now: datetime) -> None:
    """The customer's word, whatever the form said: a mail program sends one field, a person may send none."""
    source, proof = "unsubscribe link", "a POST with the signed link of a message"
    say(ledger, link.customer, "marketing", granted=False, source=source, proof=proof, time=now, about=link.about)


def done(link: Link, settings: Settings) -> str:
    """The page afterwards."""
    told = words(f"You get no more {_what(link, settings)} from {settings.name}.")
    return shell("You are unsubscribed", f'<section class="done">{told}</section>')


def _what(link: Link, settings: Settings) -> str:
    """The messages that the link is about."""
    topic, about = link.about.topic, link.about
    named = f"“{settings.topics.get(topic, topic)}”" if topic else "messages"
    by = f" by {about.channel}" if about.channel else ""
    return f"{named}{by}" + (f" to {about.address}" if about.address else "")
