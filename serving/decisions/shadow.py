"""Shadow: what a challenger that answers nobody would have answered, in the journal beside what was answered.

    decision in the journal -> at most `WAITING` wait -> one thread decides it with the challenger -> a row `shadow`

It costs an answer the processor's time, never a wait of its own: where the thread does not keep up, a decision has no
shadow, and how many have none is counted.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from queue import Full, Queue
from threading import Thread
from typing import TYPE_CHECKING, Any

from features.decisions import SHADOW, Decision
from serving.decisions.journal import Journal
from serving.decisions.shelf import stocked

if TYPE_CHECKING:
    from serving.decisions.state import State

log = logging.getLogger("attune.shadow")
WAITING = 32  # decisions of which the thread may be behind
TOLD = 1_000  # decisions without a shadow between two lines of the log
Again = Callable[["State"], Decision]  # what was asked, decided by another state


class Shadow:
    """One worker's thread."""

    def __init__(self, journal: Journal) -> None:
        self._journal, self.left_out = journal, 0
        self._waiting: Queue[Callable[[], Decision]] = Queue(WAITING)
        Thread(target=self._run, name="shadow", daemon=True).start()

    def follow(self, by: State, key: str, decision: Decision, again: Again) -> None:
        """Decides again what was decided, when there is time."""
        try:
            self._waiting.put_nowait(partial(_beside, by, key, decision, again))
        except Full:
            self.left_out += 1
            if self.left_out % TOLD == 1:
                log.warning("%s decisions have no shadow: the worker has no time for it", self.left_out)

    def _run(self) -> None:
        while True:
            made = self._waiting.get()
            try:
                self._journal.append(made())
            except Exception as error:  # noqa: BLE001  # the edge of a thread: a model that raises must not end it
                log.error("a shadow could not be decided: %s", " ".join(str(error).split()))
            del made  # the state it holds may be replaced while the next is waited for


def _beside(by: State, key: str, decision: Decision, again: Again) -> Decision:
    """The challenger's decision of the same draw, with the share of its choice that was answered."""
    other = again(stocked(by))
    same = len(set(other.chosen) & set(decision.chosen)) / max(len(other.chosen), len(decision.chosen), 1)
    said: dict[str, Any] = {SHADOW: key, "of": decision.decision_id, "same": same}
    return replace(
        other, decision_id=f"{SHADOW}-{decision.decision_id}", kind=SHADOW, context={**other.context, **said}
    )
