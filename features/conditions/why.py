"""Why: what decided that a condition holds for somebody, or does not, in a short sentence."""

from __future__ import annotations

from datetime import datetime, timedelta

from features.catalog import plain
from features.conditions.comparisons import Comparison, Range
from features.conditions.facts import Facts, at_hand, holds, meant
from features.conditions.grammar import (
    AllOf,
    AnyOf,
    Attribute,
    Condition,
    Happened,
    Last,
    Named,
    Not,
    Score,
    Trait,
)

NAMED = 3  # parts, or values of a list, that a sentence names
SHOWN = 40  # characters of a value


def why(condition: Condition, facts: Facts) -> str:
    """The part that decided, with what was found: `city 'Paris' is not 'Lyon'`.

    Of parts that decided together (all that hold, none that does) the first are named.
    """
    match condition:
        case AllOf() | AnyOf():
            one_is_enough = isinstance(condition, AnyOf)
            alone = next((part for part in condition.parts if holds(part, facts) == one_is_enough), None)
            return why(alone, facts) if alone else _together(condition.parts, facts)
        case Not():
            return why(condition.part, facts)
        case Named():
            return f"{'' if holds(condition, facts) else 'not '}in {condition.segment}: {why(meant(condition), facts)}"
        case _:
            found, asked = _looked(condition, facts)
            return f"{found} is {'' if holds(condition, facts) else 'not '}{asked}"


def _together(parts: tuple[Condition, ...], facts: Facts) -> str:
    more = [f"{len(parts) - NAMED} more"] if len(parts) > NAMED else []
    return " and ".join([why(part, facts) for part in parts[:NAMED]] + more)


def _looked(leaf: Condition, facts: Facts) -> tuple[str, str]:
    """What was found, and what was asked for."""
    match leaf:
        case Happened():
            counted, worth = f"{facts.count(leaf)} x {_happened(leaf)}", f" for {facts.money(leaf):g}"
            if leaf.money is None:
                return counted, _asked(leaf.count)
            return counted + worth, f"{_asked(leaf.count)} for {_asked(leaf.money)}"
        case Trait():
            return f"{leaf.trait} {_shown(facts.trait(leaf.trait))}", _asked(leaf)
        case Score():
            return f"{leaf.score} {_shown(plain(facts.scores.get(leaf.score)))}", _asked(leaf)
        case Attribute():
            return f"{leaf.item} {_shown(at_hand(facts.item, leaf.item))}", _asked(leaf)
    raise TypeError(f"{leaf!r} compares nothing")


def _happened(leaf: Last) -> str:
    where = [f"{name} {_asked(test)}" for name, test in leaf.where.items()]
    said = leaf.event + (_window(leaf) if isinstance(leaf, Happened) else "")
    said += f" where {' and '.join(where)}" if where else ""
    since = leaf.since if isinstance(leaf, Happened) else None
    return said if since is None else f"{said} since {since if isinstance(since, datetime) else _happened(since)}"


def _window(leaf: Happened) -> str:
    said = f" of the same {leaf.same}" if leaf.same is not None else ""
    said += f" within {_span(leaf.within)}" if leaf.within is not None else ""
    return said + (f" before {_span(leaf.before)} ago" if leaf.before is not None else "")


def _asked(test: Range) -> str:
    said = [f"at least {test.at_least:g}"] if test.at_least is not None else []
    said += [f"at most {test.at_most:g}"] if test.at_most is not None else []
    if isinstance(test, Comparison):
        said += [_shown(test.is_)] if test.is_ is not None else []
        said += [_listed(test.in_)] if test.in_ is not None else []
        said += ["known" if test.exists else "missing"] if test.exists is not None else []
    return " and ".join(said)


def _listed(values: tuple[object, ...]) -> str:
    more = [f"{len(values) - NAMED} more"] if len(values) > NAMED else []
    return "one of " + ", ".join([_shown(value) for value in values[:NAMED]] + more)


def _shown(value: object) -> str:
    if value is None:
        return "(missing)"
    return f"{value:g}" if isinstance(value, float) else f"{value!r:.{SHOWN}}"


def _span(window: timedelta) -> str:
    """`30d`, as it is written."""
    minutes = window // timedelta(minutes=1)
    size, unit = next((size, unit) for size, unit in ((1440, "d"), (60, "h"), (1, "m")) if minutes % size == 0)
    return f"{minutes // size}{unit}"
