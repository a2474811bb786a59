"""A file of items: the shop's own CSV, or a Google Merchant feed as XML, TSV or CSV. Whole, or not at all."""

from __future__ import annotations

import csv
import gzip
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlsplit

from features.imported import require_file
from features.items import Item, item_of
from features.sources.merchant import MAX_ITEMS, google_item, read_xml
from features.workspace import Settings

MAX_FEED = 1 << 30  # bytes
GZIP = b"\x1f\x8b"  # the first bytes of any
SECONDS = 60  # that a server may stay silent
WORDS = ("item", "name", "category", "image", "link")  # texts also where all of a column look like numbers
Row = dict[str, str]


@dataclass(frozen=True)
class ReadItems:
    """The items of a file, and the rows that are none, each with its `reason`."""

    items: list[Item]
    rejected: list[dict[str, str]]


@contextmanager
def local(address: str) -> Iterator[Path]:
    """The file, or a copy of what this URL answers, which came whole; inflated where it is gzip, as large feeds are."""
    away = urlsplit(address).scheme in ("http", "https")
    given = None if away else require_file(Path(address))
    if given is not None and not _is_gzip(given):
        yield given
        return
    with TemporaryDirectory(prefix="attune-feed-") as folder:
        path = Path(folder) / "feed"
        if given is None:
            _fetch(address, path)
        if _is_gzip(given or path):
            path = _inflated(given or path, Path(folder) / "inflated", address)
        try:
            yield path
        except ValueError as error:  # in the words of who gave the address
            raise ValueError(str(error).replace(str(path), address)) from None


def read(path: Path, settings: Settings) -> ReadItems:
    """The items of this file; an error in one line where it is broken anywhere."""
    if path.stat().st_size > MAX_FEED:
        raise ValueError(f"{path}: has {path.stat().st_size:,} bytes, at most {MAX_FEED:,} are taken")
    if _head(path).startswith(b"<"):
        return _checked(read_xml(path), lambda row: google_item(row, settings), path)
    rows = _table(path)
    if "item" in rows[0]:
        numbers = _numeric(rows)
        return _checked(rows, lambda row: _own(row, numbers), path)
    if "id" in rows[0] and "title" in rows[0]:
        return _checked(rows, lambda row: google_item(row, settings), path)
    raise ValueError(f"{path}: has the columns {list(rows[0])[:20]}; 'item', or Google's 'id' and 'title' are needed")


def _checked(rows: Sequence[Row], made: Callable[[Row], Mapping[str, Any]], path: Path) -> ReadItems:
    if not rows:
        raise ValueError(f"{path}: holds no item; nothing was imported")
    found = ReadItems([], [])
    for place, row in enumerate(rows):
        try:
            found.items.append(item_of(made(row), f"item {place + 1}"))
        except ValueError as error:
            found.rejected.append({"reason": str(error).partition(": ")[2] or str(error), **row})
    return found


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(100).removeprefix(b"\xef\xbb\xbf").replace(b"\0", b"").lstrip(b"\xff\xfe \t\r\n")


def _table(path: Path) -> list[Row]:
    """The rows of a CSV or TSV; each has as many fields as the header, and the last one its line break."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 1))
            if file.read(1) not in b"\r\n":
                raise ValueError("the last line has no line break: the file may be cut off")
        with path.open(encoding="utf-8-sig", newline="") as text:
            return _rows(text)
    except (ValueError, csv.Error) as error:
        raise ValueError(f"{path}: {error}; nothing was imported") from None


def _rows(lines: Iterator[str]) -> list[Row]:
    csv.field_size_limit(min(sys.maxsize, 1 << 20))
    header = next(lines, "")
    mark = max("\t,;|", key=header.count)
    reader = csv.reader(lines, delimiter=mark, strict=True)
    names = [name.strip().lower().replace(" ", "_") for name in next(csv.reader([header], delimiter=mark, strict=True))]
    if len(set(names)) < len(names):
        raise ValueError(f"names a column twice: {names}")
    rows = []
    for row in reader:
        if row and len(row) != len(names):
            raise ValueError(f"line {reader.line_num + 1} has {len(row)} fields, the header {len(names)}")
        if row:
            rows.append(dict(zip(names, (field.strip() for field in row), strict=True)))
        if len(rows) > MAX_ITEMS:
            raise ValueError(f"holds more than {MAX_ITEMS:,} items")
    if not rows:
        raise ValueError("holds no row; a header and at least one row are needed")
    return rows


def _numeric(rows: Sequence[Row]) -> set[str]:
    """The columns that hold numbers: price and stock, and those of the shop's own where every value is one."""
    own = [name for name in rows[0] if name not in WORDS]
    return {name for name in own if all(not row[name] or _number(row[name]) is not None for row in rows)} | {
        name for name in ("price", "stock") if name in rows[0]
    }


def _own(row: Row, numbers: set[str]) -> dict[str, Any]:
    """The shop's own columns; an empty field is unknown. What should be a number and is none is refused later."""
    found: dict[str, Any] = {name: value or None for name, value in row.items()}
    for name in numbers & found.keys():
        number = _number(row[name])
        found[name] = found[name] if number is None else number
    return found | {"item": row["item"]}


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if isfinite(number) else None


def _is_gzip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == GZIP


def _inflated(packed: Path, path: Path, address: str) -> Path:
    try:
        with gzip.open(packed) as whole, path.open("wb") as file:
            while block := whole.read(1 << 20):
                file.write(block)
                if file.tell() > MAX_FEED:
                    raise ValueError(f"{address}: inflates to more than the {MAX_FEED:,} bytes that are taken")
            file.write(b"\n")  # gzip says that it is whole
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{address}: is no whole gzip: {error}; nothing was imported") from None
    return path


def _fetch(address: str, path: Path) -> None:
    import httpx

    try:
        with httpx.stream("GET", address, follow_redirects=True, timeout=SECONDS) as answer, path.open("wb") as file:
            if answer.status_code != 200:
                raise OSError(f"{address}: answered {answer.status_code}; nothing was imported")
            for block in answer.iter_bytes():
                file.write(block)
                if file.tell() > MAX_FEED:
                    raise ValueError(f"{address}: sends more than the {MAX_FEED:,} bytes that are taken")
            whole = {"content-length", "transfer-encoding"} & answer.headers.keys()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise OSError(f"{address}: could not be read: {error or type(error).__name__}; nothing was imported") from None
    if whole and not _is_gzip(path):
        with path.open("ab") as file:
            file.write(b"\n")  # HTTP says so
