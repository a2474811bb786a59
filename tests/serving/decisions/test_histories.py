"""A history in a request is weighed as the model learned it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from features.events import VIEWED
from features.workspace import InteractionSettings, Workspace
from serving.decisions.histories import history_of
from serving.decisions.requests import HistoryEntry
from serving.decisions.state import State

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def weight(state: State, weighed: InteractionSettings | None) -> float:
    """Of one item that was viewed ten days ago."""
    assert state.recommender is not None
    release = replace(state.recommender, weighed=weighed)
    ago = (NOW - timedelta(days=10)).strftime("%Y-%m-%dT%H:%M:%SZ")
    viewed = [HistoryEntry.model_validate({"item": "green", "event": VIEWED, "time": ago})]
    history, _ = history_of(state, release, None, viewed, NOW)
    return float(history.weight[0])


def test_the_releases_weights_and_half_life_count_before_those_of_attune_yaml(shop: Workspace) -> None:
    state, tuned = State.read(shop), InteractionSettings(weights={VIEWED: 0.6}, half_life_days=10)
    assert weight(state, tuned) == pytest.approx(0.3)
    ours = state.settings.interactions
    assert weight(state, None) == pytest.approx(ours.weights[VIEWED] * 0.5 ** (10 / ours.half_life_days))
