"""The pictures of the uplift report, from its numbers: each as wide as the page, none with numbers of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import altair as alt
import pandas as pd

from training.reports.charts import BAD, CHANCE, FLAT, GOOD, OURS, THEIRS, Rows, forest, rule_at_zero, wide

RANKINGS = {"uplift": "by uplift", "response": "by likelihood to respond", "random": "at random"}


def qini(curve: Rows, unit: str) -> alt.LayerChart:
    """The Qini curve of the choice with its band, of the response baseline and of chance."""
    frame = pd.DataFrame(curve)
    share = alt.X(
        "share:Q", title="share of customers treated, best ranked first (%)", scale=alt.Scale(domain=[0, 100])
    )
    band = alt.Chart(frame).mark_area(opacity=0.18, color=OURS)
    names = [name for name in RANKINGS if name in frame]
    long = frame.melt("share", names, "ranking", "extra").replace({"ranking": RANKINGS})
    shown = [RANKINGS[name] for name in names]
    colours = alt.Scale(domain=shown, range=[{"uplift": OURS, "response": THEIRS, "random": CHANCE}[n] for n in names])
    dashes = alt.Scale(domain=shown, range=[{"uplift": [1, 0], "response": [7, 3], "random": [2, 3]}[n] for n in names])
    legend = alt.Legend(orient="top", title=None, columns=1, symbolStrokeWidth=3)
    lines = alt.Chart(long).mark_line(strokeWidth=2.5)
    drawn = lines.encode(
        x=share,
        y=alt.Y("extra:Q"),
        color=alt.Color("ranking:N", scale=colours, legend=legend),
        strokeDash=alt.StrokeDash("ranking:N", scale=dashes, legend=legend),
    )
    return wide(band.encode(x=share, y=alt.Y("lower:Q", title=f"extra {unit}"), y2="upper:Q") + drawn, 340)


def deciles(rows: Rows, unit: str) -> alt.LayerChart:
    """Observed effect with its interval and predicted effect, per tenth of customers."""
    frame = pd.DataFrame(rows)
    tenth = alt.X("tenth:O", title="tenth of customers, highest predicted effect first", axis=alt.Axis(labelAngle=0))
    base = alt.Chart(frame).encode(x=tenth)
    legend = alt.Legend(orient="top", title=None)
    scale = alt.Scale(domain=["observed", "predicted"], range=[OURS, THEIRS])
    band = base.mark_rule(strokeWidth=4, opacity=0.35, color=OURS)
    value = base.transform_calculate(what="'observed'").mark_point(filled=True, size=80, opacity=1)
    guess = base.transform_calculate(what="'predicted'").mark_point(filled=True, size=80, opacity=1)
    color = alt.Color("what:N", scale=scale, legend=legend)
    shapes = alt.Scale(domain=["observed", "predicted"], range=["circle", "diamond"])
    shape = alt.Shape("what:N", scale=shapes, legend=legend)
    bands = band.encode(y=alt.Y("lower:Q", title=f"effect, {unit}"), y2="upper:Q")
    return wide(
        rule_at_zero("y")
        + bands
        + value.encode(y="value:Q", color=color, shape=shape)
        + guess.encode(y="predicted:Q", color=color, shape=shape),
        300,
    )


def top(rows: Rows, unit: str) -> alt.LayerChart:
    """What treating the best ranked share brings, with intervals."""
    frame = pd.DataFrame(rows)
    base = alt.Chart(frame).encode(
        x=alt.X("share:O", title="best ranked customers treated (%)", axis=alt.Axis(labelAngle=0))
    )
    bars = base.mark_bar(color=OURS, opacity=0.55).encode(y=alt.Y("extra:Q", title=f"extra {unit}"))
    return wide(bars + base.mark_rule(strokeWidth=2).encode(y=alt.Y("lower:Q"), y2="upper:Q"), 280)


def balance(rows: Rows) -> alt.LayerChart:
    """The standardised difference of each feature between the arms; beyond the dashed lines the arms differ."""
    frame = pd.DataFrame(rows)
    reach = max(0.15, float(frame["difference"].abs().max()) * 1.1)
    x = alt.X("difference:Q", title="standardised difference", scale=alt.Scale(domain=[-reach, reach]))
    limits = alt.Chart(pd.DataFrame({"difference": [-0.1, 0.1]})).mark_rule(strokeDash=[4, 4], color=BAD).encode(x=x)
    y = alt.Y("feature:N", sort=None, title=None, axis=alt.Axis(labelLimit=190))
    points = alt.Chart(frame).mark_point(filled=True, size=70, color=OURS, opacity=1).encode(x=x, y=y)
    return wide(limits + points, 40 + 22 * len(frame))


def segments(rows: Rows, unit: str) -> alt.LayerChart:
    """The effect in each segment, coloured by what may be said about it."""
    scale = alt.Scale(domain=["works", "hurts", "not distinguishable"], range=[GOOD, BAD, FLAT])
    words = "width < 120 ? split(datum.label, ' ') : datum.label"  # on a phone long segments leave little room
    legend = alt.Legend(orient="top", title=None, columns=1, labelExpr=words)
    colour = alt.Color("says:N", scale=scale, legend=legend)
    return forest(rows, "label", unit, colour=colour)


def weights(rows: Rows) -> alt.LayerChart:
    """What each learner weighs, as bars."""
    frame = pd.DataFrame(rows)
    y = alt.Y("learner:N", sort=None, title=None, axis=alt.Axis(labelLimit=190))
    bars = alt.Chart(frame).mark_bar(color=OURS, opacity=0.7).encode(x=alt.X("weight:Q", title="weight (%)"), y=y)
    return wide(alt.LayerChart(layer=[bars]), 40 + 24 * len(frame))


def kinds(rows: Rows) -> alt.LayerChart:
    """Between which bounds the share of each kind lies, and their intervals."""
    frame = pd.DataFrame(rows)[["kind", "least", "most", "lower", "upper"]]
    base = alt.Chart(frame).encode(y=alt.Y("kind:N", sort=None, title=None), color=alt.value(OURS))
    noise = base.mark_rule(strokeWidth=2).encode(x=alt.X("lower:Q", title="share of customers (%)"), x2="upper:Q")
    bounds = base.mark_bar(size=12, opacity=0.6).encode(x=alt.X("least:Q"), x2="most:Q")
    return wide(noise + bounds, 40 + 30 * len(frame))


def bands(rows: Rows, unit: str) -> alt.LayerChart:
    """The effect by place in the order of customers, with its band."""
    frame = pd.DataFrame(rows).assign(place=lambda one: (one["group"] - 0.5) * 100 / len(rows))
    scale = alt.Scale(domain=[0, 100])
    base = alt.Chart(frame).encode(x=alt.X("place:Q", title="customers, highest effect first (%)", scale=scale))
    band = base.mark_area(opacity=0.18, color=OURS).encode(y=alt.Y("lower:Q", title=unit), y2="upper:Q")
    line = base.mark_line(color=OURS, strokeWidth=2.5).encode(y="value:Q")
    return wide(rule_at_zero("y") + band + line, 280)


def profit(found: Mapping[str, Any], unit: str) -> alt.LayerChart:
    """Profit by share given the offer, with its band and where the best share lies."""
    scale = alt.Scale(domain=[0, 100])
    x = alt.X("share:Q", title="customers given the offer, best ranked first (%)", scale=scale)
    band, line = _banded(pd.DataFrame(found["curve"]), x, f"profit, {unit}")
    best, at = found["best"], min(point["lower"] for point in found["curve"])
    where = alt.Chart(pd.DataFrame([{**best, "at": at}])).encode(y="at:Q")
    reach = where.mark_rule(strokeWidth=6, color=GOOD, opacity=0.6).encode(x="lower:Q", x2="upper:Q")
    point = where.mark_point(filled=True, size=90, color=GOOD, opacity=1).encode(x="share:Q")
    return wide(rule_at_zero("y") + band + line + reach + point, 320)


def budget(rows: Rows, unit: str) -> alt.LayerChart:
    """Profit by budget, with its band, and as predicted."""
    frame, named = pd.DataFrame(rows), {"value": "earned", "planned": "predicted"}
    x = alt.X("budget:Q", title=f"budget, {unit}")
    band, _ = _banded(frame, x, f"profit, {unit}")
    long = frame.melt("budget", list(named), "what", "profit").replace({"what": named})
    shown, legend = list(named.values()), alt.Legend(orient="top", title=None, symbolStrokeWidth=3)
    lines = alt.Chart(long).mark_line(strokeWidth=2.5)
    drawn = lines.encode(
        x=x,
        y=alt.Y("profit:Q"),
        color=alt.Color("what:N", scale=alt.Scale(domain=shown, range=[OURS, THEIRS]), legend=legend),
        strokeDash=alt.StrokeDash("what:N", scale=alt.Scale(domain=shown, range=[[1, 0], [7, 3]]), legend=legend),
    )
    return wide(rule_at_zero("y") + band + drawn, 320)


def _banded(frame: pd.DataFrame, x: alt.X, unit: str) -> tuple[alt.Chart, alt.Chart]:
    band = alt.Chart(frame).mark_area(opacity=0.18, color=OURS)
    line = alt.Chart(frame).mark_line(color=OURS, strokeWidth=2.5)
    return band.encode(x=x, y=alt.Y("lower:Q", title=unit), y2="upper:Q"), line.encode(x=x, y="value:Q")
