"""What the model report says of drift: a version answered tea at first, and coffee with lower scores a month later."""

import json
from collections import Counter
from datetime import datetime, timedelta
from math import log
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import insert

from features.decisions import Decision, Option, decisions
from features.ledger import Ledger
from training.reports.model_drift import _windows, of_names, of_numbers
from training.stability import LEAST, index

START = datetime(2026, 1, 1)


def test_the_index_is_that_of_its_formula_and_0_where_nothing_changed() -> None:
    """Shares 0.5 and 0.5, then 0.75 and 0.25."""
    assert index([50, 50], [150, 50]) == pytest.approx(0.25 * log(1.5) - 0.25 * log(0.5))
    assert index([3, 5, 2], [30, 50, 20]) == pytest.approx(0)
    assert np.isfinite(index([10, 0], [0, 10]))


def test_the_same_population_is_stable_and_another_one_has_drifted() -> None:
    rng = np.random.default_rng(0)
    then, again, moved = (rng.normal(mean, 1, 5_000) for mean in (0, 0, 1))
    assert of_numbers("x", then, again)["says"] == "stable"
    assert of_numbers("x", then, moved)["says"] == "drifted: train again"
    assert of_numbers("x", np.ones(500), np.ones(500))["index"] == pytest.approx(0)
    assert of_numbers("x", np.ones(500), np.zeros(500))["says"] == "drifted: train again"
    assert of_numbers("x", then[: LEAST - 1], moved)["index"] is None


def test_first_and_newest_answers_of_a_version_are_compared(tmp_path: Path) -> None:
    ledger = Ledger.at(f"sqlite:///{tmp_path / 'ledger.db'}")
    answered = [(START + timedelta(minutes=n), "tea", 0.9) for n in range(LEAST)]
    answered += [(START + timedelta(days=30, minutes=n), "coffee", 0.1) for n in range(LEAST)]
    with ledger.write() as connection:
        rows = [decided(str(number), *one) for number, one in enumerate(answered)]
        rows += [decided("of another version", START - timedelta(days=9), "milk", 0.5, version="2")]
        connection.execute(insert(decisions), rows)
    then, now = _windows(ledger, "3", "als")
    assert [Counter(json.loads(row.chosen)[0] for row in rows) for rows in (then, now)] == [
        Counter(tea=LEAST), Counter(coffee=LEAST),
    ]  # fmt: skip
    found = of_names("items", Counter(tea=LEAST), Counter(coffee=LEAST), LEAST)
    assert found["says"] == "drifted: train again"
    assert _windows(ledger, "2", "als") == ([], [])  # one moment is no two times


def decided(name: str, time: datetime, item: str, score: float, *, version: str = "3") -> dict[str, object]:
    row = Decision(
        decision_id=name, kind="recommend", time=time, customer=None, options=(Option(item, score),), chosen=(item,),
        probability=1.0, policy="top-k", model="als", model_version=version, workspace_hash="w", reason="r",
    ).row()  # fmt: skip
    return row | {part: json.dumps(row[part]) for part in ("options", "chosen", "context")}
