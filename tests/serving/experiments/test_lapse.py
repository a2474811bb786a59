"""Who has lapsed: orders out of events, against the model's own formula, and an arm that was made silent."""

from datetime import datetime, timedelta

import ibis
import numpy as np
import pyarrow as pa
import pytest

from features.events import ORDERED, REFUNDED, SCHEMA, Event, Events
from serving.experiments.compared import Evidence
from serving.experiments.fitting import fit_transactions
from serving.experiments.lifetime import alive
from serving.experiments.metrics import standard
from serving.experiments.purchases import Purchases
from serving.experiments.values import PEOPLE, columns, values

START = datetime(2026, 1, 1)  # UTC without a zone, as the tables keep it
NOW = START + timedelta(days=60)
METRICS = [standard()[key] for key in ("alive", "lapsed")]
TOLD = columns(METRICS, 28)


def order(customer: str, day: float, name: str = ORDERED, order: str | None = None) -> Event:
    time = START + timedelta(days=day)
    told = f"{name}-{customer}-{day}"
    return Event("test", told, name, time, time, customer=customer, quantity=1.0, price=9.0, order_id=order or told)


def table(events: list[Event], arms: dict[str, str]) -> ibis.Table:
    rows = Events.of(pa.Table.from_pylist([one.row() for one in events], schema=SCHEMA)).before(NOW)
    people = [{"customer": who, "arm": arm, "first": START} for who, arm in arms.items()]
    return values(rows, ibis.memtable(pa.Table.from_pylist(people, schema=PEOPLE)), TOLD)


def test_the_clock_starts_with_the_first_order_before_the_exposure() -> None:
    events = [order("ann", day) for day in (-50, -20, 8, 40)]  # the last is after the window
    events += [order("bob", 3)]  # had not ordered before
    events += [order("cid", -9), order("cid", -5, order="back"), order("cid", -4, REFUNDED, "back")]
    rows = table(events, dict.fromkeys(("ann", "bob", "cid", "dan"), "a")).to_pyarrow().to_pylist()
    found = {row["customer"]: [row[name] for name in TOLD[0].purchases] for row in rows}
    assert found == {"ann": [2, 58, 78], "bob": [0, 0, 0], "cid": [0, 0, 37], "dan": [0, 0, 0]}


def test_an_arm_that_fell_silent_has_lapsed_and_the_numbers_are_the_models() -> None:
    """All order about every twelve days for four months; those of `new` stop at the exposure."""
    rng, events, arms, seen = np.random.default_rng(0), [], {}, []
    for number in range(240):
        who, arm = f"c{number}", ("old", "new")[number % 2]
        days = -120 + np.cumsum(rng.exponential(12.0 * rng.gamma(4, 0.25), 40))
        days = np.array([-120, *days[days < (28 if arm == "old" else 0)]])
        events += [order(who, float(day)) for day in days]
        arms[who] = arm
        seen.append((len(days) - 1, days[-1] + 120, 148))
    evidence = Evidence.of(table(events, arms), TOLD, NOW)
    old, new = (evidence.of_arm(arm, "old", TOLD) for arm in ("old", "new"))
    purchases = Purchases.of(*np.array(seen).T, np.ones(240))
    chance = alive(purchases, fit_transactions(purchases))
    treated = np.arange(240) % 2 == 1
    assert new["alive"]["mean"] == pytest.approx(chance[treated].mean())
    assert old["lapsed"]["mean"] == pytest.approx((chance[~treated] < 0.5).mean())
    assert new["lapsed"]["verdict"] == "higher than control"
    assert new["alive"]["verdict"] == "lower than control"
    assert new["alive"]["customers"] == 120


def test_too_few_who_had_ordered_is_said() -> None:
    evidence = Evidence.of(table([order("ann", -3), order("bob", -3)], {"ann": "old", "bob": "new"}), TOLD, NOW)
    said = evidence.of_arm("new", "old", TOLD)["lapsed"]
    assert (said["mean"], said["lower"]) == (None, None)
    assert said["untold"] == (
        "2 customers whose window has closed had ordered before; their rhythm (BG/NBD) needs at least 100"
    )


def test_too_few_who_ordered_again_is_said() -> None:
    people = [f"c{number}" for number in range(120)]
    log = [order(one, -3) for one in people] + [order(one, -1) for one in people[:9]]
    evidence = Evidence.of(table(log, {one: ("old", "new")[place % 2] for place, one in enumerate(people)}), TOLD, NOW)
    assert evidence.of_arm("new", "old", TOLD)["alive"]["untold"] == (
        "of 120 customers who had ordered before 9 ordered again; their rhythm (BG/NBD) needs at least 10"
    )
