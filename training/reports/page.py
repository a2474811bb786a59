"""A report page: one HTML file that works offline, on a phone and in print.

Texts are escaped here and nowhere else; pictures are Vega-Lite, with the library bundled once into the file. The file
says itself which scripts may run in it, by their hashes, and that it asks nobody for anything.
"""

from __future__ import annotations

import json
import math
import os
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.workspace import Workspace

if TYPE_CHECKING:
    import altair as alt

VEGA_LITE = "6.4"  # the version of the schema that Altair 6.3 writes

STYLE = """
:root { --ink: #1c2430; --soft: #5b6675; --line: #dde3ea; --good: #14714a; --bad: #b3261e; --flat: #6b5a00; }
* { box-sizing: border-box; }
body { margin: 0; font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; color: var(--ink); }
main { max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .25rem; }
h3 { font-size: 1.02rem; margin: 1.75rem 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line); }
p { margin: .5rem 0; max-width: 46rem; }
h1, h2, h3, p, nav, summary, figcaption, .verdict, .warning { overflow-wrap: anywhere; }
.soft, figcaption { color: var(--soft); font-size: .9rem; }
.verdict { border-left: .4rem solid var(--flat); background: #faf8ee; padding: .75rem 1rem; margin: 1rem 0; }
.verdict.good { border-color: var(--good); background: #eef7f2; }
.verdict.bad, .warning { border-color: var(--bad); background: #fdf1f0; }
.verdict strong { font-size: 1.1rem; }
.warning { border-left: .4rem solid var(--bad); padding: .5rem 1rem; margin: .5rem 0; }
figure { margin: 1rem 0; }
.chart { width: 100%; }
.scroll { overflow-x: auto; }
table { border-collapse: separate; border-spacing: 0; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .3rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
.words.words { text-align: left; white-space: normal; min-width: 11rem; }
.words:first-child { overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: .75rem 0; font-size: .95rem; }
a { color: #1b5e9e; }
details { margin: .5rem 0; }
summary { cursor: pointer; color: var(--soft); }
@media (max-width: 30rem) {
  table { font-size: .85rem; }
  th, td { padding: .3rem; }
  th:first-child, td:first-child { position: sticky; left: 0; background: #fff; }
  .words.words { min-width: 7rem; }
}
@media (max-width: 22rem) {
  table { font-size: .8rem; }
  th, td { padding: .3rem .2rem; }
  .words.words { min-width: 6rem; }
}
@media print {
  details > * { display: block; }
  details::details-content { content-visibility: visible; }
  h2, figure, tr { break-inside: avoid; }
  h2, h3, summary { break-after: avoid; }
  .chart svg { max-width: 100%; height: auto; }
  .scroll { overflow: visible; }
  table { font-size: .75rem; }
  th, td { padding: .2rem .4rem; }
  .words.words { min-width: 6rem; }
  table:has(th:nth-child(11)) { font-size: .6rem; }
  table:has(th:nth-child(11)) :is(th, td) { padding: .15rem .25rem; }
}
"""

DRAW = """
for (const node of document.querySelectorAll("script[data-chart]")) {
  const spec = JSON.parse(node.textContent);
  vegaEmbed(node.previousElementSibling, spec, {actions: false, renderer: "svg", ast: true, defaultStyle: false})
    .then(() => node.previousElementSibling.dataset.drawn = "yes")
    .catch(error => { node.previousElementSibling.textContent = "This picture could not be drawn: " + error; });
}
"""

WORDS = ' class="words"'
HASHED = re.compile(r"'(sha256-[A-Za-z0-9+/]{43}=)'")
Cell = str | float | int | None


