"""Where: the items that a request asks for by their attributes, as the catalogue has them now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from features.catalog import Catalog
from features.conditions.facts import item_holds
from features.conditions.grammar import Attribute, leaves, of_items, parsed
from training.recommenders.listed import Listed

MOST = 50  # conditions remembered per catalogue; a page asks for the same few again and again
GONE = b"out of stock"  # no condition is written so
Items = NDArray[np.str_]


def fitting(catalog: Catalog, where: Mapping[str, Any] | None) -> Listed | None:
    """The items for which the condition holds; None where there is none, so that all may be answered."""
    if where is None:
        return None
    return _remembered(catalog, orjson.dumps(where, option=orjson.OPT_SORT_KEYS), lambda: _fitting(catalog, where))


def fitted(catalog: Catalog, where: Mapping[str, Any] | None) -> bool:
    """Whether the items for this condition are known already."""
    return where is None or orjson.dumps(where, option=orjson.OPT_SORT_KEYS) in catalog.remembered


def held(catalog: Catalog, where: Mapping[str, Any], ids: Sequence[str]) -> list[bool]:
    """For which of these items the condition holds; asked of them alone."""
    condition = of_items(parsed(where, "where"))
    names = {leaf.item for leaf in leaves(condition) if isinstance(leaf, Attribute)}
    columns = {name: catalog.attribute(name) for name in names}
    return [item_holds(condition, {name: column.get(one) for name, column in columns.items()}) for one in ids]


def gone(catalog: Catalog) -> Listed:
    """The items that are out of stock."""
    return _remembered(catalog, GONE, lambda: catalog.out_of_stock)


def in_categories(catalog: Catalog, items: Sequence[str]) -> Listed | None:
    """The items of the categories that these are of; None where the catalogue knows of none."""
    of = catalog.attribute("category")
    names = sorted({str(name) for one in items if (name := of.get(one)) is not None})
    return fitting(catalog, {"item": "category", "in": names}) if names else None


def _remembered(catalog: Catalog, said: bytes, find: Callable[[], Items]) -> Listed:
    known = catalog.remembered
    found: Listed | None = known.get(said)
    if found is None:
        if len(known) >= MOST:
            known.clear()
        found = known[said] = Listed(find())
    return found


def _fitting(catalog: Catalog, where: Mapping[str, Any]) -> Items:
    items = catalog.frame.index.tolist()
    return np.array([one for one, fits in zip(items, held(catalog, where, items), strict=True) if fits], dtype=np.str_)
