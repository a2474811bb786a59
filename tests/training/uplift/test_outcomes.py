"""Outcomes from orders: Ann orders 2 x 5 on day 1 and returns one on day 2, Bob orders before and on day 20."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from features.events import ORDERED, Event
from features.exposures import ExposureLog, Exposures
from features.history import record
from features.ledger import Ledger
from features.table import FeatureTable
from features.workspace import Workspace, create
from training.pipelines.uplift_run import outcomes_after, with_features

DAY = datetime(2026, 3, 1)  # UTC, as the tables keep it


def test_orders_within_the_window_count_and_refunds_subtract() -> None:
    given = pd.DataFrame({"customer": ["ann", "bob"], "given": pd.to_datetime(["2025-01-01", "2025-01-01"])})
    rows = [
        ("ann", "2025-01-02", "Order Completed", 2.0, 5.0),
        ("ann", "2025-01-03", "Order Refunded", 1.0, 5.0),
        ("bob", "2024-12-31", "Order Completed", 1.0, 9.0),
        ("bob", "2025-01-21", "Order Completed", 1.0, 9.0),
    ]
    orders = pd.DataFrame(rows, columns=["customer", "time", "name", "quantity", "price"])
    orders["time"] = pd.to_datetime(orders["time"])
    found = outcomes_after(given, orders, 14)
    assert found["conversion"].tolist() == [1.0, 0.0]
    assert found["revenue"].tolist() == [5.0, 0.0]


def built(shop: Workspace, prices: list[float]) -> pd.DataFrame:
    """The features of Ann, who ordered at these prices, one each day."""
    days = [DAY - timedelta(days=number + 1) for number in range(len(prices))]
    orders = [
        Event(
            "till", f"o{n}", ORDERED, day, day, customer="ann", item="tea", quantity=1.0, price=price, order_id=f"o{n}"
        )
        for n, (day, price) in enumerate(zip(days, prices, strict=True))
    ]
    ledger = Ledger.at(shop.ledger)
    record(ledger, orders)
    ledger.close()
    given = Exposures(np.array(["a"]), np.ones(1), np.ones(1), np.array([DAY], "M8[us]"))
    nothing = FeatureTable(pd.DataFrame(index=range(1)), (), np.array(["ann"], dtype=object))
    log = ExposureLog("test", "here", nothing, given, pd.DataFrame(index=range(1)))
    return with_features(log, shop).table.frame


def test_the_order_in_which_money_is_summed_does_not_reach_a_model(tmp_path: Path) -> None:
    """0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1 in the last bit; an engine with several threads sums in any order."""
    prices = [0.1, 0.2, 0.3]
    assert sum(prices) != sum(reversed(prices))
    ours, theirs = (
        built(create(tmp_path / name), order) for name, order in (("ours", prices), ("theirs", prices[::-1]))
    )
    assert ours["revenue"].tolist() == theirs["revenue"].tolist()
