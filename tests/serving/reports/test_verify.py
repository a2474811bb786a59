"""A stored report is recomputed as of its own moment; what was changed since, in it or beneath it, is named."""

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from features.consent import withdraw
from features.events import ORDERED, SCHEMA, Event
from features.history import append
from features.ledger import Ledger
from features.workspace import Workspace
from serving.cli import app
from serving.erasure import erase
from serving.experiments.definitions import read_experiments
from serving.experiments.report import build
from serving.impact import journey
from serving.impact import report as impact
from serving.reports.experiment import write
from serving.reports.impact import write as write_impact
from serving.reports.journey import write as write_journey
from serving.reports.verify import _same, lines, verify
from tests.serving.reports.conftest import NOW, START

MOMENT = NOW + timedelta(microseconds=400_000)  # a report is stored with whole seconds


@pytest.fixture(scope="module")
def reported(badge_shop: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop with its report of the moment."""
    folder = tmp_path_factory.mktemp("reported") / "shop"
    shutil.copytree(badge_shop.folder, folder)
    copied = Workspace.open(folder)
    write(copied, build(copied, read_experiments(folder)["badge"], MOMENT))
    return folder


@pytest.fixture
def shop(reported: Path, tmp_path: Path) -> Workspace:
    """The same, to be spoiled."""
    shutil.copytree(reported, tmp_path / "shop")
    return Workspace.open(tmp_path / "shop")


def stored(shop: Workspace) -> Path:
    return shop.reports / "experiment-badge.json"


def edit(shop: Workspace, mean: float) -> None:
    """Makes another number of the control's conversion rate."""
    report = json.loads(stored(shop).read_text())
    report["arms"][0]["metrics"]["conversion-rate"]["mean"] = mean
    stored(shop).write_text(json.dumps(report))


def later(shop: Workspace, *, live: bool) -> None:
    """An order of the test's time that comes in after the report."""
    time = START + timedelta(days=2)
    event = Event(
        source="test", message_id="late", name=ORDERED, time=time, received_at=datetime(2026, 2, 3), live=live,
        customer="b000", item="tea", quantity=1.0, price=99.0, order_id="late",
    )  # fmt: skip
    append(shop, pa.Table.from_pylist([event.row()], schema=SCHEMA))


def test_a_report_is_recomputed_to_the_last_number(shop: Workspace) -> None:
    found = verify(shop, "badge")
    assert found.same
    assert found.numbers > 200
    assert list(lines(found)) == [
        f"experiment-badge.json: {found.numbers:,} numbers recomputed as of 2026-02-01T00:00:00Z, all equal"
    ]
    assert verify(shop, str(stored(shop))).numbers == found.numbers  # by its path, and again


def test_impact_and_the_journey_are_recomputed_too(shop: Workspace) -> None:
    write_impact(shop, impact.build(shop, None, None, MOMENT))
    write_journey(shop, journey.build(shop, None, None, MOMENT))
    for name in ("impact", "journey"):
        found = verify(shop, name)
        assert found.same, list(lines(found))
        assert found.numbers > 100


def test_a_number_that_was_edited_is_named(shop: Workspace) -> None:
    right = json.loads(stored(shop).read_text())["arms"][0]["metrics"]["conversion-rate"]["mean"]
    edit(shop, right * (1 + 1e-12))  # sums of the same rows in another order
    assert verify(shop, "badge").same
    edit(shop, right + 1e-6)
    first, last = lines(verify(shop, "badge"))
    assert first.startswith("experiment-badge.json: arms / control / metrics / conversion-rate / mean: ")
    assert first.endswith(f"{right + 1e-6} stored, {right} recomputed")
    assert last == "recomputed as of 2026-02-01T00:00:00Z: 1 value not the same"
    told = CliRunner().invoke(app, ["verify", "badge", "-w", str(shop.folder)])
    assert told.exit_code == 1
    assert "conversion-rate / mean" in told.stdout


@pytest.mark.parametrize("part", ["verdict", "placebo", "warnings", "arms"])
def test_what_was_taken_out_of_a_report_is_named(shop: Workspace, part: str) -> None:
    report = json.loads(stored(shop).read_text())
    del report[part]
    stored(shop).write_text(json.dumps(report))
    assert any(line.startswith(f"experiment-badge.json: {part}: None stored") for line in lines(verify(shop, "badge")))


def test_what_was_received_later_was_not_known_then(shop: Workspace) -> None:
    later(shop, live=True)
    assert verify(shop, "badge").same


def test_what_was_imported_later_makes_other_numbers(shop: Workspace) -> None:
    later(shop, live=False)
    told = list(lines(verify(shop, "badge")))
    assert "arms / control / metrics / repeat-purchase-rate / mean: 0.0 stored, 0.005 recomputed" in told[0]
    assert told[-1].startswith(f"recomputed as of 2026-02-01T00:00:00Z: {len(told) - 1} values not the same")


def test_an_edited_definition_is_told_from_edited_numbers(shop: Workspace) -> None:
    (shop.folder / "metrics.yaml").write_text(
        "metrics: [{key: revenue, name: Revenue, numerator: {event: Order Completed, sum: money}}]\n"
    )
    told = list(lines(verify(shop, "badge")))
    assert len(told) == 2
    assert told[0].startswith("experiment-badge.json: the metric 'revenue' was edited since (")
    assert told[1].startswith("experiment-badge.json: the experiment 'badge' was edited since (plan ")


def test_an_erased_customer_is_missed_and_said(shop: Workspace) -> None:
    list(erase(shop, "b001", datetime(2026, 2, 2, tzinfo=UTC)))
    *_, last = lines(verify(shop, "badge"))
    assert "; 1 id erased since, whose rows are gone" in last


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1e-10, 9e-10, False),
        (1e-10, 1e-10 * (1 + 1e-12), True),
        (1e6, 1e6 + 1e-5, True),
        (1e6, 1e6 + 0.01, False),
        (0.0, 1e-17, True),
        (0.0, 1e-12, False),
        (1, True, False),
        (0.0, None, False),
    ],
)
def test_numbers_are_equal_to_a_billionth_of_themselves(one: float, other: object, same: object) -> None:
    assert _same(one, other) is same


