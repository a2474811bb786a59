"""Elements: 900 customers saw a sale, one in ten more was held out of it.

head     default, short (+4), long (0)       a third each
button   default, red (+2)                   the odd customers alone may see red: it is for members, who spend 10 more
"""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import false_discovery_control
from statsmodels.api import OLS

from features.consent import Basis, grant
from features.decisions import Decision, Option
from features.events import ORDERED, SCHEMA, Event
from features.history import append
from features.ledger import Ledger
from features.workspace import Workspace
from serving.decisions.journal import Journal
from serving.experiments.definitions import Experiment
from serving.experiments.exposures import EXPERIENCED
from serving.experiments.report import build

START, NOW = datetime(2026, 1, 1), datetime(2026, 1, 20, tzinfo=UTC)
PEOPLE, HELD = 900, 100
METRIC = "metrics: [{key: money, name: Money, numerator: {event: Order Completed, sum: money}}]"
HEADS = ("default", "short", "long")


@pytest.fixture
def drawn() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per customer head, whether the button is red, and the money spent."""
    rng = np.random.default_rng(5)
    heads, member = rng.integers(3, size=PEOPLE), np.arange(PEOPLE) % 2 == 1
    red = member & (rng.random(PEOPLE) < 0.5)
    return heads, red, rng.normal(30, 6, PEOPLE) + 4 * (heads == 1) + 2 * red + 10 * member


def event(number: int, name: str, day: float, **more: Any) -> dict[str, Any]:
    time = START + timedelta(days=day)
    row = Event("web", f"{name}-{number}-{day}", name, time, time, customer=f"c{number:04}", **more)
    return row.row() | {"live": False}


def decided(number: int, head: str, button: str) -> Decision:
    chances = {"default": 0.5, "red": 0.5} if number % 2 else {"default": 1.0}
    options = [Option("content:sale", probability=1.0), *(Option(f"head:{one}", probability=1 / 3) for one in HEADS)]
    options += [Option(f"button:{one}", probability=chance) for one, chance in chances.items()]
    held = "sale" if number >= PEOPLE else None
    chosen = ("content:default" if held else "content:sale", "item:tea", f"head:{head}", f"button:{button}")
    facts = ("decide", START, f"c{number:04}", tuple(options), chosen, 0.5, "content", None, None, "hash", "r", None)
    return Decision(f"d{number}-{head}", *facts, {"slot": "hero", "held_out_of": held})


@pytest.fixture
def shop(ran: Any, drawn: Any) -> Workspace:
    """The customers of the docstring; c0000 came back and saw another headline."""
    heads, red, money = drawn
    workspace = ran([{"customer": "nobody", "day": 0.0, "money": 1.0}])
    (workspace.folder / "metrics.yaml").write_text(METRIC)
    ledger = Ledger.at(workspace.ledger)
    journal, rows = Journal(workspace.state / "journal", ledger), []
    for n in range(PEOPLE + HELD):
        shown = (HEADS[heads[n]], "red" if red[n] else "default") if n < PEOPLE else ("default", "default")
        journal.append(decided(n, *shown))
        rows += [event(n, EXPERIENCED, 1, properties=json.dumps({"decision_id": f"d{n}-{shown[0]}"}))]
        spent = float(money[n]) if n < PEOPLE else 20.0 + n % 7
        rows += [event(n, ORDERED, 2, item="tea", quantity=1.0, price=spent)]
    other = HEADS[(heads[0] + 1) % 3]
    journal.append(decided(0, other, "default"))
    rows += [event(0, EXPERIENCED, 3, properties=json.dumps({"decision_id": f"d0-{other}"}))]
    journal.close()
    everybody = [f"c{n:04}" for n in range(PEOPLE + HELD)]
    grant(ledger, everybody, Basis(("analytics",), "a box ticked"), source="test", time=START)
    append(workspace, pa.Table.from_pylist(rows, schema=SCHEMA))
    return workspace


def test_variants_are_ranked_by_one_model_of_all_elements(shop: Workspace, drawn: Any) -> None:
    """It is ordinary least squares over customers, with a level for who might have seen what."""
    test = Experiment(
        key="sale",
        arms={"held_out": 0.1, "shown": 0.9},
        shows={"slot": "hero", "content": "sale"},
        window_days=5,
        primary=["money"],
        secondary=[],
        guardrails=[],
    )
    report = build(shop, test, NOW)
    found, (heads, red, money) = report["elements"], drawn
    assert found["customers"] == PEOPLE - 1
    assert found["references"] == {"button": "default", "head": "default"}
    member = np.arange(PEOPLE) % 2 == 1
    columns = {"red": red, "long": heads == 2, "short": heads == 1, "of all": ~member, "of members": member}
    fit = OLS(money[1:], np.array(list(columns.values()), float).T[1:]).fit()
    rows = {row["variant"]: row for row in found["metrics"]["money"]}
    for place, name in enumerate(("red", "long", "short")):
        row, ends = rows[name], fit.conf_int()[place]
        assert row["difference"] == pytest.approx(fit.params[place])
        assert [row["lower"], row["upper"]] == pytest.approx(ends.tolist())
        assert row["p_value"] == pytest.approx(fit.pvalues[place])
        assert row["customers"] == columns[name][1:].sum()
    assert [row["variant"] for row in found["metrics"]["money"]] == ["short", "red", "long"]
    given = [row["p_value"] for row in found["metrics"]["money"]]
    assert [row["p_adjusted"] for row in found["metrics"]["money"]] == pytest.approx(
        false_discovery_control(given).tolist()
    )
    planted = {"red": 2, "short": 4, "long": 0}  # of red not the 12 by which members who saw it spend more
    assert all(rows[name]["lower"] < effect < rows[name]["upper"] for name, effect in planted.items())
    assert rows["short"]["verdict"] == "higher than control"
    assert found["metrics"]["click"] == []  # nobody clicked: no variant differs from another
    assert report["exposures"]["seen_again"] == 1


def test_a_test_of_one_element_or_of_no_content_ranks_nothing(shop: Workspace) -> None:
    shows = {"slot": "hero", "content": "sale", "element": "head"}
    arms = dict.fromkeys(HEADS, 1 / 3)
    test = Experiment(key="head", arms=arms, shows=shows, window_days=5, primary=["money"], secondary=[], guardrails=[])
    assert build(shop, test, NOW)["elements"] is None
