"""Fixtures that every floor's tests share."""

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import psycopg
import pytest

SERVER_SETTINGS = {
    "listen_addresses": "",  # a socket in the cluster's own folder: no port to collide on
    "fsync": "off",  # what the tests kill is our processes, never the server's machine
    "shared_buffers": "16MB",
}
DIALECTS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real data that ATTUNE_DATA names; the test is skipped where it is not set."""
    folder = os.environ.get("ATTUNE_DATA")
    if not folder:
        pytest.skip("needs real data: set ATTUNE_DATA to the folder that holds it")
    assert Path(folder).is_dir(), f"ATTUNE_DATA == {folder!r} is no folder"
    return Path(folder)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The address of a database on a server of this session's own; its password is in PGPASSWORD."""
    binaries = _postgresql_binaries()
    if binaries is None:
        pytest.skip("needs PostgreSQL: no initdb in /usr/lib/postgresql/*/bin or on PATH (Debian's package postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="attune-pg-", dir="/tmp"))  # a socket's path is short
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PGPASSWORD", secrets.token_hex())
        server = _started(binaries, folder)
        try:
            address = f"postgresql://attune@/postgres?host={folder}"
            _wait_until_ready(server, address, folder / "log")
            yield address
        finally:
            server.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept
            server.wait(timeout=30)
            shutil.rmtree(folder)


@pytest.fixture(scope="session")
def new_database(postgresql: str) -> Callable[[], str]:
    """Makes room for one ledger and says its address: a schema of its own, 50 times cheaper than a database."""
    numbers = count()

    def make() -> str:
        name = f"shop_{next(numbers)}"
        with psycopg.connect(postgresql, autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
        return f"{postgresql}&options=-csearch_path%3D{name}"

    return make


@pytest.fixture(params=DIALECTS)
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a ledger that is not there yet, on each dialect."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'ledger.db'}"
    made: str = request.getfixturevalue("new_database")()
    return made


def _postgresql_binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("initdb")
    return found[-1].parent if found else Path(on_path).parent if on_path else None


def _started(binaries: Path, folder: Path) -> "subprocess.Popen[bytes]":
    """A new cluster's server; PostgreSQL refuses to run as root, so root hands it to another user."""
    secret = folder / "password"
    secret.write_text(os.environ["PGPASSWORD"])
    user = {"user": "nobody", "extra_groups": []} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "nobody")
        shutil.chown(secret, "nobody")
    made = ["--username=attune", "--auth=scram-sha-256", f"--pwfile={secret}", "--encoding=UTF8", "--locale=C"]
    with (folder / "log").open("wb") as log:
        command = [binaries / "initdb", "--no-sync", "-D", folder / "data", *made]
        subprocess.run(command, cwd=folder, stdout=log, stderr=log, check=True, **user)
        secret.unlink()
        settings = [word for name, value in SERVER_SETTINGS.items() for word in ("-c", f"{name}={value}")]
        command = [binaries / "postgres", "-D", folder / "data", "-k", folder, *settings]
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, **user)


def _wait_until_ready(server: "subprocess.Popen[bytes]", address: str, log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and server.poll() is None:
        try:
            psycopg.connect(address).close()
        except psycopg.OperationalError:
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"PostgreSQL did not start: {log.read_text()[-3000:]}")


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With ATTUNE_NO_SKIPS=1 a skipped test fails the run: everything that the tests need is said to be there."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = reporter.stats.get("skipped", []) if reporter else []
    if os.environ.get("ATTUNE_NO_SKIPS") == "1" and skipped and exitstatus == pytest.ExitCode.OK:
        reporter.write_line(f"{len(skipped)} tests were skipped although ATTUNE_NO_SKIPS == 1", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
