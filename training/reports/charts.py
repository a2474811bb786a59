"""What the pictures of all reports share: colours, a width that follows the page, and estimates with intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import pandas as pd

OURS, THEIRS, CHANCE = "#1b5e9e", "#c46a00", "#7d8794"
GOOD, BAD, FLAT = "#14714a", "#b3261e", "#8a7a1c"
Rows = Sequence[Mapping[str, Any]]


def forest(rows: Rows, label: str, unit: str, *, colour: Any | None = None, zero: bool = True) -> alt.LayerChart:
    """One line per row: the value and its interval; where differences are shown, a rule at `zero`."""
    frame = pd.DataFrame(rows)
    names = alt.Axis(labelLimit=160)  # beside longer ones the words of a legend are cut on a phone of 320
    order = alt.Y(f"{label}:N", sort=None, title=None, axis=names)
    base = alt.Chart(frame).encode(y=order, color=alt.value(OURS) if colour is None else colour)
    band = base.mark_rule(strokeWidth=3, opacity=0.55).encode(x=alt.X("lower:Q", title=unit), x2="upper:Q")
    points = base.mark_point(filled=True, size=80, opacity=1).encode(x="value:Q")
    drawn = rule_at_zero() + band + points if zero else band + points
    return wide(drawn, 40 + 26 * len(frame))


def rule_at_zero(axis: str = "x") -> alt.Chart:
    rule = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=CHANCE, strokeDash=[3, 3])
    drawn: alt.Chart = rule.encode(x="zero:Q") if axis == "x" else rule.encode(y="zero:Q")
    return drawn


def wide(chart: alt.LayerChart, height: int) -> alt.LayerChart:
    """As wide as the page, in its style."""
    stretched = chart.properties(width="container", height=height).configure_view(stroke=None)
    styled = stretched.configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#eceff3")
    # a phone is narrow: an axis's title may be wider than the axis and then reaches below the labels beside it
    drawn: alt.LayerChart = styled.configure_axisX(labelOverlap="greedy", labelSeparation=8, titleAnchor="end")
    return drawn
