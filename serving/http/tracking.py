"""Is the tracking healthy? A page that shows what came, by source, name and day, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from html import escape
from threading import Lock
from time import perf_counter

from features.signals import DAYS, Health, Signal
from features.words import many
from training.reports.page import STYLE

KEPT = timedelta(minutes=1)  # how old a page may be
SHARE = 20  # and at most a twentieth of the time goes into making pages
NAME = 60  # characters; an event's name is whatever somebody sent
HIGH, WIDE = 28, 5  # pixels of a picture and of a day in it
OWN = """
td.name { white-space: normal; overflow-wrap: anywhere; min-width: 8rem; max-width: 18rem; }
tr.wrong td { background: #fdf1f0; }
svg.days { display: block; width: 8.75rem; height: 1.75rem; }
svg.days rect { fill: #5b7fb4; } svg.days rect.now { fill: #1c2430; }
ul { padding-left: 1.2rem; } li { overflow-wrap: anywhere; }
@media (max-width: 30rem) { .less { display: none; } td.name { min-width: 5rem; } svg.days { width: 6rem; } }
"""


class Tracking:
    """The page, made anew where it is old; one at a time, whoever asks meanwhile waits for it."""

    def __init__(self, look: Callable[[datetime], Health]) -> None:
        self._look, self._lock = look, Lock()
        self._page, self._until = "", datetime.min  # noqa: DTZ901  # compared with UTC without a zone

    def page(self, now: datetime) -> str:
        """The page as of at most a minute ago."""
        moment = now.replace(tzinfo=None)
        with self._lock:
            if moment >= self._until:
                started = perf_counter()
                self._page = shown(self._look(now))
                self._until = moment + max(KEPT, timedelta(seconds=SHARE * (perf_counter() - started)))
            return self._page


def shown(found: Health) -> str:
    """The health as one page of HTML that asks nobody else."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
    title = f"<h1>Signals</h1><p class='soft'>Live events of {DAYS} days, as of {found.as_of:%Y-%m-%d %H:%M} UTC.</p>"
    body = _table(found) if found.signals else "<p>Nothing came live.</p>"
    return (
        f"<!doctype html><html lang='en'><head>{head}<title>Signals</title><style>{STYLE}{OWN}</style></head>"
        f"<body><main>{title}{_verdict(found)}{body}</main></body></html>"
    )


def _verdict(found: Health) -> str:
    if not found.signals:
        return ""
    if not found.warnings:
        return "<div class='verdict good'><strong>As usual</strong></div>"
    lines = "".join(f"<li>{escape(said[:300])}</li>" for said in found.warnings)
    return f"<div class='verdict bad'><strong>{many(len(found.warnings), 'warning')}</strong><ul>{lines}</ul></div>"


def _table(found: Health) -> str:
    heads = (
        "<th>Event, source</th><th>24 hours</th><th class='less'>usual</th>"
        f"<th>{DAYS} days</th><th class='less'>last, UTC</th>"
    )
    more = f"<p class='soft'>{found.more:,} rarer names are not shown.</p>" if found.more else ""
    rows = "".join(map(_row, found.signals))
    legend = "<p class='soft'>A bar is 24 hours, the dark one the last; red rows have a warning above.</p>"
    return f"<div class='scroll'><table><tr>{heads}</tr>{rows}</table></div>{legend}{more}"


def _row(one: Signal) -> str:
    wrong = " class='wrong'" if one.warnings else ""
    return (
        f"<tr{wrong}><td class='name'>{_cut(one.name)} <span class='soft'>{_cut(one.source)}</span></td>"
        f"<td>{one.days[0]:,}</td><td class='less'>{one.usual:,.0f}</td><td>{_picture(one)}</td>"
        f"<td class='less'>{one.last:%m-%d %H:%M}</td></tr>"
    )


def _picture(one: Signal) -> str:
    """A bar per day, the oldest left."""
    most = max(one.days)
    bars = []
    for place, count in enumerate(reversed(one.days)):
        high = round(count / most * HIGH, 1) if most else 0
        now = " class='now'" if place == DAYS - 1 else ""
        bars.append(f"<rect{now} x='{place * WIDE}' y='{HIGH - high}' width='{WIDE - 1}' height='{high}'/>")
    said = f"at most {most:,} in 24 hours"
    return f"<svg class='days' viewBox='0 0 {DAYS * WIDE} {HIGH}' role='img' aria-label='{said}'>{''.join(bars)}</svg>"


def _cut(text: str) -> str:
    return escape(text if len(text) <= NAME else f"{text[: NAME - 1]}…")
