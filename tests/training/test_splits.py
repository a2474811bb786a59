"""The split by time: parts in order, nothing judged lies before anything learned."""

from datetime import datetime, timedelta

import numpy as np
import pytest

from features.interactions import Interactions
from training.splits import TimeSplit, span_of

START = datetime.fromisoformat("2024-01-01")


def test_the_parts_follow_each_other_and_the_last_event_is_judged():
    last = START + timedelta(days=100)
    split = TimeSplit.of((START, last), 28)
    assert split.start < split.validate < split.test <= last < split.end
    assert split.end - split.test == split.test - split.validate == timedelta(days=28)


@pytest.mark.parametrize(
    ("span", "line"),
    [(None, "log is empty"), ((START, START + timedelta(days=60)), "the log spans 60 days; .* needs 84")],
)
def test_a_log_too_short_is_refused(span, line):
    with pytest.raises(ValueError, match=line):
        TimeSplit.of(span, 28)


def test_interactions_without_times_have_no_span():
    one, never = np.ones(1, np.float32), np.array(["NaT"], "M8[us]")
    zero = np.zeros(1, np.int32)
    log = Interactions(np.array(["ann"]), np.array(["tea"]), zero, zero, one, one, never, never)
    with pytest.raises(ValueError, match="2 of 2 times of these interactions are unknown; a time split needs all"):
        span_of(log)
