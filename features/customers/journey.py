"""Journey: the stage of every customer as of the ends of the last months, and who moved where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.events import ORDERED, REFUNDED, Events, utc
from features.table import FeatureTable

BEFORE = "no order yet"
ALONG = ("new", "loyal", "active", "at_risk", "lapsed")  # `lifecycle.STAGES` as a picture and a table show them
HARDLY = timedelta(days=1)


@dataclass(frozen=True)
class Journey:
    """`stages`: customers x moments, places in `names`; of those who ordered before the last moment."""

    moments: tuple[datetime, ...]
    names: tuple[str, ...]
    stages: NDArray[np.int8]

    @classmethod
    def of(cls, events: Events, moments: Sequence[datetime]) -> Journey:
        """The stages as of these moments, which rise; what was known at each, no more."""
        rows = events.before(moments[-1])
        orders = Events.of(rows.filter(rows.name.isin([ORDERED, REFUNDED])))  # only these make a stage
        tables = [FeatureTable.build(orders, moment, families=["lifecycle"]) for moment in moments]
        told = {place: table.to_pandas()["stage"] for place, table in enumerate(tables)}
        stages = pd.DataFrame(told).astype(object).dropna(subset=[len(moments) - 1])
        names = (BEFORE, *ALONG)
        places = stages.fillna(BEFORE).replace({name: place for place, name in enumerate(names)})
        return cls(tuple(moments), names, places.to_numpy(np.int8))

    def sizes(self) -> NDArray[np.int64]:
        """How many are in each stage: stages x moments."""
        counts = [np.bincount(column, minlength=len(self.names)) for column in self.stages.T]
        sizes: NDArray[np.int64] = np.stack(counts, axis=1)
        return sizes

    def moved(self, place: int) -> NDArray[np.int64]:
        """How many went from each stage (rows) to each (columns), from this moment to the next."""
        kinds = len(self.names)
        pairs = self.stages[:, place].astype(np.int64) * kinds + self.stages[:, place + 1]
        moved: NDArray[np.int64] = np.bincount(pairs, minlength=kinds * kinds).reshape(kinds, kinds)
        return moved


def month_ends(as_of: datetime, months: int, zone: str) -> list[datetime]:
    """The ends of the last months of this zone and the moment itself, oldest first, in UTC.

    An end that is hardly over is left out: the moment itself stands for it.
    """
    local = as_of.replace(tzinfo=as_of.tzinfo or UTC).astimezone(ZoneInfo(zone))
    ends, start = [utc(as_of)], local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for _month in range(months):
        if utc(start) < ends[-1] - HARDLY:
            ends.append(utc(start))
        start = (start - timedelta(days=1)).replace(day=1)
    return ends[::-1]
