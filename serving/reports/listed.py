"""Listed: the page of all stored reports, and what stands above each of them when it is served."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from typing import Any

from features.events import utc
from features.words import many
from serving.reports.shelf import SEVERAL, Entry
from training.reports.page import STYLE, hashes_of, policy

ASIDE = ("campaigns",)  # there may be many, and the report of impact has them all: shown where they are asked for
MOST = 200  # reports on a page; the JSON has all
DAY = 86_400
WORDS = {
    "experiments": "Experiments",
    "models": "Recommenders",
    "uplift": "Uplift",
    "campaigns": "Campaigns",
    "impact": "Impact",
    "journey": "Journey",
    "policy": "Policies",
    "segments": "Segments",
}
OWN = """
ul.reports { list-style: none; padding: 0; } ul.reports li { border-top: 1px solid var(--line); padding: .6rem 0; }
ul.reports a { font-weight: 600; overflow-wrap: anywhere; }
.tone { border-left: .35rem solid var(--line); padding-left: .6rem; margin: .2rem 0; overflow-wrap: anywhere; }
.tone.good { border-color: var(--good); } .tone.bad { border-color: var(--bad); }
.tone.flat { border-color: var(--flat); }
nav a[aria-current] { color: var(--ink); font-weight: 600; text-decoration: none; }
form { display: inline; } button { font: inherit; background: none; border: 0; padding: 0; color: #1b5e9e;
  text-decoration: underline; cursor: pointer; }
"""
CHART = '<script type="application/json" data-chart='
OLD = (
    '<div class="warning" role="alert">An older Attune wrote this page: no picture is drawn here. Write it anew.</div>'
)
OUT = '<form method="post" action="/reports/sign-out"><button>Sign out</button></form>'


def told(entries: Sequence[Entry], now: datetime) -> dict[str, Any]:
    """The list as plain values."""
    return {"reports": [_told(one, now) for one in entries]}


def page(entries: Sequence[Entry], kind: str | None, now: datetime) -> str:
    """The list as one page of HTML that asks nobody else; of one kind where it is given."""
    shown = [one for one in entries if (kind or one.kind) == one.kind and (kind or one.kind not in ASIDE)]
    rows = "".join(_row(one, now) for one in shown[:MOST])
    more = f"<p class='soft'>{len(shown) - MOST:,} older ones are not shown.</p>" if len(shown) > MOST else ""
    none = "<p>Nothing is stored yet: <code>attune report experiment KEY</code> stores a report.</p>"
    body = f"<ul class='reports'>{rows}</ul>{more}" if rows else none
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
    allowed = f'<meta http-equiv="Content-Security-Policy" content="{policy([])}">'
    return (
        f'<!doctype html><html lang="en"><head>{head}{allowed}<title>Reports</title><style>{STYLE}{OWN}</style></head>'
        f"<body><main><h1>Reports</h1>{''.join(_links(entries, kind))}{body}</main></body></html>"
    )


def framed(html: str, path: Path, kind: str, age: int) -> str:
    """The stored page below a line that says how old it is, and leads to the list, the JSON and the CSV."""
    name = path.stem.removeprefix(SEVERAL.get(kind, ""))
    own = "<style>form{display:inline}form button{font:inherit;background:none;border:0;padding:0;color:#1b5e9e;"
    own += "text-decoration:underline;cursor:pointer}@media print{nav{display:none}}</style>"
    links = (
        '<a href="/reports/">All reports</a>'
        f'<a href="{escape(name)}.json">JSON</a><a href="{escape(name)}.csv">CSV</a>'
        f'<span class="soft">computed {ago(age)}</span>{OUT}'
    )
    old = "" if hashes_of(html) or CHART not in html else OLD
    return html.replace("<main>", f'{own}<main><nav aria-label="Reports">{links}</nav>{old}', 1)


def ago(seconds: int) -> str:
    """An age as a person says it."""
    for size, word in ((DAY, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            return f"{many(seconds // size, word)} ago"
    return "just now"


def _told(one: Entry, now: datetime) -> dict[str, Any]:
    return {
        "report": one.path,
        "kind": one.kind,
        "title": one.title,
        "headline": one.headline,
        "detail": one.detail,
        "computed_at": one.computed_at.isoformat(timespec="seconds") + "Z",
        "age_seconds": max(0, int((utc(now) - one.computed_at).total_seconds())),
    }


def _links(entries: Sequence[Entry], kind: str | None) -> Iterator[str]:
    """A link for each kind that there is, which shows that kind alone."""
    kinds = [one for one in WORDS if any(entry.kind == one for entry in entries)]
    links = [("All", "/reports/", None), *((WORDS[one], f"/reports/?kind={one}", one) for one in kinds)]
    named = (
        f'<a href="{target}"{" aria-current=page" if own == kind else ""}>{words}</a>' for words, target, own in links
    )
    yield f'<nav aria-label="Kinds of reports">{"".join(named)}<a href="/reports/signals">Signals</a>{OUT}</nav>'


def _row(one: Entry, now: datetime) -> str:
    age = ago(_told(one, now)["age_seconds"])
    detail = f'<br><span class="soft">{escape(one.detail)}</span>' if one.detail else ""
    headline = f'<div class="tone {one.tone}">{escape(one.headline)}{detail}</div>' if one.headline else ""
    title = f'<a href="/reports/{escape(one.path)}">{escape(one.title)}</a>'
    return f"<li>{title} <span class='soft'>{age}</span>{headline}</li>"
