"""The global holdout: customers whom nothing personal reaches, so that there is somebody to compare all of it with.

`holdout` of `attune.yaml` is their share. Like an arm it is a hash: the same customers for ever, and of a share that
grows all who were held out before.

>>> [held_out(customer, 0.1) for customer in ("customer-1", "customer-6", "customer-5")]
[False, True, False]
>>> held_out("customer-6", 0.0)
False
"""

from __future__ import annotations

from features.assignment import bucket

SALT = "global-holdout"
REASON = "kept out to measure what all of it is worth: one of the global holdout"


def held_out(customer: str, share: float) -> bool:
    """Whether the customer is of the global holdout of this share, in [0, 1); nothing is computed where it is 0."""
    return share > 0 and bucket(SALT, customer) < share
