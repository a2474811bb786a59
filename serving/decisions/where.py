"""Where: the items that a request asks for by their attributes, as the catalogue has them now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from features.catalog import Catalog
from features.conditions.facts import item_holds
from features.conditions.grammar import Attribute, leaves, of_items, parsed

MOST = 50  # conditions remembered per catalogue; a page asks for the same few again and again
Items = NDArray[np.str_]


def fitting(catalog: Catalog, where: Mapping[str, Any] | None) -> Items | None:
    """The items for which the condition holds; None where there is none, so that all may be answered."""
    if where is None:
        return None
    known, said = catalog.remembered, orjson.dumps(where, option=orjson.OPT_SORT_KEYS)
    if said not in known:
        if len(known) >= MOST:
            known.clear()
        known[said] = _fitting(catalog, where)
    return known[said]


def _fitting(catalog: Catalog, where: Mapping[str, Any]) -> Items:
    condition = of_items(parsed(where, "where"))
    names = {leaf.item for leaf in leaves(condition) if isinstance(leaf, Attribute)}
    columns = {name: catalog.attribute(name) for name in names}
    items = catalog.frame.index.tolist()
    fits = [one for one in items if item_holds(condition, {name: column[one] for name, column in columns.items()})]
    return np.array(fits, dtype=np.str_)
