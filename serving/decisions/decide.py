"""Decide: what a slot shows: content by the first audience that holds, with its items, its offer and its texts.

    customer -> consent, global holdout -> facts -> first content whose audience holds -> holdout -+-> items, offer
                   | none    | held                        | none                           | held +-> a variant each
                   +---------+-----------------------------+--------------------------------+----> the default content

One decision holds all of it. Its probability is that of the whole: of the content, the offer and each variant.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from features.conditions.comparisons import nearest
from features.decisions import HELD, Decision, Option
from features.holdout import REASON, SALT, held_out
from features.slots import FOLDER, Content
from serving.content.audience import Audience, audience, nobody
from serving.content.elements import Drawn, drawn, unchanged
from serving.content.given import personal, shown
from serving.content.ready import Ready
from serving.content.worded import Worded, worded
from serving.decisions.asking import Asking, asking
from serving.decisions.limits import next_code
from serving.decisions.recommend import Answer, facts
from serving.decisions.requests import DecideRequest
from serving.decisions.state import State
from serving.decisions.wanted import Part, given, items_of, offer_of

POLICY = "content"


class UnknownSlotError(ValueError):
    """The workspace has no such slot."""


@dataclass(frozen=True)
class Found:
    """The parts of one content, before they are worded."""

    ready: Ready
    request: DecideRequest
    who: Asking
    audience: Audience
    items: Part
    offer: Part
    elements: tuple[Drawn, ...]

    @property
    def probability(self) -> float:
        parts = [self.audience.probability, self.items.probability, self.offer.probability]
        return math.prod([*parts, *(one.probability for one in self.elements)])

    @property
    def options(self) -> tuple[Option, ...]:
        variants = [option for one in self.elements for option in one.options]
        return (*self.audience.options, *self.items.options, *self.offer.options, *variants)

    @property
    def chosen(self) -> tuple[str, ...]:
        drawn = [one.key for one in self.elements]
        return (f"content:{self.audience.key}", *self.items.chosen, *self.offer.chosen, *drawn)


def decide(state: State, request: DecideRequest, decision_id: str, now: datetime) -> tuple[Decision, Answer]:
    """The slot's content for this customer or visitor."""
    found = _found(state, request, decision_id, now)
    offer = given(state, found.offer)
    code = None if offer is None else next_code(state, offer, request.customer, now)
    said = None if offer is None else {"key": offer.key, "name": offer.name, "channel": offer.channel, "code": code}
    texts = worded(found.ready, found.audience.key, found.elements, _known(state, found, said))
    context = {"offer": None if offer is None else offer.key, "given": texts.given} | ({"code": code} if code else {})
    decision = _decision(state, found, texts, context, decision_id, now)
    return decision, _answer(decision, found, texts)


def slot_of(state: State, key: str) -> Ready:
    """The workspace's slot of this key."""
    if key not in state.slots:
        raise UnknownSlotError(f"slot == {key!r:.80}, there is none in {FOLDER}/{nearest(key, state.slots)}")
    return state.slots[key]


def _found(state: State, request: DecideRequest, decision_id: str, now: datetime) -> Found:
    ready = slot_of(state, request.slot)
    who = asking(state, ready.slot.purpose, request, now)
    seen = _seen(state, ready, who)
    content, default = seen.shown, seen.shown is None
    wanted = content.items if content else ready.slot.items
    items = items_of(state, wanted, request, decision_id, now, default=default)
    offer = offer_of(state, content.offers if content else (), request, decision_id, now)
    elements = tuple(_drawn(ready, name, content, who) for name in ready.slot.elements)
    return Found(ready, request, who, seen, items, offer, elements)


def _seen(state: State, ready: Ready, who: Asking) -> Audience:
    if who.facts is None:
        return nobody(str(who.nobody))
    if held_out(who.unit, state.settings.holdout):
        return nobody(REASON, held_out=True)
    return audience(ready.key, ready.slot, who.unit, who.facts)


def _held(seen: Audience) -> str | None:
    """The holdout that decided: that of everything, or the slot's, which is named by the content that is measured."""
    return None if not seen.held_out else seen.content.key if seen.content else SALT


def _drawn(ready: Ready, element: str, content: Content | None, who: Asking) -> Drawn:
    variants = content.elements.get(element, ()) if content else ()
    if not variants or who.facts is None:
        return unchanged(element)
    return drawn(ready.key, element, variants, who.unit, who.facts)


def _known(state: State, found: Found, offer: dict[str, Any] | None) -> dict[str, Any]:
    """What texts may know: nothing of the customer in the default content."""
    items = found.items.answer["items"] if found.items.answer else []
    known: dict[str, Any] = {"items": shown(items, state.catalog), "offer": offer}
    if found.audience.shown is None or found.who.facts is None:
        return known
    return known | personal(found.who.facts, found.ready.segments, found.ready.roots)


def _decision(
    state: State, found: Found, texts: Worded, context: dict[str, Any], decision_id: str, now: datetime
) -> Decision:
    request, parts = found.request, (found.items, found.offer)
    models = [part.decision for part in parts if part.decision]
    said = [found.who.nobody and found.audience.reason, *(part.fallback for part in parts), *texts.fallbacks]
    asked: dict[str, Any] = {"slot": request.slot, HELD: _held(found.audience)}
    asked |= {"item": request.item, "cart": request.cart, "anonymous": request.customer is None}
    return Decision(
        decision_id=decision_id,
        kind="decide",
        time=now.replace(tzinfo=None),
        customer=request.customer or request.anonymous,  # an erasure of the device finds the row by its name
        options=found.options,
        chosen=found.chosen,
        probability=found.probability,
        policy=POLICY,
        model=models[0].model if models else None,
        model_version=models[0].model_version if models else None,
        workspace_hash=state.workspace_hash,
        reason=found.audience.reason,
        fallback="; ".join(filter(None, said)) or None,
        context=asked | context | {"models": [f"{one.model} {one.model_version}" for one in models]},
    )


def _answer(decision: Decision, found: Found, texts: Worded) -> Answer:
    elements = {
        one.element: {"text": texts.texts[one.element], "variant": one.variant, "probability": one.probability}
        for one in found.elements
    }
    return {
        "slot": found.ready.key,
        "kind": found.ready.slot.kind,
        "content": found.audience.key,
        "held_out": found.audience.held_out,
        "elements": elements,
        "items": found.items.answer["items"] if found.items.answer else [],
        "offer": decision.context["offer"],
        "code": None,  # is known when the decision is written
        **facts(decision),
    }
