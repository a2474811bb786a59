"""Doctor: what is installed, reachable and stale, one line each."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path
from urllib.parse import quote

import duckdb
from packaging.requirements import Requirement

from features.checksums import first_broken
from features.events import utc
from features.ledger import Ledger
from features.workspace import REFUSED, Workspace

FINE, STALE, BROKEN = "fine", "stale", "broken"
STALE_EVENTS = timedelta(days=7)  # a shop that sells has events every week
UNCLOSED = timedelta(days=2)  # a worker moves a day when it is over
STALE_RELEASE = timedelta(days=35)  # learned from what is over a month old
WARNINGS = 10  # about signals: a page shows all
KINDS = ("recommender", "uplift")
FUTURE = datetime.max  # noqa: DTZ901  # the tables keep UTC without a zone


@dataclass(frozen=True)
class Check:
    """What was looked at, `FINE`, `STALE` or `BROKEN`, and what was found."""

    what: str
    state: str
    found: str


def checked(folder: Path, *, port: int, now: datetime) -> list[Check]:
    """Every check of this installation and of the workspace in this folder; nothing is changed."""
    checks = [_python(), _packages(), _mlflow(), _port(port)]
    try:
        workspace = Workspace.open(folder)
    except (ValueError, OSError) as error:
        return [*checks, Check("workspace", BROKEN, str(error))]
    checks.append(Check("workspace", FINE, f"{workspace.folder} ({workspace.settings.name}, {workspace.hash})"))
    store = [_ledger(workspace), *_limits(workspace, now), _history(workspace, now)]
    store += [*_worker(workspace, now), *_signals(workspace, now)]
    return [*checks, *_own_files(workspace), *store, *_releases(workspace, now), *_refused(workspace)]


def shown(checks: list[Check]) -> str:
    """The checks as a table of text."""
    width = max(len(check.what) for check in checks)
    return "\n".join(f"{check.state:<6}  {check.what:<{width}}  {check.found}" for check in checks)


def installed() -> str | None:
    """The version of this Attune; None where it runs from its source."""
    try:
        return version("attune")
    except PackageNotFoundError:
        return None


def _python() -> Check:
    found = ".".join(str(part) for part in sys.version_info[:3])
    return Check("python", FINE if sys.version_info >= (3, 11) else BROKEN, f"{found}; 3.11 or newer is needed")


def _packages() -> Check:
    """The installed versions beside those that the installation's own metadata asks for."""
    try:
        asked = [Requirement(line) for line in distribution("attune").requires or []]
    except PackageNotFoundError:
        return Check("packages", STALE, "attune runs from its source; its requirements cannot be compared")
    wrong = [line for one in asked if (one.marker is None or one.marker.evaluate()) and (line := _wrong(one))]
    return Check("packages", BROKEN if wrong else FINE, "; ".join(wrong) or f"{len(asked)} as required")


def _wrong(asked: Requirement) -> str | None:
    try:
        found = version(asked.name)
    except PackageNotFoundError:
        return f"{asked.name} is not installed; {asked.specifier} is needed"
    return (
        None if asked.specifier.contains(found, prereleases=True) else f"{asked.name} {found} is not {asked.specifier}"
    )


def _mlflow() -> Check:
    """MLflow's store by its address alone: this floor does not import MLflow."""
    own = os.environ.get("ATTUNE_MLRUNS")
    address = "" if own else os.environ.get("MLFLOW_TRACKING_URI", "")
    if address and not address.startswith("sqlite:///"):
        return Check("mlflow", STALE, f"{address} is not a local store; it was not asked")
    home = Path(own) if own else Path(__file__).parents[1] / "mlruns"
    path = Path(address.removeprefix("sqlite:///")) if address else home / "mlflow.db"
    if not path.exists():
        return Check("mlflow", FINE, f"{path} is made by the first training")
    try:
        runs = _one(path, "SELECT count(*) FROM runs")
    except sqlite3.Error as error:
        return Check("mlflow", BROKEN, f"{path}: {error}")
    return Check("mlflow", FINE, f"{path}, {runs} runs")


def _port(port: int) -> Check:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            return Check("port", STALE, f"127.0.0.1:{port}: {error.strerror}; a service may run there already")
    return Check("port", FINE, f"127.0.0.1:{port} is free")


def _own_files(workspace: Workspace) -> Iterator[Check]:
    from features.catalog import read_catalog
    from features.left import read_pools

    readers: dict[str, Callable[[], str]] = {
        "offers": lambda: read_pools(workspace.folder),
        "catalogue": lambda: f"{len(read_catalog(workspace).frame):,} items",
    }
    for what, reader in readers.items():
        try:
            yield Check(what, FINE, reader())
        except (ValueError, OSError) as error:
            yield Check(what, BROKEN, " ".join(str(error).split()))


def _ledger(workspace: Workspace) -> Check:
    from features.migrations import NEWEST

    where = workspace.server or workspace.ledger_file
    try:
        found = _served(workspace) if workspace.server else _filed(workspace.ledger_file)
    except (OSError, sqlite3.Error) as error:
        return Check("ledger", BROKEN, str(error) if workspace.server else f"{where}: {error}")
    if found is None:
        return Check("ledger", FINE, f"{where}: no tables yet; made by the first import")
    revision, size = found
    if revision != NEWEST:
        return Check("ledger", BROKEN, f"{where}: {Ledger(workspace.ledger).remedy(revision)}")
    return Check("ledger", FINE, f"revision {revision}, {size}")


