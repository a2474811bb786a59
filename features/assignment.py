"""The assignment hash: the same customer and salt give the same bucket, everywhere and for ever.

>>> round(bucket("welcome-test", "customer-1"), 12)
0.385981070273
>>> arm("welcome-test", "customer-1", {"control": 0.5, "treatment": 0.5})
'control'
"""

import hashlib
import math
from collections.abc import Mapping

BITS = 52  # a double holds 52 bits of fraction exactly, so every language computes the same number


def bucket(salt: str, customer: str) -> float:
    """A number in [0, 1): the first 52 bits of SHA-256(`salt:customer`) over 2^52."""
    digest = hashlib.sha256(f"{salt}:{customer}".encode()).digest()
    return (int.from_bytes(digest[:7], "big") >> 4) / float(2**BITS)


def arm(salt: str, customer: str, shares: Mapping[str, float]) -> str | None:
    """The arm whose share holds the customer's bucket, or None outside all shares.

    Shares are laid out in the mapping's order from 0; they are >= 0 and sum to at most 1.
    """
    if any(share < 0 for share in shares.values()) or math.fsum(shares.values()) > 1 + 1e-9:
        raise ValueError(f"shares == {dict(shares)}, must be >= 0 and sum to at most 1 (salt {salt!r})")
    position, edge = bucket(salt, customer), 0.0
    for name, share in shares.items():
        edge += share
        if position < edge or (edge > 1 - 1e-9 and share > 0):
            return name
    return None
