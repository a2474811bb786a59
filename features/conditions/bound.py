"""Bound: conditions that name segments, with what each of these means."""

from __future__ import annotations

from collections.abc import Mapping

from features.conditions.comparisons import nearest
from features.conditions.grammar import MAX_DEPTH, MAX_PARTS, AllOf, AnyOf, Condition, Named, Not, leaves


def bound(condition: Condition, segments: Mapping[str, Condition]) -> Condition:
    """The condition with the conditions of the segments that it names; these are bound already."""
    known = _bound(condition, segments)
    depth, parts = _size(known)
    if depth > MAX_DEPTH or parts > MAX_PARTS:
        asked = f"{depth} deep with {parts:,} parts"
        raise ValueError(f"is, with its segments, {asked}; at most {MAX_DEPTH} deep with {MAX_PARTS} parts")
    return known


def all_bound(conditions: Mapping[str, Condition]) -> dict[str, Condition]:
    """Segments that may name each other, each bound; refused where some name each other in a circle."""
    done: dict[str, Condition] = {}
    for name in conditions:
        _bind(name, conditions, done, ())
    return {name: done[name] for name in conditions}


def _bind(name: str, all_: Mapping[str, Condition], done: dict[str, Condition], above: tuple[str, ...]) -> None:
    if name in above:
        circle = " -> ".join([*above[above.index(name) :], name])
        raise ValueError(f"segments ask for each other in a circle: {circle}")
    if name in done:
        return
    if len(above) > MAX_DEPTH:
        raise ValueError(f"segments name each other more than {MAX_DEPTH} deep: {' -> '.join(above)}")
    for leaf in leaves(all_[name]):
        if isinstance(leaf, Named):
            if leaf.segment not in all_:
                raise ValueError(f"segment {name!r}: {_unknown(leaf.segment, all_)}")
            _bind(leaf.segment, all_, done, (*above, name))
    try:
        done[name] = bound(all_[name], done)
    except ValueError as error:
        raise ValueError(f"segment {name!r}: {error}") from None


def _bound(condition: Condition, segments: Mapping[str, Condition]) -> Condition:
    match condition:
        case AllOf() | AnyOf():
            return condition.model_copy(update={"parts": tuple(_bound(part, segments) for part in condition.parts)})
        case Not():
            return condition.model_copy(update={"part": _bound(condition.part, segments)})
        case Named():
            if condition.segment not in segments:
                raise ValueError(_unknown(condition.segment, segments))
            return condition.meaning(segments[condition.segment])
        case _:
            return condition


def _unknown(name: str, known: Mapping[str, Condition]) -> str:
    return f"there is no segment {name!r}{nearest(name, known)}"


def _size(condition: Condition) -> tuple[int, int]:
    """How deep the condition is, and how many parts it has, itself included."""
    match condition:
        case AllOf() | AnyOf():
            inner = [_size(part) for part in condition.parts]
        case Not():
            inner = [_size(condition.part)]
        case Named():
            inner = [_size(condition.who)] if condition.who is not None else []
        case _:
            inner = []
    return 1 + max((depth for depth, _parts in inner), default=0), 1 + sum(parts for _depth, parts in inner)
