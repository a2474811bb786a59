"""Served: `attune serve`, or another server, as a process that benchmarks send to, measure and kill."""

from __future__ import annotations

import http.client
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from features.workspace import Workspace

START_SECONDS = 300  # a busy machine takes its time


@dataclass
class Served:
    """A running service. `probe`: the path that answers once it is ready."""

    process: subprocess.Popen[bytes]
    port: int
    probe: str = "/readyz"

    @classmethod
    def start(cls, workspace: Workspace, *, port: int | None = None, workers: int = 1) -> Served:
        """The service of this workspace, once it answers."""
        place = port or free_port()
        words = ["serve", "-w", str(workspace.folder), "--port", str(place), "--workers", str(workers)]
        return cls.run(["serving.cli", *words], place, workspace.state / "service.log")

    @classmethod
    def run(
        cls,
        module: Sequence[str],
        port: int,
        log: Path,
        *,
        probe: str = "/readyz",
        environment: Mapping[str, str] | None = None,
    ) -> Served:
        """What `python -m` of these words serves on this port, once it answers; its words go to the log."""
        with log.open("ab") as out:
            under = os.environ | (environment or {})
            process = subprocess.Popen([sys.executable, "-m", *module], stdout=out, stderr=out, env=under)
        served = cls(process, port, probe)
        served._wait_until_ready(log)
        return served

    def family(self) -> list[psutil.Process]:
        """Its processes."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def rss_mb(self) -> float:
        """What its processes hold in memory, together; pages that they share count in each."""
        return sum(one.memory_info().rss for one in self.family()) / 1e6

    def cpu_s(self) -> float:
        """What its processes have spent."""
        return sum(sum(one.cpu_times()[:2]) for one in self.family())

    def kill(self) -> None:
        """kill -9 of all its processes, those that answer first."""
        for one in reversed(self.family()):
            one.kill()
        self.process.wait(timeout=30)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(timeout=60)

    def _wait_until_ready(self, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and self.process.poll() is None:
            if self._ready():
                return
            time.sleep(0.05)
        raise RuntimeError(f"the service did not start: {log.read_text()[-3000:]}")

    def _ready(self) -> bool:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", self.probe)
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()


def free_port() -> int:
    """A port of the loopback that nobody listens on, below those that the system gives to outgoing connections."""
    while True:
        port = 20_000 + secrets.randbelow(12_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def quiet() -> None:
    """One thread for each library: two cores are to be shared by the service and its store alone."""
    os.environ |= {"OMP_NUM_THREADS": "1", "BENTOML_DO_NOT_TRACK": "true", "DO_NOT_TRACK": "true"}
