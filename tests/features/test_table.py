"""Feature tables over hand-drawn logs.

ann orders tea on day 0 (2 x 5.00) and day 10 (1 x 5.00 and 3 x 2.00 coffee), returns one tea on day 12, is mailed twice
and opens once; a machine opens too. bob only views tea on day 11. The moment is day 20.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.customers import FAMILIES
from features.engine import connect
from features.events import SCHEMA, Event, Events
from features.table import FeatureTable

DAY0 = datetime(2024, 1, 1)  # tables keep UTC without a zone
MOMENT = DAY0 + timedelta(days=20)


def event(name: str, customer: str | None, day: float, **fields: object) -> Event:
    time = DAY0 + timedelta(days=day)
    message = f"{name}-{customer}-{day}-{sorted(fields.items())}"
    return Event("test", message, name, time, time, customer=customer, **fields)


def events(*rows: Event) -> Events:
    return Events.of(pa.Table.from_pylist([row.row() for row in rows], schema=SCHEMA))


def ordered(customer: str, day: float, order: str, item: str, quantity: float, price: float) -> Event:
    return event("Order Completed", customer, day, order_id=order, item=item, quantity=quantity, price=price)


ANN = (
    ordered("ann", 0, "o1", "tea", 2, 5.0),
    ordered("ann", 10, "o2", "tea", 1, 5.0),
    ordered("ann", 10, "o2", "coffee", 3, 2.0),
    event("Order Refunded", "ann", 12, order_id="o1", item="tea", quantity=1.0, price=5.0),
    event("Email Delivered", "ann", 13),
    event("Email Delivered", "ann", 14),
    event("Email Opened", "ann", 14.5),
    event("Email Opened", "ann", 19, machine=True),
)
LOG = (*ANN, event("Product Viewed", "bob", 11, item="tea"), event("Product Viewed", None, 12, item="tea"))


def build(*rows: Event, **options: object) -> pd.DataFrame:
    return FeatureTable.build(events(*rows), MOMENT, **options).to_pandas()


def test_traits_are_those_told_before_the_moment() -> None:
    def told(day: float, **traits: object) -> Event:
        return event("Identify", "ann", day, properties=json.dumps(traits))

    rows = (told(1, city="Lyon", age=30, vip=True), told(5, city="Köln"), told(6, vip=None), told(21, city="Rom"))
    table = FeatureTable.build(events(*rows, *LOG), MOMENT, families=["profile"], traits=["city", "age", "vip"])
    ann, bob = table.to_pandas().loc["ann"], table.to_pandas().loc["bob"]
    assert (ann["city"], ann["age"]) == ("Köln", 30)
    assert pd.isna(ann["vip"])
    assert pd.isna(bob["city"])
    assert ann["days_since_identified"] == 14
    assert table.frame["city"].dtype == "category"
    assert table.frame["age"].dtype == np.float64
    assert [feature.unit for feature in table.features[-3:-1]] == ["category", "number"]


@pytest.mark.parametrize("name", ["a.b", "$x", "/x", "a/b", "~1", "*", "a[0]", 'say "hi"', "0", "it's", "☕"])
def test_a_trait_may_have_any_name(name: str) -> None:
    told = event("Identify", "ann", 1, properties=json.dumps({name: "Lyon", "x": "Rom", "a": {"b": "Rom"}}))
    assert build(told, families=["profile"], traits=[name]).loc["ann", name] == "Lyon"


def test_rows_come_in_the_order_asked_for_also_without_events() -> None:
    table = FeatureTable.build(events(*LOG), MOMENT, customers=["zoe", "bob", "ann", "bob"])
    assert table.customers is not None
    assert table.customers.tolist() == ["zoe", "bob", "ann", "bob"]
    assert table.frame["revenue"].tolist() == [0, 0, 16, 0]
    assert np.isnan(table.frame["days_since_event"][0])
    assert {str(dtype) for dtype in table.frame.dtypes} <= {"float64", "category"}
    pd.testing.assert_frame_equal(
        table.frame.iloc[[1]].reset_index(drop=True), table.frame.iloc[[3]].reset_index(drop=True)
    )


def test_an_empty_log_gives_an_empty_table_with_all_columns() -> None:
    table = FeatureTable.build(Events.of(SCHEMA.empty_table()), MOMENT)
    assert len(table) == 0
    assert len(table.frame.columns) == sum(len(family.features) for family in FAMILIES.values()) >= 30


def test_an_unknown_family_is_named() -> None:
    with pytest.raises(ValueError, match=r"families == \['spent'\], known are"):
        build(*LOG, families=["spent"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_describes_its_columns_and_gives_the_same_alone(family: str) -> None:
    alone, together = build(*LOG, families=[family]), build(*LOG)
    assert list(alone.columns) == [feature.name for feature in FAMILIES[family].features]
    assert all(feature.family == family for feature in FAMILIES[family].features)
    assert all(feature.sentence.endswith(".") for feature in FAMILIES[family].features)
    pd.testing.assert_frame_equal(alone, together[alone.columns])


def test_families_that_share_an_aggregate_mean_the_same() -> None:
    table = events(*LOG).past(MOMENT).rows
    from features.customers.combine import orders, pairs

    grains = {"rows": table, "orders": orders(table), "pairs": pairs(table)}
    for grain, rows in grains.items():
        seen: dict[str, object] = {}
        for family in FAMILIES.values():
            for name, aggregate in getattr(family, grain)(rows, MOMENT).items():
                assert aggregate.equals(seen.setdefault(name, aggregate)), name


def test_money_is_in_the_workspaces_currency() -> None:
    table = FeatureTable.build(events(*LOG), MOMENT, families=["spend"], currency="GBP")
    assert {feature.name: feature.unit for feature in table.features}["revenue"] == "GBP"


NAMES = (
    "Product Viewed",
    "Product Added",
    "Order Completed",
    "Order Refunded",
    "Email Opened",
    "Identify",
    "Unsubscribed",
)
ROWS = st.builds(
    lambda name, customer, day, item: event(
        name, customer, day, item=item, quantity=2.0, price=3.0, order_id=f"o{int(day)}", properties='{"city": "Rom"}'
    ),
    st.sampled_from(NAMES), st.sampled_from(["ann", "bob"]), st.floats(0, 40, width=16),
    st.sampled_from(["tea", "nut"]),
)  # fmt: skip


@settings(max_examples=10, deadline=None)
@given(st.lists(ROWS, max_size=12), st.randoms(use_true_random=False))
def test_the_future_and_the_order_of_rows_change_nothing(rows: list[Event], random) -> None:
    past = [row for row in rows if row.time < MOMENT]
    now = event("Order Completed", "ann", 20, item="tea", quantity=1.0, price=9.0, order_id="now")
    shuffled = [*rows, now]
    random.shuffle(shuffled)
    options = {"customers": ["ann", "bob"], "traits": ["city"]}
    expected, found = build(*past, **options), build(*shuffled, **options)
    pd.testing.assert_frame_equal(expected, found, rtol=1e-12)


def test_a_live_event_counts_from_its_receipt() -> None:
    time, late = DAY0 + timedelta(days=19), MOMENT + timedelta(days=1)
    view = Event("sdk", "m", "Product Viewed", time, late, customer="ann", item="tea", live=True)
    assert len(build(view)) == 0


def test_the_engine_spills_where_it_can_and_fetches_nothing() -> None:
    connection = connect(threads=1).con
    wanted = ("autoinstall_known_extensions", "autoload_known_extensions", "threads")
    values = [connection.execute(f"SELECT current_setting('{name}')").fetchone()[0] for name in wanted]
    assert values == [False, False, 1]
    folder = connection.execute("SELECT current_setting('temp_directory')").fetchone()[0]
    assert Path(folder).is_absolute()


@pytest.mark.data
def test_spend_and_demographics_of_complete_journey_are_found_again(data_dir: Path) -> None:
    """Totals equal a plain pandas sum over the files, and a household's demographics are its traits."""
    lines, people = complete_journey(data_dir / "completejourney")
    log = Events.of(pa.concat_tables([order_events(lines), identify_events(people)]))
    moment = lines["time"].quantile(0.5).to_pydatetime()
    wanted = people["customer"].tolist()
    table = FeatureTable.build(log, moment, customers=wanted, traits=["age", "kids_count"]).to_pandas()
    before = lines[lines["time"] < moment].groupby("customer")
    revenue = before["sales_value"].sum().reindex(wanted, fill_value=0.0)
    assert revenue.sum() > 0
    np.testing.assert_allclose(table["revenue"], revenue, rtol=1e-9)
    np.testing.assert_array_equal(table["orders"], before["order"].nunique().reindex(wanted, fill_value=0))
    assert table["age"].astype(object).tolist() == people["age"].tolist()


