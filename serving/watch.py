"""Watch: one worker's look at the workspace, every second. What changed is read aside, tried, and answers from then on.

    the workspace's files   read whole; a wrong one leaves the old ones
    the history             what conditions ask of it is read again; days that are closed are in it
    a release               its checksums, then the canary requests (serving/decisions/canary.py), which warm it;
                            a wrong one leaves the old one

What answers is one reference that is replaced whole: a request that has begun ends with what it began with. What was
refused, and why, is in the state (`GET /v1/ready`), in the log, and in `.attune/refused.json` for `attune doctor`.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Protocol

from features.ledger import Ledger
from features.memory import give_back
from features.workspace import REFUSED, SETTINGS, STATE, Workspace
from serving.decisions.canary import HangsError, require_right
from serving.decisions.copies import read_copy, tidy
from serving.decisions.served import Served, beside_of, champion_of, one_before
from serving.decisions.state import State
from serving.experiments.challenges import KINDS
from serving.marks import BESIDE, HISTORY, LEDGER, PARTS, WORKSPACE, Mark, files_of, marks_of
from training.release import write_json

log = logging.getLogger("attune.watch")
SECONDS = 1.0  # between two looks
TIDIED = 10  # looks, after which memory that nobody uses is given back: what a release or a batch took for a while
FAULT = "the workspace cannot be read now; the service's log and `attune doctor` say why"
AGAIN = 60.0  # seconds after which what was refused is tried again: what was wrong may have been the machine


class Answering(Protocol):
    """Who answers: from `state`, or with `fault` where there is none."""

    state: State | None
    fault: str


class Watch:
    """What a worker answers from, kept as the workspace is."""

    def __init__(self, folder: Path, routes: Answering, now: Callable[[], datetime]) -> None:
        self._folder, self._routes, self._now = folder, routes, now
        self._served, self._marks = Served(), dict[str, Mark]()
        self._refused, self._told = dict[str, str](), dict[str, str]()
        self._hung: set[str] = set()
        self._tried_at = monotonic()
        self._ended = threading.Event()

    def start(self) -> None:
        """Reads everything, and goes on looking in a thread."""
        self.look()
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def end(self) -> None:
        """No further look."""
        self._ended.set()

    def look(self) -> None:
        """One round."""
        marks, again = marks_of(self._folder), monotonic() - self._tried_at > AGAIN
        old, self._marks = self._marks, marks
        due = self._refused.keys() - self._hung if again else ()
        changed = [part for part in PARTS if marks[part] != old.get(part) or part in due]
        if (state := self._routes.state) is None:
            self._begin()
        elif found := list(dict.fromkeys([*self._returned(state), *changed])):
            self._answer(state, found)

    def _run(self) -> None:
        for number in count(1):
            if self._ended.wait(SECONDS):
                return
            if number % TIDIED == 0:
                give_back()
            try:
                self.look()
            except Exception:
                log.exception("the workspace could not be looked at")

    def _begin(self) -> None:
        """The first state; where there can be none, the service says why and this is tried again."""
        self._refused.pop(WORKSPACE, None)
        try:
            workspace = Workspace.open(self._folder)
            ledger = Ledger.awaited(workspace.ledger)
            rules = State.rules(workspace, ledger).writing()
        except Exception as error:  # noqa: BLE001  # the edge of the service: it answers what is wrong
            self._refuse(WORKSPACE, error)
            self._routes.fault = FAULT  # what stands in a file, or where the ledger is, is nobody's business who asks
            self._tell()
            return
        if ledger.away:
            log.warning("%s is away, decisions are not personal until it is back: %s", LEDGER, ledger.away)
        self._answer(rules, [part for part in PARTS if part not in (WORKSPACE, HISTORY)])

    def _returned(self, state: State) -> list[str]:
        """What is to be read again where the ledger, away until now, is back: what could not be known without it."""
        before = self._refused.pop(LEDGER, None)
        try:
            if state.ledger is not None and state.ledger.is_back():
                log.warning("%s is back", LEDGER)
                return [WORKSPACE, HISTORY]
        except Exception as error:  # noqa: BLE001  # one of another revision, say: nobody asks it, and all else goes on
            self._refuse(LEDGER, error)
        return [] if self._refused.get(LEDGER) == before else [LEDGER]

    def _answer(self, state: State, parts: list[str]) -> None:
        """Answers from the state with these parts as they are now."""
        self._tried_at, before = monotonic(), self._routes.state
        for part in parts:
            state = state if part == LEDGER else self._renewed(state, part)
        for one in (state, *state.variants.values()):
            one.popular.knows(one.catalog, self._now())  # before somebody waits for it
        self._routes.state = replace(state, refused=dict(self._refused))
        self._tell()
        if before is None:
            spare()
        if state is not before:
            del before
            gc.collect()
            with suppress(OSError, ValueError):  # what is wrong with a pointer was told as its release was read
                tidy(Workspace.open(self._folder), KINDS)

    def _renewed(self, state: State, part: str) -> State:
        """The state with this part as it is now; the same one where the part is wrong."""
        self._refused.pop(part, None)
        self._hung.discard(part)
        try:
            if part == WORKSPACE:
                return self._files(state)
            if part == HISTORY:
                return state.seeing()
            return self._challenger(state, BESIDE[part]) if part in BESIDE else self._champion(state, part)
        except Exception as error:  # noqa: BLE001  # the edge of a thread: whatever is wrong with it, the old one stays
            self._refuse(part, error)
            self._hung |= {part} if isinstance(error, HangsError) else set()
            return state

    def _files(self, state: State) -> State:
        workspace, mark = Workspace.open(self._folder), self._marks[WORKSPACE]
        if state.workspace is not None and workspace.ledger != state.workspace.ledger:
            raise ValueError(f"{workspace.folder / SETTINGS}: ledger == another one, must stay while the service runs")
        renewed = State.read(workspace, self._served, state.ledger)
        if files_of(self._folder) != mark:  # written while it was read: what was read may be of both
            self._marks.pop(WORKSPACE)
            return state
        return renewed.after(state)

    def _champion(self, state: State, kind: str) -> State:
        """With the release that the pointer names; where none answers yet and it is wrong, with the one before."""
        workspace = state.workspace
        assert workspace is not None  # noqa: S101  # of a bento nothing is watched; this tells the type checker
        try:
            return self._serving(state, self._served.led(kind, champion_of(workspace, kind, read_copy)), kind)
        except Exception as error:
            if kind in self._served.champions:
                raise
            self._refuse(kind, error)
            return self._serving(state, self._served.led(kind, one_before(workspace, kind, read_copy)), kind)

    def _challenger(self, state: State, kind: str) -> State:
        assert state.workspace is not None  # noqa: S101  # of a bento nothing is watched; this tells the type checker
        return self._serving(state, self._served.beside(kind, beside_of(state.workspace, kind, read_copy)), kind)

    def _serving(self, state: State, served: Served, kind: str) -> State:
        """The state with these releases, once those of this kind answered the canary requests."""
        renewed = state.serving(served)
        for tried in (renewed, *(one for kinds, one in renewed.variants.items() if kinds == (kind,))):
            require_right(tried, kind, self._now())
        self._served = served
        return renewed

    def _refuse(self, part: str, error: Exception) -> None:
        said = " ".join(str(error).split()) or type(error).__name__
        self._refused.setdefault(part, said.replace(f"{self._folder.resolve()}/", ""))

    def _tell(self) -> None:
        """What is refused, and what no longer is: in the log when it is new, and for `attune doctor`."""
        for part in sorted(self._refused.keys() | self._told.keys()):
            if (why := self._refused.get(part)) != self._told.get(part):
                log.warning("%s %s", part, f"refused, what was there before stays: {why}" if why else "is right again")
        self._told = dict(self._refused)
        try:
            write_json(self._folder / STATE / REFUSED, self._refused)
        except OSError as error:
            log.warning("what is refused could not be written: %s", error)


def spare() -> None:
    """The collector no longer walks what a worker begins with: that takes a tenth of a second without an answer.

    Only that: what comes later is one day replaced, and of what the collector does not see it frees no cycle.
    """
    gc.collect()
    gc.freeze()
