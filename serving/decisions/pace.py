"""Pace: how long a model is waited for. A slow one is left to itself, and what was asked of it is answered otherwise.

quick                                   asked where it stands: it answers in a fraction of a millisecond
ours, and not slow of late              asked where it stands
a user's own, or slow of late           asked in a thread of its own, which nobody waits for when the time is over
"""

from __future__ import annotations

from collections.abc import Callable
from queue import Empty, SimpleQueue
from threading import BoundedSemaphore, Thread
from time import monotonic
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from training.recommenders.base import Recommender
from training.recommenders.guarded import Guarded

THREADS = 40  # as many as there are threads for requests: a model that hangs takes no more
EASY = 0.5  # of the time left: a model that took no longer of late is asked without a thread
SHORT = 0.02  # seconds: and so is one that took no longer, also when the time is over, as by a slow ledger
FORGETS = 0.9  # of what it took longest, per answer
SLOW = "the model took too long"
BUSY = "the model is at too many slow answers"
Value = TypeVar("Value")


class LetDownError(Exception):
    """A model does not answer: there is none, it does not know, or see below."""


class FailedError(LetDownError):
    """It raised, or took too long."""


class Pace:
    """What the models of one state took; answers are had through it."""

    def __init__(self) -> None:
        self._longest = 0.0  # seconds, of late
        self._free = BoundedSemaphore(THREADS)

    def had(self, model: object, call: Callable[[], Value], until: float) -> Value:
        """What the call gives, which asks this model; FailedError where that is not until then, by `monotonic`."""
        if getattr(model, "quick", False):
            return tried(call)
        started = monotonic()
        if isinstance(model, Guarded) or self._longest > max(EASY * (until - started), SHORT):
            return self._beside(call, until - started)
        try:
            return tried(call)
        finally:
            self._took(monotonic() - started)

    def _beside(self, call: Callable[[], Value], seconds: float) -> Value:
        """What the call gives within so many seconds, had by a thread of its own."""
        if seconds <= 0:
            raise FailedError(SLOW)
        if not self._free.acquire(blocking=False):
            raise FailedError(BUSY)
        answers: SimpleQueue[Callable[[], Value]] = SimpleQueue()
        Thread(target=self._run, args=(call, answers), name="step", daemon=True).start()
        try:
            return answers.get(timeout=seconds)()
        except Empty:
            raise FailedError(SLOW) from None

    def _run(self, call: Callable[[], Value], answers: SimpleQueue[Callable[[], Value]]) -> None:
        started = monotonic()
        try:
            value = tried(call)
            answers.put(lambda: value)
        except FailedError as error:
            answers.put(_raising(error))
        finally:
            self._took(monotonic() - started)
            self._free.release()

    def _took(self, seconds: float) -> None:
        self._longest = max(seconds, FORGETS * self._longest)


class Patient(Pace):
    """Waits for as long as it takes, and lets every error through: for whoever asks whether a model is right."""

    def had(self, _model: object, call: Callable[[], Value], _until: float) -> Value:
        return call()


class Unhurried(Pace):
    """Waits for as long as it takes: for whoever makes a decision again."""

    def had(self, _model: object, call: Callable[[], Value], _until: float) -> Value:
        return tried(call)


class Waited:
    """What a filter asks of a model, had at its pace."""

    def __init__(self, pace: Pace, model: Recommender, until: float) -> None:
        self._pace, self._model, self._until = pace, model, until

    def chance_of_repeat(self, ids: NDArray[np.str_]) -> NDArray[np.float32]:
        return self._pace.had(self._model, lambda: self._model.chance_of_repeat(ids), self._until)


def asked_of(model: object, call: Callable[[], Value]) -> Value:
    """What the call gives, which asks this model as a filter does; FailedError where it raises."""
    return call() if isinstance(model, Waited) else tried(call)


def tried(call: Callable[[], Value]) -> Value:
    """What the call gives, however long it takes; FailedError where it raises."""
    try:
        return call()
    except Exception as error:  # the edge of a model: whatever it raises, the next step answers
        said = " ".join(str(error).split()) or type(error).__name__
        raise FailedError(f"the model failed ({said})") from error


def _raising(error: FailedError) -> Callable[[], Any]:
    def fail() -> Any:
        raise error

    return fail
