"""What holds for every feature of a whole simulated log, which goes on for 30 days after the moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.engine import connect
from features.events import SCHEMA, Events
from features.sources.simulator.shop import simulate_events
from features.sources.simulator.world import world_named
from features.table import FeatureTable

END = datetime(2025, 6, 1)  # tables keep UTC without a zone
MOMENT = END - timedelta(days=30)
TRAITS = ["age_group", "city", "newsletter"]


@pytest.fixture(scope="module")
def log():
    return pa.concat_tables(list(simulate_events(world_named("shop"), 80, 3, END))).cast(SCHEMA)


@pytest.fixture(scope="module")
def whole(log):
    return built(log)


def built(log, as_of=MOMENT, **options):
    return FeatureTable.build(Events.of(log), as_of, traits=TRAITS, **options)


def same(one, other):
    """Equal tables; sums may differ in their last bits, because addition has no order."""
    pd.testing.assert_frame_equal(one.to_pandas(), other.to_pandas(), rtol=1e-12, atol=1e-9, check_exact=False)


def test_what_happens_after_the_moment_changes_nothing(log, whole):
    future = pc.greater_equal(log["time"], pa.scalar(MOMENT, pa.timestamp("us")))
    assert pc.sum(future).as_py() > 100
    same(whole, built(log.filter(pc.invert(future))))


def test_a_later_moment_sees_more(log, whole):
    assert built(log, END).frame["orders"].sum() > whole.frame["orders"].sum()


def test_a_live_event_that_had_not_arrived_is_not_known(log, whole):
    """An order of yesterday that reaches us tomorrow is not known today, unless a file brought it."""
    late = log.slice(0, 1).to_pylist()[0] | {
        "message_id": "late", "customer": whole.customers[0], "name": "Order Completed", "order_id": "late",
        "live": True, "time": MOMENT - timedelta(days=1), "received_at": MOMENT + timedelta(days=1),
        "quantity": 1.0, "price": 9.0,
    }  # fmt: skip
    same(whole, built(pa.concat_tables([log, pa.Table.from_pylist([late], schema=SCHEMA)])))
    imported = pa.Table.from_pylist([late | {"live": False}], schema=SCHEMA)
    assert built(pa.concat_tables([log, imported])).frame["orders"][0] == whole.frame["orders"][0] + 1


def test_a_log_permuted_and_read_from_parquet_gives_the_same_table(log, whole, tmp_path):
    pq.write_table(log.take(np.random.default_rng(7).permutation(len(log))), tmp_path / "log.parquet")
    events = Events.of(connect(threads=1).read_parquet(tmp_path / "log.parquet"))
    same(whole, FeatureTable.build(events, MOMENT, traits=TRAITS))


def test_customers_asked_for_equal_their_rows_of_the_whole(log, whole):
    """The last, a stranger, the first, and the last once more."""
    last, first = whole.customers[-1], whole.customers[0]
    found = built(log, customers=[last, "stranger", first, last])
    assert found.customers.tolist() == [last, "stranger", first, last]
    words = dict.fromkeys(TRAITS, str)  # their categories are those of the rows that are there
    theirs = whole.take(np.array([len(whole) - 1, 0, len(whole) - 1])).frame.astype(words)
    pd.testing.assert_frame_equal(found.take(np.array([0, 2, 3])).frame.astype(words), theirs, rtol=1e-12)


def test_a_customer_without_events_did_nothing_and_is_otherwise_unknown(log):
    row = built(log, customers=["stranger"])
    for feature in row.features:
        value = row.frame[feature.name][0]
        if feature.unit in ("count", "EUR", "seconds", "flag") and feature.name not in (
            "order_value",
            "order_value_max",
        ):
            assert value == 0, feature
        else:
            assert pd.isna(value), feature


def test_columns_are_numbers_and_categories_only(whole):
    assert {str(kind) for kind in whole.frame.dtypes} == {"float64", "category"}
    assert not np.isinf(whole.frame.select_dtypes("number").to_numpy()).any()


def test_revenue_is_what_arithmetic_over_the_log_gives(log, whole):
    """Quantity times price of order lines, less that of refunds, summed in Python."""
    sums = dict.fromkeys(whole.customers, 0.0)
    for row in log.to_pylist():
        sign = {"Order Completed": 1, "Order Refunded": -1}.get(row["name"], 0)
        if sign and row["time"] < MOMENT and row["customer"] in sums:
            sums[row["customer"]] += sign * row["quantity"] * row["price"]
    assert whole.frame["revenue"].to_numpy() == pytest.approx([sums[name] for name in whole.customers], abs=1e-9)
    assert (whole.frame["refund_share"] > 0).any()


def test_a_moment_with_a_zone_is_the_same_moment(log, whole):
    same(whole, built(log, MOMENT.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo("Asia/Tokyo"))))
