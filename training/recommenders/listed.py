"""Listed: ids that many requests name alike; what a model makes of them, such as their places, is made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Made = TypeVar("Made")
MOST = 6  # who is remembered at once: a model, its order and that of what is popular, and those that follow them


class Listed:
    """The ids, an array for whoever takes it for one."""

    def __init__(self, ids: NDArray[np.str_]) -> None:
        self.ids = ids
        self._made: dict[int, tuple[object, Any]] = {}

    def told(self, by: object, make: Callable[[NDArray[np.str_]], Made]) -> Made:
        """What `make` gives for the ids, once for each who asks."""
        kept = self._made.get(id(by))
        if kept is None:
            if len(self._made) >= MOST:
                self._made.clear()
            kept = self._made[id(by)] = (by, make(self.ids))  # whoever is kept lends its number to nobody else
        made: Made = kept[1]
        return made

    def __len__(self) -> int:
        return len(self.ids)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.str_]:  # noqa: FBT001  # numpy's own
        return np.array(self.ids, dtype) if copy else np.asarray(self.ids, dtype)
