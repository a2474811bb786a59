"""Placed: a request with what its placement says of what it does not say itself."""

from __future__ import annotations

from typing import TypeVar

from features.conditions.comparisons import nearest
from features.placements import DEFAULT, FILE, Placement
from serving.decisions.requests import Placed
from serving.decisions.state import State

Asked = TypeVar("Asked", bound=Placed)


def placed(state: State, request: Asked) -> tuple[Asked, Placement]:
    """The request and its placement; without one the request as it is, and what holds where nothing is said."""
    key = request.placement
    if key is None:
        return request, DEFAULT
    placement = state.placements.get(key)
    if placement is None:
        raise ValueError(f"placement == {key!r:.80}, there is none in {FILE}{nearest(key, state.placements)}")
    open_ = type(request).model_fields.keys() - request.model_fields_set
    return request.model_copy(update={name: one for name, one in placement.said.items() if name in open_}), placement
