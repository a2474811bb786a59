"""An uplift refit: the champion and the new model on the newest exposures, which neither learned from."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from features.exposures import ExposureLog
from features.table import Feature, FeatureTable
from features.workspace import Workspace
from tests.training.conftest import START, exposed, with_settings
from training import release, tracking
from training.metrics.uplift import Trial, qini
from training.pipelines.uplift import train
from training.promotion import promote
from training.refit import refit
from training.uplift.t import TLinear

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::UserWarning")
NOW = datetime(2024, 12, 1, tzinfo=UTC)


def refitted(shop: Workspace, learner: str = "t-linear") -> str:
    """What the refit with this learner came to."""
    again = with_settings(shop.folder, f"uplift: {{learners: [{learner}], outcome: revenue}}")
    return list(refit(again, "uplift", NOW))[-1]


def facing(version: str) -> dict[str, Any] | None:
    """What the run of this version found of the champion of then."""
    return tracking.evaluation(tracking.find("uplift", version)).get("champion")


def qini_of(model: TLinear, log: ExposureLog, rows: slice) -> float:
    part = log.take(np.arange(len(log.exposures))[rows])
    arm = part.exposures.arm == "a"
    trial = Trial(part.outcomes["revenue"].to_numpy(), arm, np.full(len(arm), 2.0))
    return qini(model.effect(part.table).effect[:, 0], trial)


def served(shop: Workspace) -> str:
    folder = release.current(shop, "uplift")
    assert folder is not None
    return folder.name


def test_a_worse_model_is_kept_from_serving_by_exposures_that_neither_learned_from(campaign: Workspace) -> None:
    """The champion knows 1,200 exposures; of 2,000 the newest 400 are judged on, the 1,600 before are learned from."""
    exposed(campaign, 1200)
    assert refitted(campaign).startswith("uplift 1 is the champion and is served")
    assert facing("1") is None
    log = exposed(campaign, 2000)
    said = refitted(campaign, "constant")
    assert said.startswith("what was served stays: uplift 2 was not promoted: it is worse than the champion 1")
    assert "the champion 1 (t-linear) on the newest exposures: Qini -" in said
    found = facing("2")
    assert found is not None
    assert found["as_served"]
    assert (found["rows"], found["since"]) == (400, str(log.exposures.time[1600]))
    champion = release.load_release(campaign.releases / "uplift" / "1").uplift
    assert found["value"] == pytest.approx(qini_of(champion, log, slice(1600, None)))
    assert found["ours"] == 0  # whoever is ranked alike
    assert found["difference"] == pytest.approx(-found["value"])
    assert found["upper"] < 0
    assert served(campaign) == "1"


def test_where_the_world_has_turned_the_new_model_serves_and_learned_only_from_before(campaign: Workspace) -> None:
    exposed(campaign, 1000, turned=1000)
    refitted(campaign)
    log = exposed(campaign, 4000, turned=1000)
    assert refitted(campaign).startswith("uplift 2 is the champion and is served")
    found = facing("2")
    assert found is not None
    assert found["lower"] > 0 > found["value"]  # what was served tells the wrong ones
    before = log.take(np.arange(3200))
    fitted = TLinear(seed=0).fit(before.table, before.exposures, before.outcomes["revenue"].to_numpy())
    assert found["ours"] == pytest.approx(qini_of(fitted, log, slice(3200, None)))


def test_a_champion_that_has_seen_the_newest_exposures_is_made_again_from_what_came_before(campaign: Workspace) -> None:
    exposed(campaign, 1990)
    refitted(campaign)
    log = exposed(campaign, 2000)
    assert "it is worse than the champion 1 (t-linear)" in refitted(campaign, "constant")
    found = facing("2")
    assert found is not None
    assert not found["as_served"]
    before = log.take(np.arange(1600))
    again = TLinear(seed=0).fit(before.table, before.exposures, before.outcomes["revenue"].to_numpy())
    assert found["value"] == pytest.approx(qini_of(again, log, slice(1600, None)))
    assert refitted(campaign).startswith("uplift 3 is the champion and is served")  # the same again is only fresher
    assert facing("3") is None


def test_an_outcome_that_is_not_over_is_not_learned_from_and_counts_as_seen(campaign: Workspace) -> None:
    """100 hours: the champion knows outcomes up to 1,300 hours, what is judged from 1,600 on is learned to 1,500."""
    train_on(campaign, exposed(campaign, 1200))
    promote(campaign, "uplift", "1")
    log = exposed(campaign, 2000)
    found = train_on(campaign, log)["champion"]
    assert (found["as_served"], found["rows"]) == (True, 400)
    before = log.take(np.arange(1501))
    fitted = TLinear(seed=0).fit(before.table, before.exposures, before.outcomes["revenue"].to_numpy())
    assert found["ours"] == pytest.approx(qini_of(fitted, log, slice(1600, None)))
    shorter = train_on(campaign, exposed(campaign, 1600))["champion"]  # from 1,300 on, not from 1,280
    assert (shorter["as_served"], shorter["rows"]) == (True, 300)
    assert shorter["since"] == str(np.datetime64(START + timedelta(hours=1299, microseconds=1), "us"))


def train_on(shop: Workspace, log: ExposureLog) -> dict[str, Any]:
    return train(shop, log, "revenue", ["t-linear"], seed=0, window=timedelta(hours=100))[0].evaluation


def test_a_champion_of_another_outcome_is_not_compared(campaign: Workspace) -> None:
    log = exposed(campaign, 1200)
    refitted(campaign)
    log.outcomes["margin"] = log.outcomes["revenue"] / 2
    assert "champion" not in train(campaign, log, "margin", ["constant"], seed=0)[0].evaluation


def test_a_champion_that_cannot_answer_by_the_features_of_now_is_made_again_by_them(campaign: Workspace) -> None:
    exposed(campaign, 1200)
    refitted(campaign)
    log = exposed(campaign, 2000)
    frame = log.table.frame.rename(columns={"spend": "spent"})
    renamed = replace(log, table=FeatureTable(frame, (Feature("spent", "own", "EUR", "Spend."),), log.table.customers))
    found = train(campaign, renamed, "revenue", ["constant"], seed=0)[0].evaluation["champion"]
    assert not found["as_served"]
    assert found["upper"] < 0


def test_a_log_without_times_has_no_newest_exposures(campaign: Workspace) -> None:
    exposed(campaign, 1200)
    refitted(campaign)
    log = exposed(campaign, 2000)
    timeless = replace(log, exposures=replace(log.exposures, time=None))
    at_once = replace(log, exposures=replace(log.exposures, time=np.full(2000, log.exposures.time[0])))
    for one in (timeless, at_once):
        assert "champion" not in train(campaign, one, "revenue", ["constant"], seed=0)[0].evaluation
