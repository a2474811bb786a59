"""Post: all reports anew where that is wanted, and the digest to whom it is for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from features.workspace import SETTINGS, Workspace
from serving.reports.digest import digest, recomputed
from serving.reports.mail import Server, send, written


def post(workspace: Workspace, now: datetime, *, to: Sequence[str], anew: bool) -> Iterator[str]:
    """Does it; what was done, in lines. What would stop the mail is an error before anything is computed.

    Raises RuntimeError at the end, with what it is, where a report could not be computed: the others are stored, and
    mailed.
    """
    sender = workspace.settings.reports.sender
    server = Server.told() if to else None
    if server and not sender:
        raise ValueError(f"{workspace.folder / SETTINGS}: reports.sender is missing: the address that the mail is from")
    faults = recomputed(workspace, now) if anew else []
    if anew:
        yield "reports computed" if not faults else f"reports computed, but {len(faults)}"
    if server and sender:
        send(server, written(digest(workspace, now, faults), sender, to))
        yield f"mailed to {len(to)} by {server.host}"
    if faults:
        raise RuntimeError(f"not computed: {'; '.join(faults)}")
