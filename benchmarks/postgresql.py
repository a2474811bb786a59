"""A PostgreSQL server of one run's own: for the benchmarks, and for tests where nobody names one."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

NEEDED = "needs PostgreSQL: no initdb in /usr/lib/postgresql/*/bin or on PATH (Debian's package postgresql)"


def binaries() -> Path | None:
    """The folder of the newest server's programs, or None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@dataclass
class Server:
    """A server with a database at this address."""

    programs: Path
    folder: Path
    settings: Mapping[str, str]
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"postgresql://attune@/postgres?host={self.folder}"

    def start(self) -> None:
        """Returns when it takes connections."""
        self.process = _started(self.programs, self.folder, self.settings)
        _wait_until_ready(self.process, self.address, self.folder / "log")

    def stop(self, how: signal.Signals) -> None:
        """SIGINT: an operator's restart, who is connected is cut off; SIGQUIT: at once."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=60)


@contextmanager
def running(settings: Mapping[str, str]) -> Iterator[str]:
    """The address of a database on a new server, which ends with the block; its password is in PGPASSWORD."""
    with server(settings) as started:
        yield started.address


@contextmanager
def server(settings: Mapping[str, str]) -> Iterator[Server]:
    """The same with the server, for who restarts it."""
    programs = binaries()
    if programs is None:
        raise FileNotFoundError(NEEDED)
    folder = Path(tempfile.mkdtemp(prefix="attune-pg-", dir="/tmp"))  # a socket's path is short
    before = os.environ.get("PGPASSWORD")
    os.environ["PGPASSWORD"] = secrets.token_hex()
    made = Server(programs, folder, settings)
    try:
        _make(made)
        made.start()
        yield made
    finally:
        made.stop(signal.SIGQUIT)  # at once: nothing of it is kept
        shutil.rmtree(folder)
        os.environ.pop("PGPASSWORD", None)
        os.environ |= {} if before is None else {"PGPASSWORD": before}


def _make(server: Server) -> None:
    """A new cluster; PostgreSQL refuses to run as root, so root hands it to another user."""
    folder = server.folder
    secret = folder / "password"
    secret.write_text(os.environ["PGPASSWORD"])
    for path in (folder, secret) if os.geteuid() == 0 else ():
        shutil.chown(path, "nobody")
    words = ["--username=attune", "--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C"]
    initdb = [server.programs / "initdb", "--no-sync", "-D", folder / "data", *words]
    with (folder / "log").open("ab") as log:
        subprocess.run(initdb, cwd=folder, stdout=log, stderr=log, check=True, **_owner())
    secret.unlink()


def _started(programs: Path, folder: Path, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """It listens on a socket in the cluster's own folder: no port to collide on."""
    words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    command = [programs / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", *words]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **_owner())


def _owner() -> dict[str, Any]:
    return {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}


def _wait_until_ready(server: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"PostgreSQL did not start: {log.read_text()[-3000:]}")
