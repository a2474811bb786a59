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
from pathlib import Path

import psycopg

NEEDED = "needs PostgreSQL: no initdb in /usr/lib/postgresql/*/bin or on PATH (Debian's package postgresql)"


def binaries() -> Path | None:
    """The folder of the newest server's programs, or None where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


@contextmanager
def running(settings: Mapping[str, str]) -> Iterator[str]:
    """The address of a database on a new server, which ends with the block; its password is in PGPASSWORD."""
    programs = binaries()
    if programs is None:
        raise FileNotFoundError(NEEDED)
    folder = Path(tempfile.mkdtemp(prefix="attune-pg-", dir="/tmp"))  # a socket's path is short
    before = os.environ.get("PGPASSWORD")
    os.environ["PGPASSWORD"] = secrets.token_hex()
    server = _started(programs, folder, settings)
    try:
        address = f"postgresql://attune@/postgres?host={folder}"
        _wait_until_ready(server, address, folder / "log")
        yield address
    finally:
        server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
        server.wait(timeout=30)
        shutil.rmtree(folder)
        os.environ.pop("PGPASSWORD", None)
        os.environ |= {} if before is None else {"PGPASSWORD": before}


def _started(programs: Path, folder: Path, settings: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A new cluster's server; PostgreSQL refuses to run as root, so root hands it to another user.

    It listens on a socket in the cluster's own folder: no port to collide on.
    """
    secret = folder / "password"
    secret.write_text(os.environ["PGPASSWORD"])
    root = os.geteuid() == 0
    for path in (folder, secret) if root else ():
        shutil.chown(path, "nobody")
    user, groups = ("nobody", []) if root else (None, None)
    made = ["--username=attune", "--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C"]
    with (folder / "log").open("wb") as log:
        initdb = [programs / "initdb", "--no-sync", "-D", folder / "data", *made]
        subprocess.run(initdb, cwd=folder, stdout=log, stderr=log, check=True, user=user, extra_groups=groups)
        secret.unlink()
        words = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        command = [programs / "postgres", "-D", folder / "data", "-k", folder, "-c", "listen_addresses=", *words]
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, user=user, extra_groups=groups)


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
