"""The pictures of an experiment's report, from its numbers: each as wide as the page, none with numbers of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

from training.reports.charts import BAD, CHANCE, FLAT, GOOD, OURS, THEIRS, Rows, forest, rule_at_zero, wide

ARMS = (CHANCE, OURS, THEIRS, GOOD, "#7b3fa0", "#00788a")  # the control first
DASHES = ((6, 3), (1, 0), (8, 2, 2, 2), (2, 2), (10, 4), (4, 1))  # whoever sees no colours tells the arms by these
SAYS = {"better": GOOD, "worse": BAD, "not distinguishable": FLAT}
LEAST_SHOWN = 5.0  # percent: a picture that is closer makes noise look like much


def lifts(rows: Rows, label: str, frame: float) -> alt.LayerChart:
    """Lifts in percent with their intervals; what reaches past `frame` is cut."""
    cut = [dict(row) | {name: _within(row[name], frame) for name in ("lower", "upper", "value")} for row in rows]
    return told(cut, label, "lift over the control (%)")


def told(rows: Rows, label: str, unit: str) -> alt.LayerChart:
    """Values with their intervals, coloured by what may be said of them."""
    legend = alt.Legend(orient="top", title=None, columns=1, symbolOpacity=1)
    scale = alt.Scale(domain=list(SAYS), range=list(SAYS.values()))
    return forest(rows, label, unit, colour=alt.Color("says:N", scale=scale, legend=legend))


def frame_of(rows: Rows) -> float:
    """How far a picture of these lifts reaches to both sides, in percent: four times what the middle one needs."""
    reach = sorted(max(abs(row["lower"]), abs(row["upper"])) for row in rows)
    return max(LEAST_SHOWN, 4 * float(reach[len(reach) // 2]))


def over_time(rows: Rows, unit: str) -> alt.LayerChart:
    """The difference as it stood day after day, with its bounds; the first days' reach past the picture."""
    settled = rows[len(rows) // 3 :]
    scale = alt.Scale(domain=[min(0, *(row["lower"] for row in settled)), max(0, *(row["upper"] for row in settled))])
    base = alt.Chart(pd.DataFrame(rows)).encode(x=alt.X("day:T", title=None, axis=alt.Axis(format="%d %b")))
    band = base.mark_area(opacity=0.18, color=OURS, clip=True)
    line = base.mark_line(color=OURS, strokeWidth=2.5, clip=True, point=len(rows) < 3)
    bounds = band.encode(y=alt.Y("lower:Q", title=unit, scale=scale), y2="upper:Q")
    return wide(rule_at_zero("y") + bounds + line.encode(y="difference:Q"), 240)


def by_day(rows: Rows, unit: str) -> alt.LayerChart:
    """The effect on each day since the exposure, with its interval."""
    x = alt.X("day:O", title="day since the first exposure", axis=alt.Axis(labelAngle=0))
    base = alt.Chart(pd.DataFrame(rows)).encode(x=x)
    bands = base.mark_rule(strokeWidth=3, opacity=0.45, color=OURS)
    points = base.mark_point(filled=True, size=60, opacity=1, color=OURS).encode(y="difference:Q")
    return wide(rule_at_zero("y") + bands.encode(y=alt.Y("lower:Q", title=unit), y2="upper:Q") + points, 220)


def waited(rows: Rows, arms: Sequence[str]) -> alt.LayerChart:
    """Kaplan-Meier curves: who has not done it yet, by days since the first exposure, with bands."""
    x = alt.X("day:Q", title="days since the first exposure", axis=alt.Axis(format="d", tickMinStep=1))
    base = alt.Chart(pd.DataFrame(rows)).encode(x=x, color=_arms(arms))
    y = alt.Y("share:Q", title="not yet (%)", scale=alt.Scale(zero=False))
    band = base.mark_area(opacity=0.15, interpolate="step-after").encode(y=alt.Y("lower:Q"), y2="upper:Q")
    line = base.mark_line(strokeWidth=2.5, interpolate="step-after").encode(y=y, strokeDash=_dashed(arms))
    return wide(line + band, 300)


def split(rows: Rows, arms: Sequence[str], shares: Mapping[str, float]) -> alt.LayerChart:
    """The share of each arm among those who came in on a day, beside the planned one; days that alarm are marked."""
    shown = arms[1:] if len(arms) == 2 else arms  # of two, one tells the other
    own = [row for row in rows if row["arm"] in shown]
    colour = _arms(arms, shown)
    base = alt.Chart(pd.DataFrame(own)).encode(x=alt.X("day:T", title=None, axis=alt.Axis(format="%d %b")))
    y = alt.Y("share:Q", title="share of the day's customers (%)", scale=alt.Scale(zero=False))
    size = alt.Size("customers:Q", scale=alt.Scale(range=[15, 90], zero=True), legend=None)
    points = base.mark_point(filled=True, opacity=1).encode(y=y, color=colour, size=size)
    layers = base.mark_line(strokeWidth=1, opacity=0.5).encode(y=y, color=colour) + points
    if any(row["alarm"] for row in own):
        alarm = base.transform_filter("datum.alarm").mark_point(size=220, strokeWidth=2.5)
        layers += alarm.encode(y=y, color=alt.value(BAD))
    plan = pd.DataFrame([{"arm": arm, "share": 100 * shares[arm]} for arm in shown if arm in shares])
    if len(plan):
        layers += alt.Chart(plan).mark_rule(strokeDash=[4, 3]).encode(y="share:Q", color=colour)
    return wide(layers, 240)


def spread(rows: Rows, arms: Sequence[str], unit: str) -> alt.LayerChart:
    """How many of each arm's customers are in each bin, in percent, side by side."""
    bins, most = list(dict.fromkeys(row["bin"] for row in rows)), list(arms)
    base = alt.Chart(pd.DataFrame(rows)).encode(
        x=alt.X("bin:N", sort=bins, title=unit, axis=alt.Axis(labelAngle=-40)), xOffset=alt.XOffset("arm:N", sort=most)
    )
    bars = base.mark_bar().encode(y=alt.Y("share:Q", title="share of the arm (%)"), color=_arms(arms))
    return wide(alt.LayerChart(layer=[bars]), 260)


def _arms(arms: Sequence[str], shown: Sequence[str] = ()) -> Any:
    """The colour of each arm, the same in every picture; `shown`: which of them this one has, where not all."""
    colours = {arm: ARMS[place % len(ARMS)] for place, arm in enumerate(arms) if arm in (shown or arms)}
    legend = alt.Legend(orient="top", title=None, columns=1, symbolStrokeWidth=3, symbolOpacity=1)
    return alt.Color("arm:N", scale=alt.Scale(domain=list(colours), range=list(colours.values())), legend=legend)


def _dashed(arms: Sequence[str]) -> Any:
    dashes = [list(DASHES[place % len(DASHES)]) for place in range(len(arms))]
    legend = alt.Legend(orient="top", title=None, columns=1, symbolStrokeWidth=3, symbolOpacity=1)
    return alt.StrokeDash("arm:N", scale=alt.Scale(domain=list(arms), range=dashes), legend=legend)


def _within(value: float, frame: float) -> float:
    return max(-frame, min(frame, value))
