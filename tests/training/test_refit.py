"""A refit serves what it trained where that is not worse than the champion, judged on the same newest split."""

from datetime import UTC, datetime

import numpy as np
import pytest

from features.workspace import Workspace
from tests.training.conftest import happened, with_settings
from training import release, tracking
from training.refit import refit

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::UserWarning")
NOW = datetime(2024, 12, 1, tzinfo=UTC)
WORSE = "recommender: {models: [popularity]}"
SAME = "recommender: {models: [popularity, repeat]}"


def served(workspace: Workspace) -> str:
    folder = release.current(workspace, "recommender")
    assert folder is not None
    return folder.name


def test_what_is_not_worse_than_the_champion_serves_and_what_is_worse_does_not(regulars: Workspace) -> None:
    shop = regulars
    first = list(refit(shop, "recommender", NOW))
    assert first[0] == "registered: recommender 1 (repeat)"
    assert first[1].startswith("recommender 1 is the champion and is served")
    assert list(refit(shop, "recommender", NOW))[1] == "what was served stays: there was nothing new to learn from"
    happened(shop, [26])
    worse = list(refit(with_settings(shop.folder, WORSE), "recommender", NOW))
    assert worse[0] == "registered: recommender 2 (popularity)"
    assert (
        "stays: recommender 2 was not promoted: it is worse than the champion 1 (repeat) on the newest split"
        in worse[1]
    )
    found = tracking.evaluation(tracking.find("recommender", "2"))
    assert found["champion"]["value"] > found["model"]  # the champion's model, on the split of the new run
    assert found["champion"]["difference"] == pytest.approx(found["model"] - found["champion"]["value"])
    assert served(shop) == "1"
    fresher = list(refit(with_settings(shop.folder, SAME), "recommender", NOW))
    assert fresher[1].startswith("recommender 3 is the champion and is served")
    release.challenge(shop, "recommender", "1", 0.1)
    happened(shop, [27])
    assert list(refit(shop, "recommender", NOW))[1] == "what was served stays: recommender 1 is being tried beside 3"
    assert np.isfinite(found["champion"]["lower"])
