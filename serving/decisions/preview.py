"""Preview: what a slot shows somebody now, as lines; nothing is journalled and nothing is given out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from features.workspace import Workspace
from serving.decisions.decide import decide
from serving.decisions.requests import DecideRequest
from serving.decisions.seen import Seen
from serving.decisions.state import State


def preview(workspace: Workspace, request: DecideRequest, now: datetime) -> Iterator[str]:
    """The texts, the items and the offer, and why these."""
    state = State.read(workspace)
    seeing = replace(state, seen=Seen.of(workspace, state.conditions))
    _, answer = decide(seeing, request, "preview", now)
    yield f"content       {answer['content']}"
    yield f"reason        {answer['reason']}"
    yield f"fallback      {answer['fallback'] or 'none'}"
    for name, one in answer["elements"].items():
        yield f"{name:<13} {one['text']}    ({one['variant']}, probability {one['probability']:.6g})"
    yield f"items         {', '.join(one['item'] for one in answer['items']) or 'none'}"
    yield f"offer         {answer['offer'] or 'none'}"
