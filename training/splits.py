"""Splits of a log into what a model may learn from and what it is judged on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from features.interactions import Interactions

INSTANT = timedelta(microseconds=1)  # `before(end)` is strict: the last event belongs to the test


@dataclass(frozen=True)
class TimeSplit:
    """One moment for all customers, so that nothing learned lies after anything judged.

                 choose on            judge on
        ann  o---o----|-o-------|------------|     in train only: no test row
        bob  ----o-o--|---------|--o----o----|     known: history before `test`
        cyd  ---------|---------|----o-------|     new: no history
             ^        ^         ^            ^
             start    validate  test         end

    Models are chosen by fitting before `validate` and judging on [validate, test); the chosen one is judged once, by
    fitting before `test` and judging on [test, end). A split per customer (each one's last order) would let a model
    learn from other customers' future.

    A model that learns what follows a history (the ranker) is also given the log as of one and two horizons earlier
    than the moment it is fitted as of; `lessons` are those of `validate`, L1 and L2:

        choose    as of L2, what followed until L1; as of L1, what followed until validate    judged on [validate, test)
        judge     as of L1, what followed until validate; as of validate, until test          judged on [test, end)
        serve     as of validate, what followed until test; as of test, until end             judged by what comes
    """

    start: datetime
    validate: datetime
    test: datetime
    end: datetime

    @property
    def lessons(self) -> tuple[datetime, ...]:
        """One and two horizons before `validate`, as far as at least a horizon of log lies before them."""
        horizon = self.end - self.test
        moments = (self.validate - horizon, self.validate - 2 * horizon)
        return tuple(moment for moment in moments if moment - self.start >= horizon)

    @classmethod
    def of(cls, span: tuple[datetime, datetime] | None, horizon_days: int) -> TimeSplit:
        """The split of a log that spans these moments; refused where the training part would be the shorter one."""
        if span is None:
            raise ValueError("the event log is empty; import purchases first (attune import --help)")
        start, end = span[0], span[1] + INSTANT
        horizon = timedelta(days=horizon_days)
        if end - start < 3 * horizon:
            raise ValueError(
                f"the log spans {(end - start).days} days; a split with horizon_days == {horizon_days} needs "
                f"{3 * horizon_days} (recommender.horizon_days in attune.yaml)"
            )
        return cls(start, end - 2 * horizon, end - horizon, end)


def span_of(interactions: Interactions) -> tuple[datetime, datetime]:
    """The first and the last moment of interactions; refused where they have no times."""
    unknown = int(np.isnat(interactions.first).sum() + np.isnat(interactions.last).sum())
    if unknown or not len(interactions):
        raise ValueError(
            f"{unknown:,} of {2 * len(interactions):,} times of these interactions are unknown; a time split needs all"
        )
    return interactions.first.min().astype("M8[us]").item(), interactions.last.max().astype("M8[us]").item()
