"""Catalog: the items, their names and attributes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.items import live_items
from features.ledger import Ledger
from features.workspace import Workspace

COLUMNS = ("item", "name", "category", "price", "stock")  # further columns are the shop's own attributes


@dataclass(frozen=True)
class Catalog:
    """One row per item, indexed by item id (string). `stock` is NaN where it is not tracked, 0 when out of stock."""

    frame: pd.DataFrame

    @classmethod
    def of(cls, frame: pd.DataFrame) -> Catalog:
        """A catalogue from a frame with the column `item`; the other columns of `COLUMNS` are added when absent."""
        if "item" not in frame.columns:
            raise ValueError(f"catalogue has the columns {list(frame.columns)}; it needs 'item'")
        if lacking := int((frame["item"].isna() | (frame["item"] == "")).sum()):
            raise ValueError(f"catalogue has {lacking:,} rows without an item; each row is one item")
        frame = frame.assign(item=frame["item"].astype(str))
        repeated = frame["item"][frame["item"].duplicated()].unique().tolist()
        if repeated:
            raise ValueError(f"catalogue names {len(repeated)} items twice, e.g. {repeated[:3]}; each item once")
        for column in COLUMNS[1:]:
            if column not in frame.columns:
                frame[column] = np.nan if column in ("price", "stock") else None
        prices = pd.to_numeric(frame["price"], errors="coerce")  # one that is a text would make texts of all
        return cls(frame.assign(price=prices, stock=_numbers(frame, "stock")).set_index("item"))

    def updated(self, given: Mapping[str, Mapping[str, object]]) -> Catalog:
        """This catalogue with these fields over its own, and with the items that it lacked."""
        if not given:
            return self
        new = [item for item in given if item not in self.frame.index]
        grown = pd.Index([*self.frame.index, *new], name="item", dtype=self.frame.index.dtype) if new else None
        frame = self.frame.copy() if grown is None else self.frame.reindex(grown)
        places = frame.index.get_indexer(pd.Index(list(given), dtype=frame.index.dtype))
        for column in dict.fromkeys(name for fields in given.values() for name in fields):
            values = np.full(len(frame), None) if column not in frame else frame[column].to_numpy(object, copy=True)
            for place, fields in zip(places, given.values(), strict=True):
                values[place] = fields.get(column, values[place])
            frame[column] = pd.Series(values, frame.index, dtype=object).infer_objects()
        return Catalog(frame.assign(stock=_numbers(frame, "stock")))

    def name(self, item: str) -> str:
        """What a person calls the item; its id when the catalogue has no name."""
        return self._names.get(item, item)

    @cached_property
    def out_of_stock(self) -> NDArray[np.str_]:
        """Ids of the items whose stock is known to be 0 or less."""
        return self.frame.index[self.frame["stock"] <= 0].to_numpy(dtype=np.str_)

    def attribute(self, name: str) -> Mapping[str, object]:
        """Item to its value of this column, as `plain` gives it; `item` is the id itself."""
        if name not in self._attributes:
            if name != "item" and name not in self.frame.columns:
                raise ValueError(f"the catalogue has no attribute {name!r}; it has {['item', *self.frame.columns]}")
            column = self.frame.index.to_series() if name == "item" else self.frame[name]
            self._attributes[name] = dict(zip(self.frame.index, map(plain, column.tolist()), strict=True))
        return self._attributes[name]

    @cached_property
    def remembered(self) -> dict[bytes, Any]:
        """Items by what they were asked for with, as who asked made them, for whoever asks the same again."""
        return {}

    @cached_property
    def _attributes(self) -> dict[str, dict[str, object]]:
        return {}  # filled when first asked for

    @cached_property
    def _names(self) -> dict[str, str]:
        names = zip(self.frame.index.tolist(), self.frame["name"].tolist(), strict=True)
        return {item: name for item, name in names if isinstance(name, str) and name}


def plain(value: object) -> object:
    """The value as conditions compare it: a text, a number as float, true or false; None where it is missing."""
    if isinstance(value, str | bool):
        return value
    if isinstance(value, int | float):
        return None if math.isnan(value) else float(value)
    return None if value is None or value is pd.NaT or value is pd.NA else value


def read_catalog(workspace: Workspace) -> Catalog:
    """What was said live over the shop's `catalog.csv`, and that over what imports found out; items of each."""
    return read_files(workspace).updated(live_items(Ledger(workspace.ledger)))


def read_files(workspace: Workspace) -> Catalog:
    """The shop's `catalog.csv` over what imports found out; items of either."""
    parts = [pd.read_parquet(path) for path in sorted((workspace.state / "catalog").glob("*.parquet"))]
    own = workspace.folder / "catalog.csv"
    if own.exists():
        parts.insert(0, _own(own))
    if not parts:
        return Catalog.of(pd.DataFrame({"item": np.empty(0, object)}))
    frame = pd.concat(parts, ignore_index=True)
    return Catalog.of(frame.drop_duplicates("item"))


def read_items(path: Path) -> pd.DataFrame:
    """A CSV of items as it stands; an item may be called `NA` or `null`, which pandas takes for nothing elsewhere."""
    frame = pd.read_csv(path, dtype={"name": str, "category": str}, encoding="utf-8-sig")
    if "item" in frame.columns:
        ids = pd.read_csv(path, usecols=["item"], dtype=str, keep_default_na=False, encoding="utf-8-sig")
        frame["item"] = ids["item"]
    return frame


def _own(path: Path) -> pd.DataFrame:
    try:
        frame = read_items(path)
    except (ValueError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: could not be read as CSV: {' '.join(str(error).split())}") from None
    try:
        Catalog.of(frame)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return frame


def _numbers(frame: pd.DataFrame, column: str) -> pd.Series[float]:
    """The column, which decides something, as numbers; refused where a text stands in it."""
    numbers: pd.Series[float] = pd.to_numeric(frame[column], errors="coerce")
    odd = frame[numbers.isna() & frame[column].notna()]
    if len(odd):
        first = odd.iloc[0]
        raise ValueError(
            f"{column} == {first[column]!r} of item {first.get('item', first.name)!r}, must be a number or empty"
        )
    return numbers
