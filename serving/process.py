"""The service as a process: what is checked before it starts."""

from __future__ import annotations

import ipaddress
import os
import runpy
import socket
import sys
import tempfile
from pathlib import Path

from features.keys import ASKED, known, valid
from features.ledger import Ledger
from features.workspace import Workspace
from serving.decisions.served import Served
from serving.decisions.state import State
from serving.http.logs import VARIABLE as LOG

THREADS = {  # of a worker; they take turns anyway
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    # glibc gives each an arena that keeps what it had at its peak: a release that one thread reads, another tries and a
    # third lets go of left half of itself behind with every swap
    "MALLOC_ARENA_MAX": "1",
    # and what is large goes back at once when it is let go of, else glibc moves that limit up to 32 MB
    "MALLOC_MMAP_THRESHOLD_": str(1 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 20),  # set with it: else the end of the heap goes and comes with every request
    "ARROW_DEFAULT_MEMORY_POOL": "system",  # the same memory as everybody's: its own pool kept what it had at its peak
}


def run(workspace: Workspace, *, host: str, port: int, workers: int, log: str) -> None:
    """BentoML in this process, after the port and all that its workers will read were found good."""
    ledger = Ledger.awaited(workspace.ledger)
    _require_key(workspace, ledger, host)
    _free(host, port)
    # without what is wrong with releases: `GET /v1/ready` says that
    State.read(workspace, Served.readable(workspace), ledger)
    os.environ["ATTUNE_WORKSPACE"] = str(workspace.folder)
    os.environ["ATTUNE_WORKERS"] = str(workers)
    os.environ[LOG] = log
    os.environ["BENTOML_HOME"] = str(_home(port))
    for name, value in THREADS.items():
        os.environ.setdefault(name, value)
    root = Path(__file__).resolve().parent.parent
    words = ["serve", "serving.service:Attune", "--host", host, "--port", str(port), "--working-dir", str(root)]
    sys.argv = ["bentoml", *words]
    runpy.run_module("bentoml", run_name="__main__", alter_sys=True)  # what was imported to look is there already


def _home(port: int) -> Path:
    """This service's own folder for the counters behind `/metrics`: starting BentoML wipes the one it is given.

    In memory where there is such a place: a worker that counts on a full disk would be ended by the system.
    """
    memory = Path("/dev/shm")  # noqa: S108  # the folder below is this user's only
    folder = memory if os.access(memory, os.W_OK) else Path(tempfile.gettempdir())
    home = folder / f"attune-{os.getuid()}-{port}"
    home.mkdir(mode=0o700, exist_ok=True)
    if home.stat().st_uid != os.getuid():
        raise OSError(f"{home} belongs to another user; choose another port with --port")
    return home


def _inside(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _require_key(workspace: Workspace, ledger: Ledger, host: str) -> None:
    """Who listens beyond this host has said who may ask; of a ledger that is away it is known from before."""
    keys = valid(known(workspace, ledger))
    if not _inside(host) and not any(key.role in ASKED for key in keys.values()):
        said = (
            f"without a key only a loopback address is served; make one of the roles {', '.join(sorted(ASKED))} first"
        )
        raise ValueError(f"host == {host!r}: {said} (`attune keys create NAME --role decide`)")


def _free(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise OSError(
                f"port {port} on {host} cannot be used: {error.strerror}; choose another with --port"
            ) from None
