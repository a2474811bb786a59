"""How long a model is waited for, and what becomes of one that is slow, raises or hangs."""

import threading
from time import monotonic, sleep

import pytest

from serving.decisions.pace import THREADS, FailedError, Pace, Patient
from training.recommenders.guarded import Guarded

OWN = Guarded(object(), "shop:Own")


class Quick:
    quick = True


def where() -> str:
    return threading.current_thread().name


def soon(seconds: float = 5.0) -> float:
    return monotonic() + seconds


def test_ours_is_asked_where_it_stands_and_a_users_own_in_a_thread() -> None:
    pace, here = Pace(), where()
    assert pace.had(Quick(), where, soon()) == here
    assert pace.had(object(), where, soon()) == here
    assert pace.had(OWN, where, soon()) == "step"


def test_ours_that_was_slow_of_late_is_asked_in_a_thread_until_that_is_forgotten() -> None:
    pace = Pace()
    pace.had(object(), lambda: sleep(0.2), soon())
    assert pace.had(object(), where, soon(0.3)) == "step"
    assert pace.had(Quick(), where, soon(0.3)) == where()
    while pace.had(object(), where, soon(0.3)) == "step":
        pass


def test_ours_that_takes_no_time_is_asked_also_when_the_time_is_over_and_no_other() -> None:
    pace = Pace()
    assert pace.had(object(), where, 0.0) == where()
    with pytest.raises(FailedError, match="took too long"):
        pace.had(OWN, where, 0.0)
    pace.had(object(), lambda: sleep(0.2), soon())
    with pytest.raises(FailedError, match="took too long"):
        pace.had(object(), where, 0.0)


def test_who_takes_too_long_is_left_to_itself() -> None:
    pace, done = Pace(), threading.Event()
    started = monotonic()
    with pytest.raises(FailedError, match="took too long"):
        pace.had(OWN, lambda: done.wait(30), soon(0.05))
    assert monotonic() - started < 5
    done.set()


def test_models_that_hang_take_no_more_threads_than_there_are() -> None:
    pace, done = Pace(), threading.Event()
    for _ in range(THREADS):
        with pytest.raises(FailedError, match="took too long"):
            pace.had(OWN, lambda: done.wait(30), soon(0.001))
    with pytest.raises(FailedError, match="too many slow answers"):
        pace.had(OWN, where, soon())
    done.set()
    deadline = soon()
    while monotonic() < deadline:
        try:
            assert pace.had(OWN, where, soon()) == "step"
            break
        except FailedError:
            sleep(0.01)
    else:
        pytest.fail("no thread came back")


@pytest.mark.parametrize("model", [Quick(), object(), OWN])
def test_who_raises_is_told_in_words_and_whoever_is_patient_sees_the_error(model: object) -> None:
    def call() -> None:
        raise KeyError("no such\nitem")

    with pytest.raises(FailedError, match=r"^the model failed \('no such\\nitem'\)$"):
        Pace().had(model, call, soon())
    with pytest.raises(KeyError):
        Patient().had(model, call, 0.0)
