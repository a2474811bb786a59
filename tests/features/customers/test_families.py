"""Each family on a log drawn by hand, as of 1 June 2025. Times are days before that moment."""

from __future__ import annotations

import json
import math
import random
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from features.customers import FAMILIES
from features.customers.lifecycle import stage_of
from features.events import SCHEMA, Event, Events
from features.table import FeatureTable

MOMENT = datetime(2025, 6, 1)  # tables keep UTC without a zone


def event(customer, name, days_ago, **fields):
    time = MOMENT - timedelta(days=days_ago)
    number = f"{customer}-{name}-{days_ago}-{sorted(fields.items())}"
    return Event("test", number, name, time, time, customer=customer, **fields)


def ordered(customer, days_ago, item, quantity, price, order_id, line=0):
    fields = {"item": item, "quantity": quantity, "price": price, "order_id": order_id, "line": line}
    return event(customer, "Order Completed", days_ago, **fields)


def refunded(customer, days_ago, item, quantity, price, order_id):
    fields = {"item": item, "quantity": quantity, "price": price, "order_id": order_id}
    return event(customer, "Order Refunded", days_ago, **fields)


def table(log, **options):
    rows = pa.Table.from_pylist([one.row() for one in log], schema=SCHEMA)
    return FeatureTable.build(Events.of(rows), MOMENT, **options)


def known(log, family, customer="ann"):
    built = table(log, families=[family], customers=[customer])
    return built.frame.iloc[0].to_dict()


def test_recency_counts_days_from_the_last_of_each_kind():
    """ann viewed 9 and 4 days ago, ordered 20 and 12, opened 3, and clicked never."""
    log = [event("ann", "Product Viewed", 9, item="tea"), event("ann", "Product Viewed", 4, item="tea")]
    log += [ordered("ann", 20, "tea", 1, 5.0, "a"), ordered("ann", 12, "tea", 1, 5.0, "b")]
    log += [event("ann", "Email Opened", 3)]
    found = known(log, "recency")
    assert math.isnan(found.pop("days_since_click"))
    assert found == {"days_since_event": 3, "days_since_order": 12, "days_since_view": 4, "days_since_open": 3}


def test_recency_sees_parts_of_a_day():
    assert known([event("ann", "Product Viewed", 0.25)], "recency")["days_since_view"] == 0.25


def test_spend_adds_orders_by_their_id_and_takes_refunds_off():
    """ann: order a (2 x 10 + 1 x 5) 200 days ago, order b (1 x 40) 10 days ago, and 5 of order a back 8 days ago."""
    log = [ordered("ann", 200, "tea", 2, 10.0, "a"), ordered("ann", 200, "cup", 1, 5.0, "a", line=1)]
    log += [ordered("ann", 10, "pot", 1, 40.0, "b"), refunded("ann", 8, "cup", 1, 5.0, "a")]
    assert known(log, "spend") == {
        "orders": 2,
        "orders_90d": 1,
        "units": 2 + 1 + 1 - 1,
        "revenue": 25 + 40 - 5,
        "revenue_30d": 40 - 5,
        "revenue_90d": 40 - 5,
        "revenue_365d": 25 + 40 - 5,
        "order_value": (25 + 40) / 2,
        "order_value_max": 40,
        "refund_share": 5 / 65,
    }


def test_a_customer_who_only_refunded_has_negative_revenue_and_no_order():
    found = known([refunded("ann", 8, "cup", 2, 5.0, "a")], "spend")
    assert (found["orders"], found["revenue"], found["units"]) == (0, -10, -2)
    assert math.isnan(found["order_value"])
    assert math.isnan(found["refund_share"])


def test_a_window_begins_exactly_its_days_before_the_moment():
    """Two orders: one exactly 90 days ago counts, one a second earlier does not."""
    log = [ordered("ann", 90, "tea", 1, 7.0, "a"), ordered("ann", 90 + 1 / 86400, "tea", 1, 11.0, "b")]
    found = known(log, "spend")
    assert (found["orders"], found["orders_90d"], found["revenue_90d"]) == (2, 1, 7)


def test_a_line_without_quantity_is_one_unit_and_without_price_worth_nothing():
    log = [event("ann", "Order Completed", 5, item="tea", price=3.0, order_id="a")]
    log += [event("ann", "Order Completed", 4, item="cup", quantity=2.0, order_id="b")]
    found = known(log, "spend")
    assert (found["units"], found["revenue"], found["orders"]) == (3, 3, 2)


