"""Sending: batches as an SDK makes them, and a client that posts them over connections that stay open."""

from __future__ import annotations

import http.client
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

import orjson

BATCH = 100  # events, as the libraries send them
LIBRARY = {"library": {"name": "analytics-python", "version": "2.3.4"}}
CUSTOMERS, ITEMS = 50_000, 5_000
NAMES = ("Product Viewed", "Product Added", "Product List Viewed", "Product Clicked")
AGAIN_SECONDS = 0.1  # a batch that was not acknowledged is sent again after this long


def batches(numbers: range, mark: str) -> list[bytes]:
    """Bodies of `/v1/batch` with these messages; `mark` keeps the messages of two runs apart."""
    now = datetime.now(UTC).isoformat()
    parts = [numbers[start : start + BATCH] for start in range(0, len(numbers), BATCH)]
    return [orjson.dumps({"batch": [_track(one, mark, now) for one in part], "sentAt": now}) for part in parts]


def message(number: int, mark: str) -> str:
    """The id of this message."""
    return f"{mark}-{number:08}-4d5e-8f60-9a7b1c2d3e4f"


def _track(number: int, mark: str, now: str) -> dict[str, object]:
    item = number * 7919 % ITEMS
    return {
        "type": "track",
        "event": NAMES[number % len(NAMES)],
        "userId": f"customer-{number * 104_729 % CUSTOMERS:07}",
        "anonymousId": f"device-{number * 104_729 % CUSTOMERS:07}",
        "messageId": message(number, mark),
        "timestamp": now,
        "integrations": {},
        "context": LIBRARY,
        "properties": {"product_id": f"item-{item:05}", "price": 4.5 + item % 90, "quantity": 1, "category": "tea"},
    }


@dataclass
class Sender:
    """Posts bodies over some connections; a body is sent until it is acknowledged."""

    port: int
    key: str
    connections: int = 8
    again: int = 0  # how often a body was not acknowledged at once
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, bodies: Iterable[bytes], done: Callable[[int], None] = lambda _: None) -> None:
        """Returns when all are acknowledged; `done` is told the place of each."""
        left = enumerate(bodies)
        with ThreadPoolExecutor(self.connections) as threads:
            for one in [threads.submit(self._work, left, done) for _ in range(self.connections)]:
                one.result()

    def _work(self, left: Iterator[tuple[int, bytes]], done: Callable[[int], None]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        while (one := self._next(left)) is not None:
            place, body = one
            while not self._sent(connection, body):
                with self._lock:
                    self.again += 1
                time.sleep(AGAIN_SECONDS)
            done(place)
        connection.close()

    def _next(self, left: Iterator[tuple[int, bytes]]) -> tuple[int, bytes] | None:
        with self._lock:
            return next(left, None)

    def _sent(self, connection: http.client.HTTPConnection, body: bytes) -> bool:
        token = b64encode(f"{self.key}:".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        try:
            connection.request("POST", "/v1/batch", body, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()  # it opens again with the next request
            return False
        if response.status not in (200, 429, 503, 504):
            raise RuntimeError(f"{response.status}: {answer[:300]!r}")
        return response.status == 200
