"""Outcomes from orders: Ann orders 2 x 5 on day 1 and returns one on day 2, Bob orders before and on day 20."""

import pandas as pd
import pytest


def test_orders_within_the_window_count_and_refunds_subtract() -> None:
    run = pytest.importorskip("training.pipelines.uplift_run", exc_type=ImportError)
    given = pd.DataFrame({"customer": ["ann", "bob"], "given": pd.to_datetime(["2025-01-01", "2025-01-01"])})
    rows = [
        ("ann", "2025-01-02", "Order Completed", 2.0, 5.0),
        ("ann", "2025-01-03", "Order Refunded", 1.0, 5.0),
        ("bob", "2024-12-31", "Order Completed", 1.0, 9.0),
        ("bob", "2025-01-21", "Order Completed", 1.0, 9.0),
    ]
    orders = pd.DataFrame(rows, columns=["customer", "time", "name", "quantity", "price"])
    orders["time"] = pd.to_datetime(orders["time"])
    found = run.outcomes_after(given, orders, 14)
    assert found["conversion"].tolist() == [1.0, 0.0]
    assert found["revenue"].tolist() == [5.0, 0.0]
