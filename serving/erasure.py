"""`attune erase`: a person leaves the workspace; what cannot be reached from here is named.

hashes      no event and no import brings the person back
journal     segments of dead workers go to the ledger; living workers replace theirs
files       history, campaigns' logs, rejects, runs, releases, reports
ledger      consents, events, decisions, aliases; then its files are written anew
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from features.erasure import erase_files, erase_rows, forget
from features.history import locked
from features.ledger import Ledger
from features.person import person_of
from features.registered import registered_files
from features.workspace import Workspace
from serving.decisions.copies import forget_copies
from serving.decisions.journal import FORGET, SEGMENT, recover
from training.erasure import erase_training

PATIENCE = 10.0  # seconds; a worker looks every `GROUP_SECONDS`
SERVED = (
    "service: answers the customer as somebody unknown from now on, and from releases without the customer in seconds"
)


def erase(workspace: Workspace, customer: str, now: datetime) -> Iterator[str]:
    """Erases the person whom this id names; a line on each place that held something, and on what is left."""
    ledger, person = Ledger.at(workspace.ledger), person_of(workspace, customer)
    journal = workspace.state / "journal"
    recover(journal, ledger)
    forget(workspace, person, now)
    with locked(workspace):  # a day that closed now would carry rows from the ledger into the history, past us
        found = [*erase_files(workspace, person), *erase_training(workspace, person), *_replaced(journal)]
        found += erase_rows(ledger, person)
    forget_copies(workspace)
    yield from found or ["nothing was known of the customer"]
    for path, kind in registered_files(ledger):
        yield f"not erased: {path} ({kind}), which was asked for; delete it or write it again"
    yield (
        f"erased: {len(person.ids)} ids; a salted hash of each stays, as of the addresses, "
        "so that no import and no event brings one back"
    )


def _replaced(journal: Path) -> Iterator[str]:
    """Waits until living workers have replaced their segments."""
    old = set(journal.glob(f"*{SEGMENT}"))
    if not old:
        return
    (journal / FORGET).touch()
    deadline = time.monotonic() + PATIENCE
    while (left := [path for path in old if path.exists()]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for path in left:
        yield f"journal: {path} is still written to; erase again"
    yield SERVED
