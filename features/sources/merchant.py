"""A Google Merchant feed: XML (RSS 2.0 or Atom, with the namespace g), read as far as it must be and no further.

What an entity or a document type could do to the reader is refused; sizes are bounded; nothing is fetched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.parsers import expat

from features.items import MAX_TEXT
from features.workspace import Settings

GOOGLE = "http://base.google.com/ns/1.0"
ITEMS = ("item", "entry")  # of RSS, of Atom
DEEPEST = 50
MAX_ITEMS = 500_000
BLOCK = 1 << 16
OURS = {"id": "item", "title": "name", "image_link": "image", "summary": "description"}
GONE = "out_of_stock"
MONEY = re.compile(r"(?:(?P<before>[A-Z]{3}) ?)?(?P<amount>[0-9]{1,12}(?:\.[0-9]{1,6})?)(?: ?(?P<after>[A-Z]{3}))?")
READ = ("price", "sale_price", "availability", "product_type", "google_product_category", *OURS)
Row = dict[str, str]


def read_xml(path: Path) -> list[Row]:
    """The items of the feed by the names of their elements; one line where it is no whole XML."""
    reader = _Reader()
    with path.open("rb") as file:
        try:
            while block := file.read(BLOCK):
                reader.parser.Parse(block)
            reader.parser.Parse(b"", True)  # noqa: FBT003  # expat takes no names
        except expat.ExpatError as error:
            raise ValueError(f"{path}: is no whole XML: {error}; nothing was imported") from None
        except (ValueError, LookupError) as error:
            raise ValueError(f"{path}: {error}; nothing was imported") from None
    return reader.rows


def google_item(row: Row, settings: Settings) -> dict[str, Any]:
    """Our fields from Google's; what Attune has no field for stays under its own name."""
    own = {name: value or None for name, value in row.items() if name not in READ}
    found: dict[str, Any] = {OURS[name]: row[name] or None for name in row if name in OURS}
    if "item" in found:
        found["item"] = row["id"]
    if category := row.get("product_type") or row.get("google_product_category"):
        found["category"] = category
    if price := row.get("sale_price") or row.get("price"):
        found["price"] = _money(price, settings)
    if "availability" in row:
        gone = row["availability"].strip().lower().replace(" ", "_") == GONE
        found["stock"] = 0.0 if gone else None
    return own | found


def _money(text: str, settings: Settings) -> float:
    """The amount in the workspace's currency."""
    given = MONEY.fullmatch(text.strip())
    if given is None:
        raise ValueError(f"price == {text[:40]!r}, must be one like '15.00 {settings.currency}'")
    rates: Mapping[str, float] = {settings.currency: 1.0, **settings.rates}
    code = given["after"] or given["before"] or settings.currency
    if code not in rates:
        raise ValueError(f"price == {text[:40]!r}, its currency has no rate")
    return float(given["amount"]) * rates[code]


class _Reader:
    """What expat tells, as rows: the texts of the children of each item; Google's own before the feed's."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._path: list[str] = []
        self._item = 0  # how deep the item is that is read; 0: none
        self._googles: set[str] = set()
        self._text = ""
        self.parser = expat.ParserCreate(namespace_separator="\n")
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._said

    def _refuse(self, *_told: object) -> None:
        raise ValueError("has a document type, which a feed has no use for")

    def _start(self, name: str, attributes: Mapping[str, str]) -> None:
        self._path.append(name)
        if len(self._path) > DEEPEST:
            raise ValueError(f"is nested more than {DEEPEST} deep")
        if not self._item and _local(name) in ITEMS:
            self._item = len(self._path)
            self.rows.append({})
            self._googles.clear()
            if len(self.rows) > MAX_ITEMS:
                raise ValueError(f"holds more than {MAX_ITEMS:,} items")
        self._text = attributes.get("href", "") if _local(name) == "link" else ""  # as Atom writes it

    def _said(self, text: str) -> None:
        if self._item and len(self._text) <= MAX_TEXT:
            self._text += text

    def _end(self, name: str) -> None:
        if self._item and len(self._path) == self._item + 1 and self._text.strip():
            self._keep(name, self._text.strip())
        if len(self._path) == self._item:
            self._item = 0
        self._path.pop()
        self._text = ""

    def _keep(self, name: str, text: str) -> None:
        """The first of each name; Google's over the feed's."""
        local, googles = _local(name), name.startswith(f"{GOOGLE}\n")
        if local not in self.rows[-1] or (googles and local not in self._googles):
            self.rows[-1][local] = text
        if googles:
            self._googles.add(local)


def _local(name: str) -> str:
    return name.rpartition("\n")[2]
