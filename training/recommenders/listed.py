"""Listed: ids that many requests name alike; what a model makes of them, such as their places, is made once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import ref

import numpy as np
from numpy.typing import NDArray

Made = TypeVar("Made")


class Listed:
    """The ids, an array for whoever takes it for one."""

    def __init__(self, ids: NDArray[np.str_]) -> None:
        self.ids = ids
        self._made: dict[int, tuple[ref[object], Any]] = {}

    def told(self, by: object, make: Callable[[NDArray[np.str_]], Made]) -> Made:
        """What `make` gives for the ids, once for each who asks, as long as they live: a replaced release is let go."""
        number = id(by)
        kept = self._made.get(number)
        if kept is None or kept[0]() is not by:
            kept = self._made[number] = (ref(by, lambda gone: self._forget(number, gone)), make(self.ids))
        made: Made = kept[1]
        return made

    def _forget(self, number: int, gone: ref[object]) -> None:
        if (kept := self._made.get(number)) is not None and kept[0] is gone:  # or somebody else has its number
            self._made.pop(number, None)

    def __len__(self) -> int:
        return len(self.ids)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[np.str_]:  # noqa: FBT001  # numpy's own
        return np.array(self.ids, dtype) if copy else np.asarray(self.ids, dtype)
