"""The shell of a page for the shopper: plain HTML without scripts, which asks nobody for anything and fits a phone."""

from __future__ import annotations

from html import escape

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-robots-tag": "noindex",
}
SWITCHED = "a switch on the page behind a signed link"  # the proof of a word that was given with one
STYLE = """
:root { --ink: #1c2430; --soft: #5b6675; --line: #dde3ea; --good: #14714a; --paper: #fff; --back: #f4f6f9; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--back); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 40rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .5rem 0; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 0 0 .5rem; }
p { margin: .5rem 0; }
section { background: var(--paper); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem;
  margin: 1rem 0; }
ul { list-style: none; margin: 0; padding: 0; }
li { padding: .65rem 0; border-top: 1px solid var(--line); overflow-wrap: anywhere; }
li:first-child { border-top: 0; }
.soft { color: var(--soft); font-size: .9rem; }
.row { display: flex; flex-wrap: wrap; gap: .25rem 1rem; align-items: center; justify-content: space-between; }
.row > div { flex: 1 1 11rem; min-width: 0; }
.done { border-left: .4rem solid var(--good); }
button { font: inherit; min-height: 2.75rem; min-width: 5.5rem; padding: .4rem 1rem; border-radius: .5rem;
  border: 1px solid var(--ink); background: var(--paper); color: var(--ink); cursor: pointer; }
button.on { background: var(--good); border-color: var(--good); color: #fff; }
button:focus-visible { outline: 3px solid #7aa7ff; outline-offset: 2px; }
"""


def shell(title: str, *parts: str) -> str:
    """The whole page; `parts` are HTML, the title is text."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{''.join(parts)}</main></body></html>"
    )


def section(title: str, *parts: str) -> str:
    heading = f"<h2>{escape(title)}</h2>" if title else ""
    return f"<section>{heading}{''.join(parts)}</section>"


def words(text: str, kind: str = "") -> str:
    """A paragraph of text."""
    return f'<p class="{escape(kind)}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def listed(rows: list[str]) -> str:
    return f"<ul>{''.join(f'<li>{row}</li>' for row in rows)}</ul>"


def pair(text: str, below: str) -> str:
    """A line of text and a smaller one below it."""
    return f'<div>{escape(text)}<div class="soft">{escape(below)}</div></div>'


def switch(name: str, value: str, text: str, below: str, *, on: bool) -> str:
    """A line with a button that says what is so now and turns it over: a form, which works without scripts."""
    fields = "".join(
        f'<input type="hidden" name="{escape(key)}" value="{escape(said)}">'
        for key, said in ((name, value), ("granted", "no" if on else "yes"))
    )
    state, kind = ("On", ' class="on"') if on else ("Off", "")
    label = escape(f"{text}: {state}, press to change")
    button = f'<button{kind} aria-pressed="{str(on).lower()}" aria-label="{label}">{state}</button>'
    return f'<form method="post" class="row">{pair(text, below)}{fields}{button}</form>'
