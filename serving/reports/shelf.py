"""Shelf: the stored reports of a workspace, put there and found by their names; nothing is computed here.

experiments/KEY   experiment-KEY.json   models/RUN      model-RUN.json
uplift/RUN        uplift-RUN.json       campaigns/KEY   campaign-KEY.json
impact, journey, policy, segments       their own names
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from features.workspace import Workspace
from serving.reports.rows import csv_of
from training.reports.page import Page, stored, whole

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
SEVERAL = {"experiments": "experiment-", "models": "model-", "uplift": "uplift-", "campaigns": "campaign-"}
SINGLE = ("impact", "journey", "policy", "segments")
HEAD = 64_000  # bytes of a page in which its verdict stands
VERDICT = re.compile(r'<div class="verdict (good|bad|flat)"[^>]*><strong>(.*?)</strong><br>(.*?)</div>')
TITLE = re.compile(r"<title>(.*?)</title>")


@dataclass(frozen=True, slots=True)
class Entry:
    """One stored report: where it is found, what its page says first, and of when it is (UTC, without a zone)."""

    kind: str
    name: str
    title: str
    headline: str
    detail: str
    tone: str  # good, bad, flat or nothing
    computed_at: datetime

    @property
    def path(self) -> str:
        """Below `/reports/`."""
        return self.kind if self.kind in SINGLE else f"{self.kind}/{self.name}"

    @classmethod
    def of(cls, path: Path, kind: str, name: str) -> Self:
        """From the stored files."""
        return cls(kind, name, *_first(path.with_suffix(".html"), name), computed(path))


def keep(workspace: Workspace, name: str, report: Mapping[str, Any], page: Page) -> list[Path]:
    """Stores the report as JSON, HTML and CSV, each whole or not at all; the paths."""
    path = stored(workspace, name, report, page)
    whole(path.with_suffix(".csv"), csv_of(report))
    return [path.with_suffix(form) for form in (".json", ".html", ".csv")]


def file_of(reports: Path, kind: str, name: str) -> Path | None:
    """The stored JSON of this name; None where there is none, or could be none."""
    if kind in SINGLE:
        path = reports / f"{kind}.json"
    elif kind in SEVERAL and NAME.fullmatch(name):
        path = reports / f"{SEVERAL[kind]}{name}.json"
    else:
        return None
    return path if path.is_file() else None


def every(reports: Path) -> list[Entry]:
    """All that are stored, the newest first."""
    return sorted(_each(reports), key=lambda one: (one.computed_at, one.path), reverse=True)


def computed(path: Path) -> datetime:
    """Of when the report is: as it says, or else since when its file is there."""
    status = path.stat()
    return _computed(path, status.st_mtime_ns, status.st_size)


def read(path: Path) -> dict[str, Any]:
    """What is stored; ValueError where that is no report, OSError where it cannot be read."""
    try:
        found = json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path.name} holds a {type(found).__name__}, an object is needed")
    return found


def _each(reports: Path) -> Iterator[Entry]:
    for kind, name in _names(reports):
        path = file_of(reports, kind, name)
        with suppress(OSError):  # it went meanwhile, as a campaign's that is in the report no more
            if path is not None:
                yield Entry.of(path, kind, name)


def _names(reports: Path) -> Iterator[tuple[str, str]]:
    yield from ((kind, kind) for kind in SINGLE)
    for kind, start in SEVERAL.items():
        yield from ((kind, path.stem.removeprefix(start)) for path in reports.glob(f"{start}*.json"))


@lru_cache(1_000)
def _computed(path: Path, changed: int, _size: int) -> datetime:
    try:
        told = datetime.fromisoformat(read(path)["computed_at"])
        return told.astimezone(UTC).replace(tzinfo=None) if told.tzinfo else told
    except (KeyError, TypeError, ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(changed / 1e9, UTC).replace(tzinfo=None)


def _first(page: Path, name: str) -> tuple[str, str, str, str]:
    """Title, headline, detail and tone of the page; of a report that has none its name."""
    if not page.is_file():
        return name, "", "", ""
    status = page.stat()
    return _looked(page, status.st_mtime_ns, status.st_size)


@lru_cache(1_000)
def _looked(page: Path, _changed: int, _size: int) -> tuple[str, str, str, str]:
    with page.open("rb") as file:
        head = file.read(HEAD).decode("utf-8", "ignore")
    title, verdict = TITLE.search(head), VERDICT.search(head)
    tone, headline, detail = (html.unescape(part) for part in verdict.groups()) if verdict else ("", "", "")
    return (html.unescape(title[1]) if title else page.stem), headline, detail, tone