class Page:
    """Grows from top to bottom; `html` is the finished file."""

    def __init__(self, title: str, subtitle: str) -> None:
        self.title = title
        self._parts = [f"<h1>{escape(title)}</h1>", f'<p class="soft">{escape(subtitle)}</p>']
        self._charts = 0

    def section(self, title: str, *paragraphs: str) -> None:
        """A heading and its text."""
        self._parts.append(f'<h2 id="{anchor(title)}">{escape(title)}</h2>')
        self._parts += [f"<p>{escape(text)}</p>" for text in paragraphs]

    def subsection(self, title: str, *paragraphs: str) -> None:
        """A smaller heading and its text."""
        self._parts.append(f"<h3>{escape(title)}</h3>")
        self._parts += [f"<p>{escape(text)}</p>" for text in paragraphs]

    def links(self, label: str, targets: Mapping[str, str]) -> None:
        """A row of links, by their words; `label` says to those who do not see it what they are."""
        told = "".join(f'<a href="{escape(target)}">{escape(words)}</a>' for words, target in targets.items())
        self._parts.append(f'<nav aria-label="{escape(label)}">{told}</nav>')

    def details(self, summary: str, *paragraphs: str) -> None:
        """Text that opens with a click."""
        body = "".join(f"<p>{escape(text)}</p>" for text in paragraphs)
        self._parts.append(f"<details><summary>{escape(summary)}</summary>{body}</details>")

    def text(self, *paragraphs: str) -> None:
        self._parts += [f"<p>{escape(text)}</p>" for text in paragraphs]

    def verdict(self, headline: str, detail: str, *, kind: str) -> None:
        """The answer in words; `kind` is good, bad or flat (not distinguishable)."""
        body = f"<strong>{escape(headline)}</strong><br>{escape(detail)}"
        self._parts.append(f'<div class="verdict {escape(kind)}" role="note">{body}</div>')

    def warning(self, text: str) -> None:
        self._parts.append(f'<div class="warning" role="alert">{escape(text)}</div>')

    def chart(self, chart: alt.TopLevelMixin, caption: str) -> None:
        """A picture over the page's width, with its caption."""
        spec = json.dumps(chart.to_dict(), separators=(",", ":")).replace("<", "\\u003c")
        self._charts += 1
        self._parts.append(
            f'<figure><div class="chart" role="img" aria-label="{escape(caption)}"></div>'
            f'<script type="application/json" data-chart="{self._charts}">{spec}</script>'
            f"<figcaption>{escape(caption)}</figcaption></figure>"
        )

    def table(
        self, rows: Sequence[Mapping[str, Cell]], *, summary: str | None = None, words: Sequence[str] = ()
    ) -> None:
        """Rows with the same keys; with a `summary` the table is folded behind it. `words`: columns of plain words."""
        if not rows:
            return
        wrapped = {*words, *(name for row in rows for name, value in row.items() if _wraps(value))}
        head = "".join(_head(name, wraps=name in wrapped) for name in rows[0])
        cells = ("".join(_cell(value, wraps=name in wrapped) for name, value in row.items()) for row in rows)
        body = "".join(f"<tr>{row}</tr>" for row in cells)
        table = f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'
        folded = f"<details><summary>{escape(summary or '')}</summary>{table}</details>"
        self._parts.append(table if summary is None else folded)

    @property
    def html(self) -> str:
        """The whole file."""
        run = (_bundle(), DRAW) if self._charts else ()
        scripts = "".join(f"<script>{one}</script>" for one in run)
        return (
            '<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy([_hash(one) for one in run])}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{STYLE}</style></head>"
            f"<body><main>{''.join(self._parts)}</main>{scripts}</body></html>"
        )


def policy(hashes: Sequence[str]) -> str:
    """What a page may do: run the scripts of these hashes, and ask nobody for anything."""
    scripts = " ".join(f"'{one}'" for one in hashes) or "'none'"
    return f"default-src 'none'; style-src 'unsafe-inline'; script-src {scripts}; base-uri 'none'; form-action 'self'"


def hashes_of(html: str) -> list[str]:
    """The hashes of the scripts that a page of ours says to run, from its head alone."""
    return HASHED.findall(html.partition("<title>")[0])


def anchor(title: str) -> str:
    """The name by which a link leads to the heading."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


@cache
def _hash(script: str) -> str:
    return f"sha256-{b64encode(sha256(script.encode()).digest()).decode()}"


def _wraps(value: Cell) -> bool:
    """Long words wrap, and their column stands to the left; numbers and names do not."""
    return isinstance(value, str) and len(value) > 24


def _head(name: str, *, wraps: bool) -> str:
    return f'<th scope="col"{WORDS if wraps else ""}>{escape(name)}</th>'


def _cell(value: Cell, *, wraps: bool) -> str:
    return f"<td{WORDS if wraps else ''}>{escape(shown(value))}</td>"


def shown(value: Cell) -> str:
    """A number as a person reads it: thousands apart, three significant digits below a hundred; None is a dash."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, str):
        return value
    return _digits(value).replace("-", "\u2212")  # a minus, which does not break at a line's end


def _digits(value: float) -> str:
    if isinstance(value, int) or abs(value) >= 1000 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")


def interval(low: float | None, high: float | None) -> str:
    """An interval as it stands in tables; a dash where it is unknown."""
    if low is None or high is None:
        return shown(None)
    return f"{shown(float(low))} to {shown(float(high))}"


def signed(value: float) -> str:
    """A difference with its sign."""
    return f"{'+' if value >= 0 else '−'}{shown(abs(value))}"


def kind_of(lower: float, upper: float) -> str:
    """The kind of verdict that this interval of a difference allows."""
    return "good" if lower > 0 else "bad" if upper < 0 else "flat"


def stored(workspace: Workspace, name: str, found: Mapping[str, Any], page: Page) -> Path:
    """The path of the page among the workspace's reports, with its numbers beside it as JSON."""
    path: Path = workspace.reports / f"{name}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    whole(path.with_suffix(".json"), json.dumps(found, indent=1, allow_nan=False))
    whole(path, page.html)
    return path


def whole(path: Path, text: str) -> None:
    """Writes the file, which appears whole or not at all: a service may read it meanwhile, and another write it."""
    half = path.with_name(f".{path.name}.{os.getpid()}.part")
    half.write_text(text, encoding="utf-8")
    half.replace(path)


@cache
def _bundle() -> str:
    import vl_convert

    bundle = vl_convert.javascript_bundle(vl_version=VEGA_LITE)  # type: ignore[call-arg]  # the snippet has a default
    return bundle.replace("</script", "<\\/script")
