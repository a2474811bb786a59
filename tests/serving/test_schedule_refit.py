"""A refit that the schedule began: on newer events, with what it came to said, and the better version served.

The worker looks at noon of one day after another, and the refits are due at three and at four in the morning.
"""

from datetime import UTC, datetime, timedelta

import pytest

from features.workspace import Workspace
from serving import work
from serving.schedule import LOG
from tests.training.conftest import campaign, exposed, happened, regulars, untold, with_settings  # noqa: F401  # fixtures
from training.release import current, load_release

SCHEDULE = "schedule: {recommender: '03:00'}"
WORSE = "recommender: {models: [popularity]}"
SAME = "recommender: {models: [popularity, repeat]}"


def noon(day: int) -> datetime:
    return datetime(2026, 3, day, 12, tzinfo=UTC)


def refitted(shop: Workspace, day: int) -> str:
    """What the worker said of the refit on this day."""
    (line,) = [line for line in work.once(shop, noon(day)) if line.startswith("refit")]
    return line


def newest(shop: Workspace) -> datetime:
    """Until when the release that is served has seen the customers."""
    served = load_release(current(shop, "recommender"))
    return served.interactions.last.max().item()


@pytest.mark.slow
def test_a_scheduled_refit_serves_the_better_version_and_keeps_it_from_a_worse_one_with_the_reason(
    regulars: Workspace,  # noqa: F811  # the fixture that is imported
) -> None:
    shop = with_settings(regulars.folder, SAME, SCHEDULE)
    work.once(shop, noon(1))  # the schedule is newer than today's time: it begins tomorrow
    assert current(shop, "recommender") is None
    first = refitted(shop, 2)
    assert first.startswith("refit recommender: recommender 1 is the champion and is served: ")
    before = newest(shop)
    happened(shop, [26])
    second = refitted(shop, 3)
    assert second.startswith("refit recommender: recommender 2 is the champion and is served: ")
    assert newest(shop) - before == timedelta(days=7)
    assert work.once(shop, noon(3)) == []  # once a day
    happened(shop, [27])
    third = refitted(with_settings(shop.folder, WORSE, SCHEDULE), 4)
    assert third.startswith(
        "refit recommender: what was served stays: recommender 3 was not promoted: it is worse than"
    )
    assert "the champion 2 (repeat) on the newest split" in third
    assert "registered: recommender 3 (popularity)" in (shop.state / LOG).read_text()
    assert current(shop, "recommender").name == "2"
    assert "there was nothing new to learn from" in refitted(with_settings(shop.folder, WORSE, SCHEDULE), 5)


@pytest.mark.slow
def test_a_scheduled_refit_of_offers_keeps_what_tells_whom_they_move(
    campaign: Workspace,  # noqa: F811  # the fixture that is imported
) -> None:
    def of(learner: str) -> Workspace:
        return with_settings(
            campaign.folder,
            f"uplift: {{learners: [{learner}], outcome: revenue}}",
            "schedule: {uplift: '04:00'}",
        )

    exposed(campaign, 1200)
    work.once(of("t-linear"), noon(1))
    assert refitted(of("t-linear"), 2).startswith("refit uplift: uplift 1 is the champion and is served: ")
    exposed(campaign, 2000)
    kept = refitted(of("constant"), 3)
    assert kept.startswith("refit uplift: what was served stays: uplift 2 was not promoted: it is worse than")
    assert "the champion 1 (t-linear) on the newest exposures" in kept
    assert current(campaign, "uplift").name == "1"
