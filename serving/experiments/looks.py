"""Looks: how far a running test has come, when it is looked at, and how far from 0 a difference then has to be.

planned           a report as of now is judged by
-                 Student's test, for one look at the end
looks: 1          the same; until the planned size is reached the verdict is to keep going
looks: 14         Lan & DeMets' bounds: the looks due by now at 1/14, 2/14, ... of the plan, and this one
looks: any        a confidence sequence, which holds at every moment at once

All of it follows from the plan and from when customers came; nothing is remembered between two reports. How far a test
has come is told by the customers whose window has closed, or by the days of the plan less that window. Who comes after
the planned size does not count: a test is over when it has its size, and its report says the same ever after.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, Self
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.events import utc
from serving.experiments.bounds import CLOSEST, anytime, anytime_p_value, bounds, repeated_p_value
from serving.experiments.definitions import Planned

TIGHTEST = 10_000  # customers at which looks at will are sharpest where none are planned: fixed before anybody comes
LATELY = timedelta(days=7)  # over which it is told how many customers come: each day of the week once
DAY = timedelta(days=1)
Held = tuple[NDArray[np.float64], NDArray[np.float64]]  # of looks, the share of the plan and the customers


@dataclass(frozen=True)
class Span:
    """From when to when customers are assigned, by the clocks of a zone.

    `start`: from when the planned days count. `closes`: from when on nobody is assigned, where that is known.
    """

    start: datetime
    closes: datetime | None
    zone: ZoneInfo

    def lasts(self, days: int) -> timedelta:
        """How long the first so many days are: one in which the clock changes has 23 or 25 hours."""
        there = self.start.replace(tzinfo=UTC).astimezone(self.zone).replace(tzinfo=None)
        return utc((there + days * DAY).replace(tzinfo=self.zone)) - self.start

    def day(self, moment: datetime | None) -> str | None:
        """The day of the zone on which this moment is."""
        return None if moment is None else moment.replace(tzinfo=UTC).astimezone(self.zone).date().isoformat()


@dataclass(frozen=True)
class Looks:
    """The plan, the first exposures in their order, and the moment of the report.

    `window`: of a metric that names none.
    """

    plan: Planned | None
    firsts: NDArray[np.datetime64]
    span: Span
    window: timedelta
    now: datetime

    @classmethod
    def of(cls, plan: Planned | None, people: pa.Table, span: Span, window: timedelta, now: datetime) -> Self:
        """Of the customers who count, in the order of their first exposure."""
        return cls(plan, people["first"].to_numpy(), span, window, utc(now))

    @property
    def closes(self) -> datetime | None:
        """From when on nobody is assigned, where that is known."""
        return self.span.closes

    def at(self, moment: datetime) -> Self:
        """The same test at another moment."""
        return replace(self, now=moment)

    @property
    def planned(self) -> int | Literal["any"] | None:
        """How many looks; None where nothing is planned."""
        return None if self.plan is None else self.plan.looks

    @property
    def sized(self) -> bool:
        """Whether it is planned when the test is over."""
        return self.plan is not None and (self.plan.customers is not None or self.plan.days is not None)

    def closed(self, window: timedelta, moment: datetime | None = None) -> int:
        """The customers whose window has closed."""
        until = (moment or self.now) - window
        return int(np.searchsorted(self.firsts, np.datetime64(until), side="right"))

    def fraction(self, window: timedelta) -> float | None:
        """The share of the plan that is done; None where no size is planned."""
        if self.plan is None or not self.sized:
            return None
        if self.plan.customers is not None:
            return self.closed(window) / self.plan.customers
        passed = (self.now - window - self.span.start) / self.span.lasts(self.plan.days or 1)
        return min(max(passed, 0.0), 1.0)

    def over(self, window: timedelta) -> bool:
        """Whether everybody planned, or who could come, has come and been waited for."""
        return (self.fraction(window) or 0.0) >= 1 or (self.closes is not None and self.closes + window <= self.now)

    def bound(self, window: timedelta) -> float | None:
        """How many standard errors the interval reaches; None: those of the test of one look."""
        if self.planned in (None, 1):
            return None
        if self.planned == "any":
            return float(anytime(share)) if (share := self._mixed(window)) else math.inf
        shares, customers = self.held(window)
        return float(bounds(shares, information=customers)[-1]) if len(shares) else math.inf

    def p_value(self, z: float, window: timedelta) -> float | None:
        """Under 5 % exactly when |z| exceeds `bound`; None where the test's own is."""
        if self.planned in (None, 1):
            return None
        if self.planned == "any":
            return float(anytime_p_value(z, share)) if (share := self._mixed(window)) else 1.0
        shares, customers = self.held(window)
        return repeated_p_value(z, shares, information=customers) if len(shares) else 1.0

    def held(self, window: timedelta) -> Held:
        """The planned looks that were due before now, at which somebody counted, and the one now."""
        now = self.fraction(window) or 0.0, float(self.closed(window))
        least = CLOSEST, 1.01 * CLOSEST * now[1] / max(now[0], CLOSEST)  # less is no news to a bound
        found = [(0.0, 0.0)]
        for share, customers in (*self._due(window), now):
            if share - found[-1][0] >= least[0] and customers - found[-1][1] >= least[1] > 0:
                found.append((share, customers))
        return np.array([share for share, _ in found[1:]]), np.array([customers for _, customers in found[1:]])

    def done(self, window: timedelta) -> int:
        """How many of the planned looks are due by now."""
        return sum(share <= (self.fraction(window) or 0.0) for share in self._shares())

    def _shares(self) -> list[float]:
        """The share of the plan at each planned look."""
        many = self.planned
        return [place / many for place in range(1, many + 1)] if isinstance(many, int) else []

    def _due(self, window: timedelta) -> list[tuple[float, float]]:
        """The looks before now: the share of the plan, and the customers who counted."""
        now = (self.fraction(window) or 0.0) - CLOSEST
        return [(share, self._customers(share, window)) for share in self._shares() if share <= now]

    def _customers(self, share: float, window: timedelta) -> float:
        if self.plan is not None and self.plan.customers is not None:
            return share * self.plan.customers
        return float(self.closed(window, self._moment(share, window)))

    def _mixed(self, window: timedelta) -> float:
        """For looks at will, the customers over those at which they are sharpest."""
        size = self.plan.customers if self.plan is not None and self.plan.customers is not None else TIGHTEST
        return self.closed(window) / size

    def rate(self) -> float:
        """Customers per day, of late."""
        since = max(self.now - LATELY, min(self.span.start, self.now - DAY))
        return float((self.firsts >= np.datetime64(since)).sum() / ((self.now - since) / DAY))

    def _moment(self, share: float, window: timedelta) -> datetime | None:
        """When this share of the plan is done, with customers coming as of late; None where it never is."""
        if self.plan is None or not self.sized:
            return None
        if self.plan.days is not None:
            return self.span.start + share * self.span.lasts(self.plan.days) + window
        return self.reached(math.ceil(share * (self.plan.customers or 0) - 1e-9), window)

    def reached(self, customers: int, window: timedelta) -> datetime | None:
        """When the windows of so many customers have closed, with customers coming as of late."""
        if customers <= len(self.firsts):
            return _moment(self.firsts[customers - 1]) + window
        rate = self.rate()
        came = self.now + DAY * ((customers - len(self.firsts)) / rate) if rate else None
        return None if came is None or (self.closes is not None and came >= self.closes) else came + window

    @property
    def end(self) -> datetime | None:
        """When the planned size is reached and the last window has closed."""
        return self._moment(1.0, self.window)

    def told(self) -> dict[str, Any]:
        """As the report says it."""
        waiting = [share for share in self._shares() if share > (self.fraction(self.window) or 0.0)]
        next_ = self._moment(waiting[0], self.window) if waiting else None
        bound = self.bound(self.window)
        return {
            "planned": self.planned,
            "customers": self.plan.customers if self.plan else None,
            "days": self.plan.days if self.plan else None,
            "done": self.done(self.window),
            "fraction": self.fraction(self.window),
            "bound": bound if bound is None or math.isfinite(bound) else None,
            "next": self.span.day(next_),
            "end": self.span.day(self.end),
            "customers_a_day": round(self.rate(), 2),
        }


def in_plan(people: pa.Table, plan: Planned | None, span: Span) -> pa.Table:
    """Who counts, in the order of the first exposure: the planned number of customers, or those of the planned days."""
    ordered = people.sort_by([("first", "ascending"), ("customer", "ascending")])
    if plan is not None and plan.customers is not None:
        return ordered.slice(0, plan.customers)
    if plan is not None and plan.days is not None:
        firsts = ordered["first"].to_numpy()
        return ordered.slice(0, int(np.searchsorted(firsts, np.datetime64(span.start + span.lasts(plan.days)))))
    return ordered


def _moment(first: np.datetime64) -> datetime:
    found: datetime = first.astype("datetime64[us]").item()
    return found
