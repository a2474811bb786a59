"""A history in a request is weighed as the model learned it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from features.events import VIEWED
from features.workspace import Bought, InteractionSettings, Workspace
from serving.decisions.histories import history_of
from serving.decisions.recommend import recommend
from serving.decisions.requests import HistoryEntry, RecommendRequest
from serving.decisions.state import State
from training.recommenders.neighbours import Neighbours

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


class Forgetful(Neighbours):
    """Ours, but what a file that lost a part makes of it: it ranks, and fails where it is asked what comes again."""

    def chance_of_repeat(self, ids: NDArray[np.str_]) -> NDArray[np.float32]:
        raise IndexError("index 7 is out of bounds")


@pytest.mark.parametrize("request_", [{"history": ["green"]}, {"customer": "c000"}, {"history": ["green"], "k": 100}])
@pytest.mark.parametrize("mode", ["never", "only", "mixed"])
def test_a_model_of_ours_that_fails_while_the_history_is_read_falls_to_the_next_step(
    shop: Workspace, request_: dict[str, Any], mode: Bought
) -> None:
    state = State.read(shop)
    assert state.recommender is not None
    assert state.recommender.interactions is not None
    model = Forgetful().fit(state.recommender.interactions)
    state = replace(state, recommender=replace(state.recommender, recommender=model))
    asked = RecommendRequest.model_validate(request_ | {"include_bought": mode, "exclude": ["black"]})
    decision, answer = recommend(state, asked, "d", NOW)
    names, steps = ({one[name] for one in answer["items"]} for name in ("item", "step"))
    if mode == "only":  # what was bought is answered without the question
        assert steps == {"personal"}
    else:
        assert "the model failed (index 7 is out of bounds)" in str(decision.fallback)
        assert steps == {"popular"}
    assert not names & {"oolong", "black"}
    assert "green" not in names or mode == "only"
