"""Memory that was let go of and that the C library keeps for later."""

from __future__ import annotations

import ctypes
import sys


def give_back() -> None:
    """Returns it to the system: two milliseconds for a hundred megabytes, else a tenth of one; of glibc only."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)
