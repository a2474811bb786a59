"""Breakdowns of an impact: the whole, and its months, channels, campaigns and segments, as rows of a report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from serving.experiments.ratio import chi_square
from serving.impact.incremental import Key, Past, Said, Sums, discovered, summed, told
from serving.impact.orders import EARLIER
from serving.impact.period import Period
from serving.impact.population import Inside

if TYPE_CHECKING:
    import ibis.expr.types as ir

MOST = 50  # rows of a breakdown; what is smaller is one row
OTHERS = "all others"
EMPTY = Sums({}, 0.0)


@dataclass(frozen=True)
class Known:
    """All that increments are computed from: `facts` of `orders`, who is treated, and their own past.

    `counts`: customers by whether they are treated; `margin`: whether the catalogue tells what an item earns.
    """

    facts: ir.Table
    people: ir.Table
    counts: Mapping[bool, int]
    before: Past
    margin: bool


def whole(known: Known) -> Said:
    """The row of everything."""
    (found,) = _cells(known, known.facts, []).values() or [EMPTY]
    return _row(known, (None,), found, netted=True)


def by_month(known: Known, when: Period) -> list[Said]:
    """A row per month of the period, also where nothing was ordered."""
    found = _cells(known, known.facts, ["month"])
    return _told(_row(known, (name,), found.get((at,), EMPTY), netted=True) for at, name in enumerate(when.months))


def by_origin(known: Known, name: str) -> list[Said]:
    """A row per channel or campaign that an order's event names, largest first; beside it who was there last.

    What an offer cost stands in the channel of the offer, which is not where people order: so there is no net.
    """
    last = f"touch_{name}"
    sizes = Counter(dict(_sizes(known.facts, name))) + Counter(dict(_sizes(known.facts, last)))
    kept = [key for key, _ in sizes.most_common(MOST)]
    own, touched = (_cells(known, _only(known.facts, one, kept), [one]) for one in (name, last))
    keys = [*kept, *([OTHERS] if len(sizes) > MOST else [])]
    keys += [key for (key,) in {**own, **touched} if key not in keys and key is not None]
    rows = [(key, own.get((key,), EMPTY), touched.get((key,), EMPTY)) for key in [*keys, None]]
    return _told(
        _row(known, (key,), found, netted=False) | {"attributed": _attributed(last)} for key, found, last in rows
    )


def by_segment(known: Known, inside: Inside, share: float) -> list[Said]:
    """A row per group and segment; those of a group add up to the whole.

    A segment of which the holdout has another share than of all is one that being treated decides: its row says so.
    """
    import ibis

    members = ibis.memtable(inside.rows)
    found = summed(known.facts, [], known.people, known.before, members)
    sizes: dict[int, dict[str, int]] = {}
    counted = members.inner_join(known.people, "place").group_by(["cell", "treated"])
    for row in counted.aggregate(people=lambda rows: rows.count()).to_pyarrow().to_pylist():
        each = sizes.setdefault(row["cell"], {"treated": 0, "held_out": 0})
        each["treated" if row["treated"] else "held_out"] += row["people"]
    shares = {"treated": 1 - share, "held_out": share}
    return _told(
        {"group": group, "customers": sizes[cell], "why": chi_square(sizes[cell], shares).why if share else ""}
        | _row(known, (key,), found.get((cell,), EMPTY), netted=True)
        for (group, key), cell in sorted(zip(inside.names, range(len(inside.names)), strict=True))
    )


def _told(rows: Any) -> list[Said]:
    found = list(rows)
    discovered(found)
    return found


def _cells(known: Known, facts: ir.Table, keys: Sequence[str]) -> dict[tuple[Key, ...], Sums]:
    return summed(facts, keys, known.people, known.before)


def _row(known: Known, key: tuple[Key], found: Sums, *, netted: bool) -> Said:
    orders, revenue, margin = (
        told(found, name, known.counts, known.before) for name in ("orders", "revenue", "margin")
    )
    return {
        "key": key[0],
        "orders": orders,
        "revenue": revenue,
        "margin": margin if known.margin else None,
        "cost": found.cost,
        "net": _net(margin, found.cost) if known.margin and netted else None,
        "attributed": None,
    }


def _net(margin: Said, cost: float) -> Said | None:
    """The incremental margin less the cost, which is known and moves the interval as a whole."""
    if margin["incremental"] is None:
        return None
    value, lower, upper = (margin[name] - cost for name in ("incremental", "lower", "upper"))
    verdict = "earned" if lower > 0 else "lost" if upper < 0 else "not distinguishable"
    return {"value": value, "lower": lower, "upper": upper, "verdict": verdict}


def _attributed(found: Sums) -> Said:
    """What was ordered after a last touch here, by anybody: a description, and in no difference."""
    return {name: sum(found.of(arm, name)[0] for arm in (True, False)) for name in ("orders", "revenue")}


def _sizes(facts: ir.Table, name: str) -> list[tuple[str, float]]:
    inside = facts.filter(facts.month != EARLIER, facts[name].notnull())
    rows = inside.group_by(name).aggregate(size=inside.orders.sum()).order_by(name).to_pyarrow().to_pylist()
    return [(row[name], row["size"] + 1e-9) for row in rows]  # a refund alone is a row too


def _only(facts: ir.Table, name: str, kept: Sequence[str]) -> ir.Table:
    """The facts with every other key of this column as `OTHERS`."""
    import ibis

    own = facts[name]
    return facts.mutate(**{name: ibis.ifelse(own.isnull() | own.isin(list(kept)), own, OTHERS)}) if kept else facts
