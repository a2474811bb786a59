"""Load: one process that asks a server over connections that stay open, as fast as it answers or at a fixed rate.

Plain sockets and epoll: about 15 microseconds a request, so that on two cores it is the server that is measured.
"""

from __future__ import annotations

import select
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import cycle

import numpy as np
import orjson
import psutil

from benchmarks.served import Served

PART = 1 << 16  # bytes read at once
PATIENCE = 0.05  # seconds that one look at the connections waits
MOST = 256  # connections: of an open loop what is asked meanwhile waits for no answer
ACCEPTED = 10.0  # seconds within which a new connection is
UNANSWERED = 30.0  # seconds after the last request at which what is not answered has failed
Right = Callable[[float, bytes, bytes], bool]  # when it was due, what was asked, the body of the answer


@dataclass
class Drive:
    """What came of it: seconds from when each request was due to its answer, and how many were not answered by 200,
    or, where somebody looks at the answers, not rightly."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    failed: int = 0
    right: Right | None = None

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.latencies) / self.seconds

    def ms(self, quantile: float) -> float:
        """The latency at this quantile."""
        return float(np.quantile(self.latencies, quantile) * 1000)


def request(path: str, body: object) -> bytes:
    """The bytes of one POST."""
    content = orjson.dumps(body)
    lines = (f"POST {path} HTTP/1.1", "Host: 127.0.0.1", "Content-Type: application/json")
    return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content


class _Connection:
    """One request at a time."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.due, self._read, self._needed = 0.0, b"", 0
        self.asked = b""  # what is to be answered

    def ask(self, one: bytes, due: float) -> None:
        self.due, self._read, self._needed, self.asked = due, b"", 0, one
        with suppress(OSError):  # who closed it is seen by reading
            self.socket.sendall(one)

    def answered(self) -> bool:
        """Reads what has come; whether that is all of the answer."""
        part = self.socket.recv(PART)
        if not part:
            raise ConnectionError("the server closed the connection")
        self._read = self._read + part if self._read else part
        if not self._needed and (end := self._read.find(b"\r\n\r\n")) >= 0:
            head = self._read[:end].lower()
            _, _, length = head.partition(b"content-length:")
            self._needed = end + 4 + int(length.split(b"\r\n", 1)[0])
        return bool(self._needed) and len(self._read) >= self._needed

    def good(self, right: Right | None) -> bool:
        if self._read[9:12] != b"200":
            return False
        return right is None or right(self.due, self.asked, self._read.partition(b"\r\n\r\n")[2])


class Client:
    """Connections to a server, of which each of its workers holds as many: at rest the first to wake takes all."""

    def __init__(self, served: Served, connections: int, workers: int) -> None:
        self._port, self._poll = served.port, select.epoll()
        self._known: dict[int, _Connection] = {}
        self._free = deque[_Connection]()
        family, held = served.family(), Counter[int]()
        while len(self._free) < connections:
            one = self._opened()
            worker = _holder(one, family)
            if held[worker] < connections / workers:
                held[worker] += 1
                self._free.append(one)
            else:
                self._closed(one)

    def saturate(self, requests: Sequence[bytes], seconds: float) -> Drive:
        """Every connection asks again as soon as it is answered."""
        found, each, start = Drive(), cycle(requests), time.perf_counter()
        for one in self._free:
            one.ask(next(each), time.perf_counter())
        asking, self._free, end = len(self._free), deque(), start + seconds
        while asking:
            for one in self._came(found, PATIENCE):
                if time.perf_counter() < end:
                    one.ask(next(each), time.perf_counter())
                else:
                    asking -= 1
                    self._free.append(one)
        found.seconds = time.perf_counter() - start
        return found

    def pace(
        self, requests: Sequence[bytes], rate: float, seconds: float, seed: int, right: Right | None = None
    ) -> Drive:
        """Requests come by chance, so many a second, whether or not the earlier ones were answered."""
        gaps = np.random.default_rng(seed).exponential(1 / rate, int(rate * seconds))
        start, found, each, asking = time.perf_counter(), Drive(right=right), cycle(requests), 0
        due = deque((start + np.cumsum(gaps)).tolist())
        end = due[-1] + UNANSWERED
        while due or asking:
            while due and due[0] <= time.perf_counter() and (self._free or len(self._known) < MOST):
                one = self._free.popleft() if self._free else self._opened()
                one.ask(next(each), due.popleft())
                asking += 1
            full = not self._free and len(self._known) >= MOST  # then an answer is waited for, not the next request
            wait = PATIENCE if full or not due else max(due[0] - time.perf_counter(), 0.0)
            for one in self._came(found, min(wait, PATIENCE)):
                self._free.append(one)
                asking -= 1
            if time.perf_counter() > end:
                found.failed += asking
                break
        found.seconds = time.perf_counter() - start
        return found

    def close(self) -> None:
        for one in self._known.values():
            one.socket.close()
        self._poll.close()

    def _opened(self) -> _Connection:
        one = _Connection(self._port)
        self._known[one.socket.fileno()] = one
        self._poll.register(one.socket, select.EPOLLIN)
        return one

    def _closed(self, one: _Connection) -> None:
        del self._known[one.socket.fileno()]
        self._poll.unregister(one.socket)
        one.socket.close()

    def _came(self, found: Drive, wait: float) -> Iterator[_Connection]:
        """The connections whose answers are whole now, or that were closed instead and are open again."""
        for number, _ in self._poll.poll(wait):
            one = self._known[number]
            try:
                whole = one.answered()
            except OSError:
                again = self._again(one)
                if one.asked:
                    found.failed += 1
                    yield again
                continue
            if whole:
                found.latencies.append(time.perf_counter() - one.due)
                found.failed += not one.good(found.right)
                one.asked = b""
                yield one

    def _again(self, one: _Connection) -> _Connection:
        """A new connection in the place of one that was closed."""
        self._closed(one)
        fresh = self._opened()
        if one in self._free:
            self._free[self._free.index(one)] = fresh
        return fresh


def _holder(one: _Connection, family: Sequence[psutil.Process]) -> int:
    """Which of these processes has accepted the connection."""
    port, end = one.socket.getsockname()[1], time.perf_counter() + ACCEPTED
    while time.perf_counter() < end:
        for process in family:
            if any(port == known.raddr.port for known in process.net_connections("tcp4") if known.raddr):
                return process.pid
    raise RuntimeError(f"no process of the server has accepted a connection within {ACCEPTED:g} seconds")