def test_engagement_counts_in_windows():
    """ann: views 5, 20 and 60 days ago, two carts, four e-mails of which one was opened, one unsubscribe long ago."""
    log = [event("ann", "Product Viewed", days, item="tea") for days in (5, 20, 60, 100)]
    log += [event("ann", "Product Added", days, item="tea") for days in (2, 31)]
    log += [event("ann", "Email Delivered", days) for days in (10, 20, 30, 40)]
    log += [event("ann", "Email Opened", 9), event("ann", "Unsubscribed", 300)]
    assert known(log, "engagement") == {
        "views_7d": 1, "views_30d": 2, "views_90d": 3, "adds_30d": 1, "emails_90d": 4, "opens_90d": 1,
        "clicks_90d": 0, "open_share": 1 / 4, "unsubscribed": 1, "engaged_30d": 0, "engaged_estimated": 0,
    }  # fmt: skip


def page(customer, minutes, name="Page Viewed", **fields):
    """A page so many minutes after a moment two days ago."""
    return event(customer, name, 2 - minutes / 1440, **fields)


def test_time_on_pages_is_what_they_told():
    """ann's pages told 20 and 40 seconds, one 31 days ago 100 more; that she viewed them is not counted again."""
    log = [page("ann", 0), page("ann", 3)]
    log += [page("ann", minutes, "Page Engaged", quantity=20.0 * minutes) for minutes in (1, 2)]
    log += [event("ann", "Page Engaged", 31, quantity=100.0), page("ann", 5, "Page Engaged")]
    found = known(log, "engagement")
    assert (found["engaged_30d"], found["engaged_estimated"]) == (60, 0)


def test_time_on_pages_that_told_nothing_is_estimated_from_the_session_and_flagged():
    """ann viewed pages at 0, 2 and 5 minutes, and after a pause of two hours one more: 5 minutes. bob viewed one."""
    log = [page("ann", minutes) for minutes in (0, 2, 5, 125)] + [page("bob", 1)]
    found = known(log, "engagement")
    assert (found["engaged_30d"], found["engaged_estimated"]) == (300, 1)
    found = known(log, "engagement", customer="bob")
    assert (found["engaged_30d"], found["engaged_estimated"]) == (0, 0)


def test_machines_opens_and_clicks_never_count():
    """ann got one e-mail; a scanner opened and clicked it. bob is known by a machine's row only."""
    log = [event("ann", "Email Delivered", 10)]
    log += [event("ann", name, 9, machine=True) for name in ("Email Opened", "Email Link Clicked")]
    log += [event("bob", "Email Opened", 9, machine=True)]
    found = table(log)
    assert list(found.customers) == ["ann"]
    assert found.frame.loc[0, ["opens_90d", "clicks_90d", "open_share", "days_since_event"]].tolist() == [0, 0, 0, 10]


def test_affinity_is_the_share_of_the_item_bought_most_and_of_repeats():
    """ann bought tea three times and a cup once, a pot came back whole, and she looked at tea and jam."""
    log = [ordered("ann", days, "tea", 1, 5.0, str(days)) for days in (30, 20, 10)]
    log += [ordered("ann", 9, "cup", 4, 2.0, "9"), ordered("ann", 8, "pot", 1, 40.0, "8")]
    log += [refunded("ann", 7, "pot", 1, 40.0, "8")]
    log += [event("ann", "Product Viewed", 3, item=item) for item in ("tea", "jam")]
    found = known(log, "affinity")
    assert found == {"items_bought": 2, "items_viewed": 2, "top_item_share": 3 / 4, "repeat_share": 2 / 4}


def test_lifecycle_is_the_age_the_pace_and_the_lateness():
    """ann came 130 days ago and ordered 120, 100 and 60 days ago: every 30 days, so at 60 she is twice overdue."""
    log = [event("ann", "Product Viewed", 130)]
    log += [ordered("ann", days, "tea", 1, 5.0, str(days)) for days in (120, 100, 60)]
    found = known(log, "lifecycle")
    assert found == {
        "days_since_first_event": 130,
        "days_since_first_order": 120,
        "days_between_orders": 30,
        "overdue": 2,
        "orders_trend": 1 - 2,
        "stage": "loyal",
    }


@pytest.mark.parametrize(
    ("days", "stage"),
    [
        ((30,), "new"), ((30.5,), "active"), ((200, 5), "active"), ((200, 90), "active"), ((200, 90.5), "at_risk"),
        ((180,), "at_risk"), ((180.5,), "lapsed"), ((20, 10), "new"), ((20, 10, 1), "new"), ((180, 90, 5), "loyal"),
        ((180.5, 90, 5), "active"), ((150, 120, 91), "at_risk"),
    ],
)  # fmt: skip
def test_a_stage_is_told_by_the_first_and_the_last_order(days, stage):
    log = [ordered("ann", since, "tea", 1, 5.0, str(since)) for since in days]
    assert known(log, "lifecycle")["stage"] == stage