def test_who_withdrew_since_is_said_beside_a_difference_and_makes_none(shop: Workspace) -> None:
    for customer in ("b000", "b001", "b002"):
        withdraw(Ledger.at(shop.ledger), customer, ["analytics"], source="test", time=datetime(2026, 2, 3, tzinfo=UTC))
    assert verify(shop, "badge").same
    edit(shop, 0.1)
    *_, last = lines(verify(shop, "badge"))
    assert last.endswith("not the same; of 400 customers who had agreed to analytics 3 agree no longer")


def test_a_metric_that_was_taken_out_is_an_edited_definition(shop: Workspace) -> None:
    own = shop.folder / "metrics.yaml"
    own.write_text("metrics: [{key: teas, name: Teas, numerator: {event: Order Completed, sum: quantity}}]\n")
    test = shop.folder / "experiments" / "badge.yaml"
    test.write_text(f"{test.read_text()}secondary: [teas]\n")
    write(shop, build(shop, read_experiments(shop.folder)["badge"], MOMENT))
    own.unlink()
    assert list(lines(verify(shop, "badge"))) == [
        "experiment-badge.json: the metric 'teas' was taken out since; it cannot be recomputed"
    ]


def test_to_verify_writes_nothing(shop: Workspace) -> None:
    shutil.rmtree(shop.state / "plans")
    before = held(shop)
    assert verify(shop, "badge").same
    assert held(shop) == before


def held(shop: Workspace) -> dict[Path, bytes]:
    """Every file but those that SQLite makes while it reads."""
    files = (one for one in shop.folder.rglob("*") if one.is_file() and not one.name.startswith("ledger.db-"))
    return {one: one.read_bytes() for one in files}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{",
        '{"kind": "impact", "computed_at": "2026-01-01"}',
        '{"experiment": "badge"}',
        '{"kind": "impact", "computed_at": 5}',
    ],
)
def test_what_is_no_report_is_said_in_one_line(shop: Workspace, text: str) -> None:
    stored(shop).write_text(text)
    with pytest.raises(ValueError, match="is no stored report of an experiment, impact, the journey or policies"):
        verify(shop, "badge")


@pytest.mark.parametrize("name", ["nope", "../badge", "missing.json", ""])
def test_a_report_that_is_not_stored_names_those_that_are(shop: Workspace, name: str) -> None:
    with pytest.raises(ValueError, match=r"there is no stored report .*; there are badge"):
        verify(shop, name)
