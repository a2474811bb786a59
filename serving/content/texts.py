"""Texts: those of slots and of `templates/`, parsed; what is wrong with one is a line with its file and line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from liquid.exceptions import LiquidError, TemplateNotFoundError
from liquid.static_analysis import TemplateAnalysis
from liquid.template import BoundTemplate

from features.conditions.comparisons import nearest
from features.slots import TEMPLATES, Stored, Text
from serving.content.liquid import environment
from serving.content.places import line_of

PERSONAL = ("traits", "segments", "stage")
ROOTS = (*PERSONAL, "items", "offer")


@dataclass(frozen=True)
class Parsed:
    """A text: its template, the names it asks for, and of `traits` which ones."""

    template: BoundTemplate
    roots: frozenset[str]
    traits: frozenset[str]


@dataclass(frozen=True)
class Source:
    """Where a text stands: a slot's file, and the keys in it."""

    path: Path
    keys: Sequence[str | int]
    inline: str = ""

    def line(self, index: int) -> str:
        """File and line of this place in the text."""
        return f"{self.path}:{line_of(self.path, self.keys) + self.inline.count(chr(10), 0, index)}"


class Texts:
    """How a workspace's texts are parsed. Every file of `templates/` is parsed at once."""

    def __init__(self, folder: Path, currency: str) -> None:
        self._folder = folder / TEMPLATES
        self._files = {path.name: _read(path) for path in sorted(self._folder.glob("*.liquid"))}
        self._liquid = {escaped: environment(self._files, currency, escaped=escaped) for escaped in (True, False)}
        for name in self._files:
            try:
                self._liquid[True].get_template(name)
            except LiquidError as error:
                raise ValueError(f"{self._of_file(name, _index(error))}: {error.message}") from None

    def parsed(self, text: Text, path: Path, keys: Sequence[str | int], *, escaped: bool) -> Parsed:
        """The text, proven to ask for nothing that no text can know."""
        liquid, source = self._liquid[escaped], Source(path, keys, "" if isinstance(text, Stored) else text)
        try:
            template = liquid.get_template(text.template) if isinstance(text, Stored) else liquid.from_string(text)
            found = template.analyze()
        except TemplateNotFoundError as error:
            raise ValueError(f"{source.line(0)}: there is no file {self._folder / str(error.args[0])}") from None
        except LiquidError as error:
            raise ValueError(
                f"{self._where(source, str(error.template_name or ''), _index(error))}: {error.message}"
            ) from None
        self._require(source, found)
        return Parsed(template, frozenset(found.globals), frozenset(_traits(found)))

    def _require(self, source: Source, found: TemplateAnalysis) -> None:
        """Refuses a name or a filter that there is not."""
        names = [(name, variables[0].span, ROOTS) for name, variables in found.globals.items()]
        filters = [(name, spans[0], tuple(self._liquid[True].filters)) for name, spans in found.filters.items()]
        for name, span, known in [*names, *filters]:
            if name not in known:
                what = "name" if known is ROOTS else "filter"
                where = self._where(source, span.template_name, span.index)
                raise ValueError(f"{where}: Liquid knows no {what} {name!r} here{nearest(name, known)}")

    def _where(self, source: Source, name: str, index: int) -> str:
        return self._of_file(name, index) if name in self._files else source.line(index)

    def _of_file(self, name: str, index: int) -> str:
        return f"{self._folder / name}:{1 + self._files[name].count(chr(10), 0, index)}"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}") from None


def _index(error: LiquidError) -> int:
    return max(error.token.start_index, 0) if error.token is not None else 0


def _traits(found: TemplateAnalysis) -> Iterator[str]:
    for variable in found.globals.get("traits", ()):
        name = variable.segments[1] if len(variable.segments) > 1 else None
        if isinstance(name, str):
            yield name
