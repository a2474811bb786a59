"""The pictures of the model report, from its numbers: each as wide as the page, none with numbers of its own."""

from __future__ import annotations

import altair as alt
import pandas as pd

from training.reports.charts import BAD, CHANCE, OURS, THEIRS, Rows, wide
from training.stability import DRIFTED, SHIFTED, says


def groups(rows: Rows, unit: str, models: list[str]) -> alt.LayerChart:
    """Per group a line for each of these models (two at most): its value and interval."""
    frame = pd.DataFrame(rows)
    scale = alt.Scale(domain=models, range=[OURS, THEIRS][: len(models)])
    legend = alt.Legend(orient="top", title=None, columns=1)
    order = list(frame["group"].unique())  # as in the table; by itself a group without an interval would come last
    base = alt.Chart(frame).encode(
        y=alt.Y("group:N", sort=order, title=None, axis=alt.Axis(labelLimit=190)),
        yOffset=alt.YOffset("model:N", sort=models),
        color=alt.Color("model:N", scale=scale, legend=legend),
    )
    band = base.mark_rule(strokeWidth=3, opacity=0.55).encode(x=alt.X("lower:Q", title=unit), x2="upper:Q")
    points = base.mark_point(filled=True, size=80, opacity=1).encode(x="value:Q")
    return wide(band + points, 60 + 22 * len(frame))


def concentration(rows: Rows) -> alt.LayerChart:
    """The share of the top 1 % of the items, per model and in what customers bought."""
    frame = pd.DataFrame(rows)
    y = alt.Y("model:N", sort=None, title=None, axis=alt.Axis(labelLimit=190))
    colour = alt.Color("what:N", scale=alt.Scale(domain=["answers", "purchases"], range=[OURS, CHANCE]), legend=None)
    bars = (
        alt.Chart(frame)
        .mark_bar(opacity=0.75)
        .encode(x=alt.X("share:Q", title="% of all answers", scale=alt.Scale(domain=[0, 100])), y=y, color=colour)
    )
    numbers = (
        alt.Chart(frame).mark_text(align="left", dx=5).encode(x="share:Q", y=y, text=alt.Text("share:Q", format=".0f"))
    )
    return wide(bars + numbers, 40 + 26 * len(frame))


def costs(rows: Rows, unit: str) -> alt.LayerChart:
    """Quality by CPU seconds; the marked models are those that no other beats."""
    frame = pd.DataFrame(rows)
    frame["above"] = frame["cpu_s"].rank(method="first") % 2 == 1  # names of neighbours on the scale stand apart
    base = alt.Chart(frame).encode(
        x=alt.X("cpu_s:Q", title="CPU seconds to fit and answer", scale=alt.Scale(type="log", nice=False, padding=45)),
        y=alt.Y("quality:Q", title=unit, scale=alt.Scale(domainMin=0)),
    )
    colour = alt.Color("mark:N", scale=alt.Scale(domain=["no other beats it", "beaten"], range=[OURS, CHANCE]))
    points = base.mark_point(filled=True, size=110, opacity=1).encode(
        color=colour.legend(orient="top", title=None), shape=alt.Shape("mark:N", legend=None)
    )
    names = base.mark_text(dy=alt.ExprRef("datum.above ? -13 : 16")).encode(text="model:N")
    return wide(points + names, 320)


def variety(rows: Rows, unit: str) -> alt.LayerChart:
    """What each step of variety changes, with its interval."""
    frame = pd.DataFrame(rows)
    rule = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(color=CHANCE, strokeDash=[3, 3]).encode(y="zero:Q")
    base = alt.Chart(frame).encode(x=alt.X("variety:O", title="variety", axis=alt.Axis(labelAngle=0, format=".2f")))
    band = base.mark_rule(strokeWidth=4, opacity=0.45, color=OURS).encode(y=alt.Y("lower:Q", title=unit), y2="upper:Q")
    points = base.mark_point(filled=True, size=80, color=OURS, opacity=1).encode(y="difference:Q")
    return wide(rule + band + points, 260)


def drift(rows: Rows) -> alt.LayerChart:
    """The stability index of each feature, and where it is called shifted and drifted."""
    frame = pd.DataFrame(rows)
    scale = alt.Scale(domain=["stable", "shifted", says(DRIFTED)], range=[OURS, THEIRS, BAD])
    bars = (
        alt.Chart(frame)
        .mark_bar(opacity=0.75)
        .encode(
            x=alt.X("index:Q", title="population stability index"),
            y=alt.Y("what:N", sort=None, title=None, axis=alt.Axis(labelLimit=190)),
            color=alt.Color("says:N", scale=scale, legend=alt.Legend(orient="top", title=None, columns=1)),
        )
    )
    rules = alt.Chart(pd.DataFrame({"limit": [SHIFTED, DRIFTED]})).mark_rule(color=CHANCE, strokeDash=[3, 3])
    return wide(bars + rules.encode(x="limit:Q"), 60 + 22 * len(frame))
