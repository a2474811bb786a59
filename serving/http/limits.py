"""Limits: how often a key may ask one worker. A bucket per key fills steadily, and a request takes one from it."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from features.keys import Key
from serving.http.errors import HttpError


@dataclass(slots=True)
class Bucket:
    """What is left of a second's requests, as of a moment."""

    left: float
    moment: float


class Limits:
    """The buckets of the keys that asked, in this process."""

    def __init__(self) -> None:
        self._buckets: dict[str, Bucket] = {}

    def take(self, key: Key, moment: float) -> None:
        """One request of this key at this second of any steady clock; 429 where it asked too often."""
        rate = key.rate
        bucket = self._buckets.get(key.hash) or self._buckets.setdefault(key.hash, Bucket(rate, moment))
        bucket.left = min(rate, bucket.left + (moment - bucket.moment) * rate)
        bucket.moment = moment
        if bucket.left < 1:
            said = f"the key {key.id}... may ask {rate} times a second; ask again after the seconds of Retry-After"
            raise HttpError(429, "too_many", said, {"retry-after": str(ceil((1 - bucket.left) / rate))})
        bucket.left -= 1