def _filed(path: Path) -> tuple[str, str] | None:
    """The revision and the size of a SQLite ledger that is whole."""
    if not path.exists():
        return None
    revision = str(_one(path, "SELECT version_num FROM alembic_version"))
    fault = _one(path, "PRAGMA quick_check(1)")
    if fault != "ok":
        raise sqlite3.DatabaseError(fault)
    return revision, f"{path.stat().st_size:,} bytes"


def _served(workspace: Workspace) -> tuple[str, str] | None:
    """The revision of a ledger on a server, and where that is."""
    revision = Ledger(workspace.ledger).revision()
    return None if revision is None else (revision, f"reachable at {workspace.server}")


def _limits(workspace: Workspace, now: datetime) -> Iterator[Check]:
    """What is left of each limited offer, where its files and the ledger can be read."""
    from features.left import limits_left

    try:
        yield from (
            Check(f"offer {key}", STALE if empty else FINE, said)
            for key, said, empty in limits_left(workspace, utc(now))
        )
    except (ValueError, OSError):
        return  # the checks of offers and ledger say why


def _history(workspace: Workspace, now: datetime) -> Check:
    from features.history import read_events

    try:
        events = read_events(workspace)
        span = events.span()
        count = int(events.before(FUTURE).count().to_pyarrow().as_py())
    except (OSError, duckdb.Error) as error:
        return Check("history", BROKEN, " ".join(str(error).split())[:200])
    if span is None:
        return Check("history", FINE, "no event yet")
    age = utc(now) - span[1]
    return Check("history", STALE if age > STALE_EVENTS else FINE, f"{count:,} events, the last {age.days} days ago")


def _worker(workspace: Workspace, now: datetime) -> Iterator[Check]:
    """Whether days are closed, where live events came in."""
    from features.history import longest_waiting

    ledger = Ledger(workspace.ledger)
    try:
        since = longest_waiting(ledger) if ledger.is_made() else None
    except OSError:
        return  # the check of the ledger says why
    if since is not None:
        late = utc(now) - since > UNCLOSED
        said = f"events wait in the ledger since {since:%Y-%m-%d %H:%M}"
        yield Check("worker", STALE if late else FINE, said + ("; `attune work` moves closed days" if late else ""))


def _signals(workspace: Workspace, now: datetime) -> Iterator[Check]:
    """Whether what comes in live is as it is usual."""
    from features.signals import DAYS, health

    try:
        found = health(workspace, now)
    except (OSError, duckdb.Error):
        return  # the check of the history says why
    for said in found.warnings[:WARNINGS]:
        yield Check("signals", STALE, f"{said}; /reports/signals shows more")
    if not found.warnings:
        sources = len({one.source for one in found.signals})
        counted = f"{len(found.signals)} signals of {sources} sources in {DAYS} days"
        yield Check("signals", FINE, counted if sources else f"nothing came live in {DAYS} days")


def _releases(workspace: Workspace, now: datetime) -> Iterator[Check]:
    for kind in KINDS:
        pointer = workspace.releases / kind / "current.json"
        what = f"{kind} release"
        try:
            number = json.loads(pointer.read_text())["version"]
            manifest = json.loads((pointer.parent / str(number) / "manifest.json").read_text())
            broken = first_broken(pointer.parent / str(number), manifest["files"])
            found = _corrupted(kind, number, broken) if broken else _aged(what, number, manifest, now)
        except FileNotFoundError as error:
            absent = error.filename == str(pointer)
            yield Check(what, FINE if absent else BROKEN, "none yet" if absent else f"{error.filename} is missing")
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            yield Check(what, BROKEN, f"{pointer}: {' '.join(str(error).split())}")
        else:
            yield found


def _refused(workspace: Workspace) -> Iterator[Check]:
    """What a service of this workspace found wrong; what was there before answers."""
    try:
        found = json.loads((workspace.state / REFUSED).read_text())
        yield from (Check("service", STALE, f"refused the {part}: {why}") for part, why in found.items())
    except FileNotFoundError:
        return
    except (ValueError, AttributeError) as error:
        yield Check("service", STALE, f"{workspace.state / REFUSED}: not readable ({error})")


def _corrupted(kind: str, number: object, broken: str) -> Check:
    again = f"`attune promote {kind} {number}` writes it again, `attune rollback {kind}` serves the one before"
    return Check(f"{kind} release", BROKEN, f"version {number} is corrupted: {broken} is not the manifest's; {again}")


def _aged(what: str, number: object, manifest: dict[str, str], now: datetime) -> Check:
    if not manifest.get("as_of"):
        return Check(what, FINE, f"version {number}")
    age = utc(now) - utc(datetime.fromisoformat(manifest["as_of"]))
    state = STALE if age > STALE_RELEASE else FINE
    return Check(what, state, f"version {number}, of what was known {age.days} days ago")


def _one(path: Path, query: str) -> object:
    address = f"file:{quote(str(path.resolve()))}?mode=ro"
    with closing(sqlite3.connect(address, uri=True, timeout=5)) as connection:
        row = connection.execute(query).fetchone()
    return row[0] if row else None
