"""Schedule: what `attune work` does at the times of attune.yaml, trainings and reports, one at a time, as processes.

    .attune/schedule.json   the day on which each was begun last: a worker that starts again does not train again
    .attune/refit.log       what the last of them said

A training that was missed while no worker ran is begun by the next one on that day.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from features.workspace import Workspace
from training.release import write_json

SCHEDULED, LOG = "schedule.json", "refit.log"
REPORTS = "reports"  # what is not a training


class Refits:
    """The trainings of a worker."""

    def __init__(self) -> None:
        self._kind = ""
        self._running: subprocess.Popen[bytes] | None = None

    def look(self, workspace: Workspace, now: datetime) -> str | None:
        """Says what a training that ended came to, else begins the one that is due."""
        if self._running is None:
            if (kind := due(workspace, now)) is not None:
                self._begin(workspace, kind)
            return None
        code = self._running.poll()
        return None if code is None else self._ended(workspace, code)

    def finish(self, workspace: Workspace, now: datetime) -> list[str]:
        """All that is due, waited for; what each came to."""
        said = []
        while self.look(workspace, now) is None and self._running is not None:
            said.append(self._ended(workspace, self._running.wait()))
        return said

    def close(self) -> None:
        """A training that goes on is ended with the worker: what it registers appears whole or not at all."""
        if self._running is not None:
            self._running.terminate()

    def _begin(self, workspace: Workspace, kind: str) -> None:
        words = [sys.executable, "-m", "serving.cli", *_verb(workspace, kind), "-w", str(workspace.folder)]
        with (workspace.state / LOG).open("wb") as out:
            self._running = subprocess.Popen(words, stdout=out, stderr=out)  # noqa: S603  # our own interpreter
        self._kind = kind

    def _ended(self, workspace: Workspace, code: int) -> str:
        lines = (workspace.state / LOG).read_text(encoding="utf-8", errors="replace").splitlines()
        last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
        self._running = None
        name = REPORTS if self._kind == REPORTS else f"refit {self._kind}"
        return f"{name}: {last}" if code == 0 else f"{name} failed ({code}): {last}"


def _verb(workspace: Workspace, kind: str) -> list[str]:
    """The words of the command that does it."""
    if kind != REPORTS:
        return ["refit", kind]
    return ["report", "--all", *(word for to in workspace.settings.reports.mail for word in ("--mail", to))]


def due(workspace: Workspace, now: datetime) -> str | None:
    """The kind whose time of the day has come, noted as begun; what is scheduled after its time begins tomorrow."""
    local, path = now.astimezone(ZoneInfo(workspace.settings.timezone)), workspace.state / SCHEDULED
    today, begun = local.date().isoformat(), _read(path)
    for kind, clock in workspace.settings.schedule:
        if clock is None:
            continue
        come = local.time() >= clock
        if kind not in begun:
            begun[kind] = today if come else ""
            write_json(path, begun)
        if come and begun[kind] != today:
            write_json(path, begun | {kind: today})
            return str(kind)
    return None


def _read(path: Path) -> dict[str, str]:
    try:
        found: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return found
