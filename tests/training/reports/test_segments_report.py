"""`attune segments`: sizes, overlaps and movement of those who agreed, in the terminal, on the page and as JSON.

ann ordered each month and is loyal; bob ordered once, in July; eve ordered first in December; zoe only looks.
"""

import json
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from features.consent import Basis, grant, withdraw
from features.customers.journey import ALONG, BEFORE, Journey, month_ends
from features.customers.lifecycle import STAGES
from features.events import ORDERED, VIEWED, Event
from features.history import read_events, record
from features.ledger import Ledger
from features.workspace import Workspace, create
from serving.cli import app
from training.segments import figures

NOW = datetime(2026, 1, 10)


def ordered(customer: str, number: int, time: datetime) -> Event:
    return Event("shop", f"{customer}{number}", ORDERED, time, time, customer=customer, order_id=f"{customer}{number}")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    place = create(tmp_path_factory.mktemp("segments") / "shop")
    events = [ordered("ann", month, datetime(2025, month, 15)) for month in range(6, 13)]
    events += [ordered("bob", 1, datetime(2025, 7, 1)), ordered("eve", 1, datetime(2025, 12, 20))]
    events += [
        Event("shop", f"v{n}", VIEWED, t, t, customer="zoe", item="tea")
        for n in range(3)
        for t in [NOW - timedelta(n + 1)]
    ]
    events += [ordered("no", 1, datetime(2025, 12, 1))]
    ledger = Ledger.at(place.ledger)
    record(ledger, events)
    people = ["ann", "bob", "eve", "zoe", "no"]
    grant(ledger, people, Basis(("analytics",), "a test"), source="test", time=datetime(2025, 1, 1))
    withdraw(ledger, "no", ["analytics"], source="test", time=datetime(2025, 12, 30))
    return place


def test_the_sizes_and_overlaps_are_those_of_the_customers_who_agreed(shop: Workspace) -> None:
    found = figures(shop, 6, NOW, NOW)
    sizes = {one["key"]: one["customers"] for one in found["sizes"] if one["customers"]}
    assert found["customers"] == 4
    assert found["left_out"] == "consent: 1 of 5 customers left out (no consent to analytics)"
    stages = {"new": 1, "loyal": 1, "lapsed": 1}
    bands = {"recency-high": 2, "recency-low": 1, "frequency-high": 1, "frequency-low": 2, "money-low": 3}
    assert sizes == stages | bands | {"high-intent": 1, "nothing-told": 4}
    pairs = {(one["first"], one["second"]): one for one in found["overlaps"]}
    both = pairs["loyal", "recency-high"]
    assert (both["customers"], both["share"], both["of_first"], both["of_second"]) == (1, 0.5, 1.0, 0.5)
    assert ("loyal", "lapsed") not in pairs


def test_the_journey_adds_up_at_every_month_and_from_month_to_month(shop: Workspace) -> None:
    journey = figures(shop, 6, NOW, NOW)["journey"]
    assert journey["days"] == [
        "2025-07-31",
        "2025-08-31",
        "2025-09-30",
        "2025-10-31",
        "2025-11-30",
        "2025-12-31",
        "2026-01-10",
    ]
    sizes = dict(zip(journey["stages"], journey["sizes"], strict=True))
    assert sizes[BEFORE] == [1, 1, 1, 1, 1, 0, 0]
    assert sizes["loyal"] == [0, 1, 1, 1, 1, 1, 1]
    assert sizes["active"] == [2, 1, 0, 0, 0, 0, 0]
    assert sizes["new"] == [0, 0, 0, 0, 0, 1, 1]
    assert sizes["at_risk"] == [0, 0, 1, 1, 1, 0, 0]
    assert sizes["lapsed"] == [0, 0, 0, 0, 0, 1, 1]
    for start in range(6):
        for place in (0, 1):
            moved = dict.fromkeys(journey["stages"], 0)
            for one in (one for one in journey["moves"] if one["start"] == start):
                moved[one["to" if place else "from"]] += one["customers"]
            assert moved == {name: counts[start + place] for name, counts in sizes.items()}


def test_a_stage_at_a_months_end_is_what_was_known_then(shop: Workspace) -> None:
    events = read_events(shop)
    late = Journey.of(events, [datetime(2025, 9, 1), datetime(2025, 12, 31)])
    early = Journey.of(events, [datetime(2025, 8, 1), datetime(2025, 9, 1)])
    assert late.sizes()[1:, 0].tolist() == early.sizes()[1:, 1].tolist()
    assert sorted(ALONG) == sorted(STAGES)


def test_months_end_at_midnight_of_the_workspace() -> None:
    ends = month_ends(datetime(2026, 4, 10), 2, "Europe/Berlin")
    assert ends == [datetime(2026, 2, 28, 23), datetime(2026, 3, 31, 22), datetime(2026, 4, 10)]
    assert month_ends(datetime(2026, 4, 1), 1, "Europe/Berlin") == [datetime(2026, 4, 1)]


def test_the_verb_tells_the_figures_and_writes_them_without_a_customer(shop: Workspace) -> None:
    said = CliRunner().invoke(app, ["segments", "-w", str(shop.folder), "--as-of", "2026-01-10", "--months", "3"])
    assert said.exit_code == 0, said.output
    assert re.search(r"loyal +1 +25\.0 % +Three orders in 180 days", said.output)
    assert re.search(r"loyal +1 +1 +1 +1\n", said.output)
    path = Path(said.output.splitlines()[-1])
    told = path.with_suffix(".json").read_text() + path.read_text().split("</main>")[0]
    assert json.loads(path.with_suffix(".json").read_text())["customers"] == 4
    for customer in ("ann", "bob", "eve", "zoe"):
        assert not re.search(rf"\b{customer}\b", told)


def test_a_workspace_without_customers_or_segments_has_a_report(tmp_path: Path) -> None:
    place = create(tmp_path / "shop")
    found = CliRunner().invoke(app, ["segments", "-w", str(place.folder)])
    assert found.exit_code == 0, found.output
    for path in (place.folder / "segments").glob("*.yaml"):
        path.unlink()
    assert CliRunner().invoke(app, ["segments", "-w", str(place.folder)]).exit_code == 0


def test_a_segment_on_a_score_or_attribute_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    place = create(tmp_path / "shop")
    for asked, line in (
        ("{score: effect of percent-11, at_least: 0}", "did you mean 'effect of percent-10'"),
        ("{event: A, same: colour}", "the catalogue has no attribute 'colour'"),
        ("{event: A, since: {event: B, where: {colour: red}}}", "the catalogue has no attribute 'colour'"),
    ):
        (place.folder / "segments" / "own.yaml").write_text(f"segments: [{{key: own, who: {asked}}}]")
        said = CliRunner().invoke(app, ["segments", "-w", str(place.folder)])
        assert said.exit_code != 0
        assert f"segment 'own': {'there is no score' if 'score' in asked else ''}" in str(said.exception)
        assert line in str(said.exception)


@pytest.mark.browser
def test_the_page_is_readable_on_a_wide_screen_and_on_a_phone(shop: Workspace, drawn, faults) -> None:
    said = CliRunner().invoke(app, ["segments", "-w", str(shop.folder), "--as-of", "2026-01-10"])
    path = Path(said.output.splitlines()[-1])
    for width, page in drawn(path, 1):
        assert faults(page) == [], f"{width} wide"
