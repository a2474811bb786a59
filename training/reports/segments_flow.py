"""Flow: the customer journey as a picture: stages at each moment, and bands of those who went from one to the next."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.customers.journey import BEFORE
from training.reports.charts import wide

COLOURS = {
    BEFORE: "#c3cbd5", "new": "#4d9fdc", "loyal": "#14714a", "active": "#74bd8f", "at_risk": "#e0a100",
    "lapsed": "#b3261e",
}  # fmt: skip
HALF = 0.06  # of a stage's width, of the distance of two moments
STEPS = np.linspace(0, 1, 13)  # of a band from left to right
EASED = STEPS * STEPS * (3 - 2 * STEPS)  # level at both ends
Figures = dict[str, Any]
Counts = NDArray[np.int64]


def flow(journey: Figures) -> alt.LayerChart:
    """Stages stacked at each moment, the bands between them in the colour of the stage that was left."""
    names = [name.replace("_", " ") for name in COLOURS]
    legend = alt.Legend(orient="top", title=None, columns=3, symbolType="square", symbolOpacity=1)
    colour = alt.Color("stage:N", scale=alt.Scale(domain=names, range=list(COLOURS.values())), legend=legend)
    days = [datetime.fromisoformat(day) for day in journey["days"]]
    words = [[f"{day.day}", f"{day:%b}", f"{day:%Y}"] for day in days]  # below each other: a phone is narrow
    axis = alt.Axis(values=list(range(len(days))), labelExpr=f"{words}[datum.value]", grid=False, ticks=False)
    reach = alt.Scale(domain=[-HALF, len(days) - 1 + HALF], nice=False)
    x = alt.X("x:Q", axis=axis, scale=reach, title=None)
    y = alt.Y("low:Q", title="customers who have ordered", axis=alt.Axis(format="~s"))
    bands = alt.Chart(pd.DataFrame(_bands(journey))).mark_area(opacity=0.45)
    stages = alt.Chart(pd.DataFrame(_stages(journey))).mark_rect(opacity=1)
    tips = [alt.Tooltip("stage:N"), alt.Tooltip("customers:Q", format=",")]
    drawn = bands.encode(x=x, y=y, y2="high:Q", color=colour, detail="band:N", tooltip=["said:N"])
    return wide(drawn + stages.encode(x=x, x2="right:Q", y=y, y2="high:Q", color=colour, tooltip=tips), 380)


def _stages(journey: Figures) -> Iterator[Figures]:
    sizes = np.array(journey["sizes"])
    lows = _lows(sizes)
    for (row, place), size in np.ndenumerate(sizes):
        ends = {"x": place - HALF, "right": place + HALF, "low": int(lows[row, place])}
        stage = journey["stages"][row].replace("_", " ")
        yield ends | {"high": int(lows[row, place] + size), "stage": stage, "customers": int(size)}


def _lows(sizes: Counts) -> Counts:
    """Where each stage begins: the last stage stands at the bottom."""
    lows: Counts = sizes[::-1].cumsum(axis=0)[::-1] - sizes
    return lows


def _bands(journey: Figures) -> Iterator[Figures]:
    """Points of every band; within a stage the bands lie in the order of the stages at their other end."""
    lows = _lows(np.array(journey["sizes"]))
    places = {name: place for place, name in enumerate(journey["stages"])}
    for start in range(len(journey["days"]) - 1):
        left, right = lows[:, start].copy(), lows[:, start + 1].copy()
        moves = [one for one in journey["moves"] if one["start"] == start]
        for one in sorted(moves, key=lambda one: (-places[one["from"]], -places[one["to"]])):
            a, b = places[one["from"]], places[one["to"]]
            yield from _band(one, start, int(left[a]), int(right[b]))
            left[a] += one["customers"]
            right[b] += one["customers"]


def _band(one: Figures, start: int, left: int, right: int) -> Iterator[Figures]:
    stage, into = (one[name].replace("_", " ") for name in ("from", "to"))
    said = f"{stage} to {into}: {one['customers']:,}"
    common = {"band": f"{start} {stage} {into}", "stage": stage, "said": said}
    lows = left + (right - left) * EASED
    for x, low in zip(start + HALF + (1 - 2 * HALF) * STEPS, lows, strict=True):
        yield common | {"x": round(float(x), 3), "low": round(float(low), 2), "high": float(low) + one["customers"]}