def test_who_never_ordered_has_no_stage():
    assert table([event("ann", "Product Viewed", 3, item="tea")]).frame["stage"].isna().tolist() == [True]


def test_lines_without_an_order_id_are_one_order_by_customer_and_time():
    """ann's tea and cup were paid at once, her pot an hour later; bob paid at ann's time."""

    def bought(customer, days_ago, item):
        return event(customer, "Order Completed", days_ago, item=item, quantity=1.0, price=5.0)

    log = [bought("ann", 5, "tea"), bought("ann", 5, "cup"), bought("ann", 5 - 1 / 24, "pot"), bought("bob", 5, "tea")]
    found = table(log, families=["spend"]).frame
    assert found["orders"].tolist() == [2, 1]
    assert found["order_value_max"].tolist() == [10, 5]


def test_one_order_has_no_pace():
    found = known([ordered("ann", 20, "tea", 1, 5.0, "a")], "lifecycle")
    assert math.isnan(found["days_between_orders"])
    assert math.isnan(found["overdue"])


def told(customer, days_ago, **traits):
    return event(customer, "Identify", days_ago, properties=json.dumps(traits))


def test_a_trait_is_the_last_value_before_the_moment():
    """ann moved from Rome to Oslo; tomorrow she will move to Bern. bob never said where he lives."""
    log = [
        told("ann", 50, city="Rome"),
        told("ann", 20, city="Oslo"),
        told("ann", -1, city="Bern"),
        told("bob", 9, age=40),
    ]
    found = table(log, traits=["city", "age"])
    assert found.frame["city"][0] == "Oslo"
    assert found.frame["city"].isna().tolist() == [False, True]
    assert found.frame["age"].isna().tolist() == [True, False]
    assert found.frame["days_since_identified"].tolist() == [20, 9]


def test_a_trait_keeps_its_value_when_later_news_do_not_name_it():
    found = table([told("ann", 50, city="Rome", age=30), told("ann", 20, age=31)], traits=["city", "age"])
    assert (found.frame["city"][0], found.frame["age"][0]) == ("Rome", 31)


def test_numbers_stay_numbers_and_texts_become_categories():
    """Numbers where all are numbers; one text among them makes words of all; yes and no are words."""
    log = [told("ann", 5, age=30, size=4, newsletter=True), told("bob", 5, age=41.5, size="large", newsletter=False)]
    found = table(log, traits=["age", "size", "newsletter"])
    assert found.frame["age"].dtype == "float64"
    assert found.frame["age"].tolist() == [30, 41.5]
    assert found.frame["size"].astype(str).tolist() == ["4", "large"]
    assert found.frame["newsletter"].astype(str).tolist() == ["true", "false"]
    units = {feature.name: feature.unit for feature in found.features}
    assert (units["age"], units["size"], units["newsletter"]) == ("number", "category", "category")


def test_a_trait_taken_back_is_unknown():
    found = table([told("ann", 50, city="Rome"), told("ann", 20, city=None)], traits=["city"])
    assert found.frame["city"].isna().all()


def test_a_trait_may_not_take_the_name_of_a_feature():
    with pytest.raises(ValueError, match="traits: 'orders' is the name of a feature"):
        table([told("ann", 5, orders=3)], traits=["orders"])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_alone_gives_the_columns_it_describes(family):
    """Every family can be asked for by itself, also of a log in which nothing it speaks of happened."""
    found = table([event("ann", "Page Engaged", 3)], families=[family])
    assert [feature.family for feature in found.features] == [family] * len(FAMILIES[family].features)
    assert all(feature.sentence.endswith(".") and feature.unit for feature in found.features)


def test_no_two_families_share_a_column():
    names = [feature.name for family in FAMILIES.values() for feature in family.features]
    assert len(names) == len(set(names))


def test_the_stage_of_one_customer_is_that_of_the_table():
    """Up to six orders at and beside every border of a stage, some of them at the same moment."""
    rng = random.Random(1)  # noqa: S311  # orders, not secrets
    second = 1 / 86400
    borders = [day + off for day in (0, 30, 90, 180, 400) for off in (second, 0, 1e-9, -second) if day + off > 0]
    days = {f"c{number}": rng.choices(borders, k=rng.randint(0, 6)) for number in range(300)}
    log = [
        ordered(name, day, "tea", 1, 5.0, f"{name}-{n}") for name, some in days.items() for n, day in enumerate(some)
    ]
    built = table(log, families=["lifecycle"], customers=list(days)).frame["stage"]
    expected = [None if value != value else value for value in built.astype(object)]  # noqa: PLR0124  # NaN
    found = [stage_of([MOMENT - timedelta(days=day) for day in some], MOMENT) for some in days.values()]
    assert found == expected
    assert set(found) == {None, "new", "active", "loyal", "at_risk", "lapsed"}
