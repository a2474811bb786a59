"""Audience: the first content of a slot whose audience holds, and whether the customer is held out of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from features.conditions import Facts, holds, why
from features.decisions import Option
from features.slots import DEFAULT, Content, Slot
from serving.content.elements import held_out

TOLD = 3  # audiences that a reason names


@dataclass(frozen=True)
class Audience:
    """`content`: whose audience held; None: nobody's. `options`: what was asked, with why it did not hold."""

    content: Content | None
    probability: float
    options: tuple[Option, ...]
    reason: str
    held_out: bool = False

    @property
    def shown(self) -> Content | None:
        """The content that is shown; None: the default."""
        return None if self.held_out else self.content

    @property
    def key(self) -> str:
        """That of the content that is shown."""
        return self.shown.key if self.shown else DEFAULT


def nobody(why_not: str, *, held_out: bool = False) -> Audience:
    """The default content, because nothing may be asked, or who is asked is of the global holdout."""
    return Audience(None, 1.0, (_option(DEFAULT, 1.0),), f"the default content: {why_not}", held_out)


def audience(key: str, slot: Slot, unit: str, facts: Facts) -> Audience:
    """What this customer or visitor is shown of the slot."""
    content = next((one for one in slot.contents if one.audience is None or holds(one.audience, facts)), None)
    barred = tuple(_barred(slot, content, facts))
    if content is None:
        said = "; ".join(f"{option.key.partition(':')[2]}: {option.reason}" for option in barred[:TOLD])
        told = f"no audience holds: {said}" if said else "there is no other"
        return Audience(None, 1.0, (*barred, _option(DEFAULT, 1.0)), f"the default content: {told}")
    held, share = held_out(key, slot.holdout, unit), slot.holdout
    reason = "for everybody" if content.audience is None else why(content.audience, facts)
    reason = f"kept out to measure {content.key}: {reason}" if held else f"{content.key}: {reason}"
    options = (*barred, _option(content.key, 1 - share), *([_option(DEFAULT, share)] if share else []))
    return Audience(content, share if held else 1 - share, options, reason, held)


def _barred(slot: Slot, until: Content | None, facts: Facts) -> Iterator[Option]:
    """The contents before this one, which are for others."""
    for one in slot.contents:
        if one is until:
            return
        if one.audience is not None:
            yield Option(f"content:{one.key}", eligible=False, reason=why(one.audience, facts))


def _option(key: str, probability: float) -> Option:
    return Option(f"content:{key}", probability=probability)
