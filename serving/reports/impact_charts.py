"""The pictures of the reports of impact and of the journey, from their numbers."""

from __future__ import annotations

from collections.abc import Sequence

import altair as alt
import pandas as pd

from training.reports.charts import OURS, Rows, rule_at_zero, wide


def months(rows: Rows, unit: str) -> alt.LayerChart:
    """What came of each month, as bars, with their intervals where they have any."""
    base = alt.Chart(pd.DataFrame(rows)).encode(x=alt.X("key:O", title=None, axis=alt.Axis(labelAngle=-40)))
    bars = base.mark_bar(color=OURS, opacity=0.55).encode(y=alt.Y("value:Q", title=unit))
    drawn = rule_at_zero("y") + bars
    if "lower" in rows[0]:
        drawn += base.mark_rule(strokeWidth=2.5).encode(y=alt.Y("lower:Q"), y2="upper:Q")
    return wide(drawn, 260)


def funnel(rows: Rows, label: str, unit: str) -> alt.LayerChart:
    """How many are left at each step, as bars from the first step down, each with its number."""
    frame = pd.DataFrame(rows)
    y = alt.Y(f"{label}:N", sort=None, title=None, axis=alt.Axis(labelLimit=190))
    base = alt.Chart(frame).encode(y=y)
    most = alt.Scale(domain=[0, 1.18 * float(frame["customers"].max() or 1)])  # room for the number beside the bar
    bars = base.mark_bar(color=OURS, opacity=0.7).encode(x=alt.X("customers:Q", title=unit, scale=most))
    numbers = base.mark_text(align="left", dx=4).encode(x="customers:Q", text=alt.Text("customers:Q", format=","))
    return wide(bars + numbers, 40 + 34 * len(frame))


def retention(rows: Rows, cohorts: Sequence[str]) -> alt.LayerChart:
    """The share of each month's new customers who ordered again in each month after it, darker where there are more."""
    frame = pd.DataFrame(rows)
    base = alt.Chart(frame).encode(
        x=alt.X("after:O", title="months after the first order", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("cohort:N", sort=list(cohorts), title=None),
    )
    top = max(float(frame["share"].max()), 1.0)
    shade = alt.Color("share:Q", scale=alt.Scale(domain=[0, top], range=["#eef3f9", OURS]), legend=None)
    words = alt.condition(f"datum.share > {top / 2}", alt.value("white"), alt.value("#1c2430"))
    cells = base.mark_rect().encode(color=shade)
    numbers = base.mark_text(fontSize=11).encode(text=alt.Text("share:Q", format=".0f"), color=words)
    return wide(cells + numbers, 40 + 24 * len(cohorts))