def complete_journey(folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Order lines and demographics under Attune's names; some ages are unknown in the file."""
    lines = pd.read_parquet(folder / "transactions_sample.parquet")
    lines = lines.rename(columns={"household_id": "customer", "basket_id": "order", "transaction_timestamp": "time"})
    people = pd.read_parquet(folder / "demographics.parquet").rename(columns={"household_id": "customer"})
    return lines, people


def order_events(lines: pd.DataFrame) -> pa.Table:
    """One event row per line, worth its sales value."""
    columns = {"customer": lines["customer"], "order_id": lines["order"], "item": lines["product_id"]}
    columns |= {"quantity": np.ones(len(lines)), "price": lines["sales_value"], "time": lines["time"]}
    return as_events("Order Completed", columns)


def identify_events(people: pd.DataFrame) -> pa.Table:
    """One event row per household, told on the first day of the data."""
    traits = people[["age", "kids_count"]].to_dict("records")
    time = np.full(len(people), np.datetime64("2017-01-01", "us"))
    texts = [json.dumps(trait) for trait in traits]
    return as_events("Identify", {"customer": people["customer"], "time": time, "properties": texts})


def as_events(name: str, columns: dict[str, object]) -> pa.Table:
    count = len(columns["customer"])
    fixed = {"source": "cj", "name": name, "live": False, "machine": False, "line": 0}
    filled = {column: [value] * count for column, value in fixed.items()}
    filled |= {"message_id": [f"{name}-{row}" for row in range(count)], "received_at": columns["time"]} | columns
    arrays = [
        pa.array(filled[field.name], from_pandas=True).cast(field.type, safe=False)
        if field.name in filled
        else pa.nulls(count, field.type)
        for field in SCHEMA
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
