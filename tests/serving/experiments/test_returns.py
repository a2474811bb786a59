"""Return per unit spent: by hand, against simulation, and out of the journal's offers."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import ttest_ind

from features.consent import Basis, grant
from features.decisions import Decision
from features.events import ORDERED, SCHEMA, Event
from features.history import append
from features.ledger import Ledger
from features.workspace import create
from serving.decisions.journal import Journal
from serving.experiments.definitions import Experiment
from serving.experiments.exposures import VIEWED
from serving.experiments.moments import Moments
from serving.experiments.report import build
from serving.experiments.returns import NO_COST, returned
from serving.reports.experiment import write


def arms(seed: int, worth: float, cost: float = 2.0, customers: int = 400) -> tuple[Moments, Moments]:
    """Every second customer of the treatment gets an offer of this cost, and brings that much more per unit of it."""
    rng = np.random.default_rng(seed)
    money = rng.gamma(1.0, 10.0, (2, customers))
    costs = np.where(rng.random(customers) < 0.5, cost, 0.0)
    control = np.c_[money[0], np.zeros(customers)]
    return Moments.of(control), Moments.of(np.c_[money[1] + worth * costs, costs])


def test_it_is_the_quotient_of_the_differences_and_its_test_is_that_of_the_money() -> None:
    rng = np.random.default_rng(0)
    control, treated = np.c_[rng.gamma(1.0, 9.0, 90), np.zeros(90)], np.c_[rng.gamma(1.0, 12.0, 60), np.full(60, 2.5)]
    found = returned(Moments.of(control), Moments.of(treated))
    assert isinstance(found, dict)
    assert found["difference"] == pytest.approx((treated[:, 0].mean() - control[:, 0].mean()) / 2.5)
    test = ttest_ind(treated[:, 0], control[:, 0])
    assert found["p_value"] == pytest.approx(test.pvalue)
    interval = test.confidence_interval()  # the cost is the same for all: Fieller's is that of the money over it
    assert (found["lower"], found["upper"]) == pytest.approx((interval.low / 2.5, interval.high / 2.5))


def test_its_interval_holds_a_planted_return_and_leaves_out_0_when_the_money_does() -> None:
    found = [one for seed in range(400) if isinstance(one := returned(*arms(seed, worth=3.0)), dict)]
    assert len(found) == 400
    assert 0.925 < np.mean([one["lower"] <= 3.0 <= one["upper"] for one in found]) < 0.975
    assert all((one["lower"] > 0 or one["upper"] < 0) == (one["p_value"] < 0.05) for one in found)


@pytest.mark.parametrize(
    ("both", "said"),
    [
        (arms(0, 1.0, cost=0.0), NO_COST),
        (tuple(Moments.of(np.ones((1, 2))) for _ in range(2)), "the windows of 1 customer of an arm have closed"),
        (tuple(Moments.of(np.c_[np.zeros(50), np.full(50, one)]) for one in (0.0, 1.0)), "brought the same money"),
    ],
)
def test_where_nothing_can_be_said_it_is_said_why(both: tuple[Moments, Moments], said: str) -> None:
    found = returned(*both)
    assert isinstance(found, str)
    assert said in found


OFFERS = "offers:\n  - {key: ten, name: 10 % off, channel: email, cost: 2.5}\n"
START = datetime(2026, 1, 1)  # UTC without a zone, as the tables keep it


def test_a_report_takes_the_cost_of_the_offers_of_the_window_from_the_journal(tmp_path: Path) -> None:
    """All of the treatment got the offer a day after the exposure, and again when the window of 14 days was over."""
    workspace, happened = create(tmp_path / "shop"), []
    (workspace.folder / "offers.yaml").write_text(OFFERS)
    ledger, everyone = Ledger.at(workspace.ledger), [f"c{number}" for number in range(80)]
    journal = Journal(workspace.state / "journal", ledger)
    for number, who in enumerate(everyone):
        arm = ("control", "treatment")[number % 2]
        told = json.dumps({"experiment_id": "spend", "variation": arm})
        happened.append(Event("t", f"v{number}", VIEWED, START, START, customer=who, properties=told))
        day, money = START + timedelta(days=2), 10.0 + number % 7 + 20.0 * (number % 2)
        order = {"customer": who, "quantity": 1.0, "price": money}
        happened.append(Event("t", f"o{number}", ORDERED, day, day, **order))
        for later in (1, 14) if number % 2 else ():
            moment = START + timedelta(days=later)
            facts = ("offer", moment, who, (), ("ten",), 0.5, "hash", None, None, workspace.hash, "r", None)
            journal.append(Decision(f"d{number}-{later}", *facts, {}))
    journal.close()
    append(workspace, pa.Table.from_pylist([one.row() | {"live": False} for one in happened], schema=SCHEMA))
    grant(ledger, everyone, Basis(("analytics",), "a box ticked"), source="test", time=START)
    metrics = {
        "primary": ("revenue",),
        "secondary": ("return-per-spend", "lifetime-value", "alive", "lapsed"),
        "guardrails": (),
    }
    experiment = Experiment(key="spend", arms={"control": 0.5, "treatment": 0.5}, **metrics)
    report = build(workspace, experiment, datetime(2026, 2, 1, tzinfo=UTC))
    control, treatment = (arm["metrics"]["return-per-spend"] for arm in report["arms"])
    assert (control["cost"], treatment["cost"]) == (0.0, 2.5)
    assert treatment["difference"] == pytest.approx((treatment["money"] - control["money"]) / 2.5)
    assert 7 < treatment["lower"] < treatment["difference"] < treatment["upper"] < 9  # 20 more for 2.5
    assert treatment["p_value"] < 1e-6
    page = next(path for path in write(workspace, report) if path.suffix == ".html").read_text()
    for said in ("Return per unit spent", "more cost of offers than the control", "Customer lifetime value", "Lapsed"):
        assert said in page
