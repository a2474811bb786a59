"""A library's calls as rows: what each becomes, when it happened, and what cannot be taken."""

import re
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from features.events import COLUMNS, SCHEMA
from features.sources.sdk import MAX_EVENT, Call, Row, parsed, rows, taken
from features.sources.split import Broken
from features.workspace import Settings

NOON = datetime(2026, 3, 1, 12)  # UTC, as the tables keep it
EUROS = Settings(name="shop", currency="EUR", rates={"USD": 0.5})


def call(**body: Any) -> Call:
    return Call.of(body, "web", NOON, EUROS)


def event(kind: str = "track", **fields: Any) -> dict[str, Any]:
    named = {"event": "Signed Up"} if kind == "track" else {}
    return {"type": kind, "userId": "anna", "messageId": "m1", **named, **fields}


def one(kind: str = "track", **fields: Any) -> Row:
    (row,) = rows(event(kind, **fields), call())
    return row


def told(row: Row) -> Any:
    return orjson.loads(row["properties"]) if row["properties"] else None


def order(*products: Any, **properties: Any) -> list[Row]:
    told = {"order_id": "o1", "products": list(products), **properties}
    return rows(event(event="Order Completed", properties=told), call())


def test_a_row_has_the_columns_of_an_event() -> None:
    assert set(one()) == set(COLUMNS)
    assert len(SCHEMA) == len(one())


def test_a_track_call_keeps_its_name_its_people_and_its_properties() -> None:
    row = one(anonymousId="device", properties={"plan": "gold", "seats": None})
    assert (row["name"], row["customer"], row["anonymous"]) == ("Signed Up", "anna", "device")
    assert (row["source"], row["message_id"], row["line"], row["live"]) == ("web", "m1", 0, True)
    assert told(row) == {"plan": "gold", "seats": None}


def test_the_traits_of_an_identify_call_are_its_properties() -> None:
    row = one("identify", traits={"city": "Bonn"}, context={"traits": {"city": "Köln", "age": 31}})
    assert (row["name"], told(row)) == ("Identify", {"city": "Bonn", "age": 31})


def test_traits_in_the_context_of_another_call_are_an_identify_of_the_same_message() -> None:
    first, second = rows(event(context={"traits": {"city": "Bonn"}}), call())
    assert (first["name"], second["name"], second["line"]) == ("Signed Up", "Identify", 1)
    assert (second["customer"], second["message_id"], told(second)) == ("anna", "m1", {"city": "Bonn"})


def test_an_alias_names_both_ids() -> None:
    row = one("alias", previousId="device")
    assert (row["name"], row["customer"], told(row)) == ("Alias", "anna", {"previous_id": "device"})


@pytest.mark.parametrize(("kind", "name"), [("page", "Page Viewed"), ("screen", "Screen Viewed")])
def test_a_page_and_a_screen_are_views(kind: str, name: str) -> None:
    row = one(kind, name="Home", category="Start", properties={"path": "/"})
    assert (row["name"], told(row)) == (name, {"name": "Home", "category": "Start", "path": "/"})


def test_a_group_call_carries_the_groups_traits() -> None:
    row = one("group", groupId=7, traits={"plan": "gold"})
    assert (row["name"], told(row)) == ("Group", {"group_id": "7", "plan": "gold"})


def test_of_the_context_stay_campaign_referrer_and_page_and_no_address_or_device() -> None:
    context = {
        "campaign": {"name": "spring", "source": "mail"},
        "referrer": {"url": "https://a.example"},
        "page": {"url": "https://b.example", "referrer": "https://a.example", "title": "B"},
        "ip": "192.0.2.7",
        "device": {"id": "d7"},
        "userAgent": "x",
    }
    row = one(context=context)
    page = {"url": "https://b.example", "referrer": "https://a.example"}
    kept = {"campaign": context["campaign"], "referrer": context["referrer"], "page": page}
    assert told(row) == {"context": kept}
    assert row["campaign"] == "spring"


def test_of_a_pages_address_stay_the_path_and_the_campaign() -> None:
    """What a query holds may name a person, or let somebody in."""
    here, there = "https://b.example/pay", "https://a.example/mail"
    page = {"url": f"{here}?token=s3cret&utm_source=mail&utm_campaign=spring#s3cret", "referrer": f"{there}?to=s3cret"}
    context = {"page": page, "referrer": {"url": f"{there}?to=s3cret", "type": "mail"}}
    viewed = {**page, "search": "?token=s3cret", "path": "/pay", "title": "Pay"}
    for row in (
        one("page", context=context, properties=viewed),
        one(context=context),
        one(context={**context, "referrer": there}),
    ):
        assert "s3cret" not in str({name: value for name, value in row.items() if name != "message_id"})
        assert told(row)["context"]["page"] == {"url": here, "referrer": there}
        assert told(row)["context"]["campaign"] == {"name": "spring", "source": "mail"}
        assert row["campaign"] == "spring"
    assert one(context={**context, "campaign": {"name": "own"}})["campaign"] == "own"


LONG = "x?utm_campaign=" + "x" * 257


@pytest.mark.parametrize(
    "url", [7, ["x"], {"a": 1}, "https://[", "?utm_campaign=", "x?" + "a=1&" * 200, LONG, "x?utm_campaign=%00"]
)
def test_an_address_that_is_none_tells_of_no_campaign(url: object) -> None:
    assert one(context={"page": {"url": url}})["campaign"] is None


@pytest.mark.parametrize(
    ("broken", "customer"),
    [
        ({"type": "shout", "userId": 4711, "anonymousId": "d7"}, "4711"),
        ({"type": "shout", "userId": "x" * 257, "anonymousId": "d7"}, "d7"),
        ({"type": "alias", "previousId": "ann"}, "ann"),
        ({"type": "shout", "userId": ["ann"]}, None),
        (Broken('{"userId" : "ann", \\xff}', "not JSON"), "ann"),
        (Broken('{"anonymousId":"d7"', "not JSON"), "d7"),
        (7, None),
    ],
)
def test_a_reject_stands_under_the_first_id_that_can_be_read(broken: object, customer: str | None) -> None:
    ((_, reject),) = taken([broken], call())[1]
    assert reject.customer == customer


def test_the_context_of_a_batch_is_that_of_its_events() -> None:
    both = Call.of({"context": {"campaign": {"id": 7}}}, "web", NOON, EUROS)
    assert rows(event(), both)[0]["campaign"] == "7"
    assert rows(event(context={"campaign": {"name": "own"}}), both)[0]["campaign"] == "own"


@pytest.mark.parametrize("name", ["properties", "context", "traits", "integrations", "timestamp", "anonymousId"])
@pytest.mark.parametrize("kind", ["track", "identify", "page"])
def test_null_is_as_if_it_were_not_there(kind: str, name: str) -> None:
    assert one(kind, **{name: None}) == one(kind)


@pytest.mark.parametrize(("given", "kept"), [(7, "7"), (7.0, "7"), (7.5, "7.5"), (10**18, "1000000000000000000")])
def test_a_number_as_user_id_is_its_digits(given: object, kept: str) -> None:
    assert one(userId=given)["customer"] == kept


def test_a_message_without_id_gets_one_of_its_own() -> None:
    ids = {one(messageId=None)["message_id"] for _ in range(3)}
    assert len(ids) == 3


def test_an_order_is_one_row_per_product_and_says_what_was_said_of_it_once() -> None:
    first, second = order(
        {"product_id": "tea", "price": 4, "quantity": 2, "category": "hot"},
        {"sku": "cup", "price": "9.50"},
        coupon="SPRING",
        total=17.5,
    )
    assert [(row["line"], row["item"], row["price"], row["quantity"]) for row in (first, second)] == [
        (0, "tea", 4.0, 2.0),
        (1, "cup", 9.5, 1.0),
    ]
    assert {first["order_id"], second["order_id"]} == {"o1"}
    assert told(first)["total"] == 17.5
    assert told(first)["category"] == "hot"
    assert "total" not in told(second)
    assert {told(first)["coupon"], told(second)["coupon"]} == {"SPRING"}


def test_an_order_without_products_is_worth_its_total() -> None:
    (row,) = rows(event(event="Order Completed", properties={"order_id": "o1", "revenue": 25}), call())
    assert (row["item"], row["quantity"], row["price"]) == (None, 1.0, 25.0)


def test_money_in_another_currency_takes_its_rate() -> None:
    assert [row["price"] for row in order({"product_id": "tea", "price": 4}, currency="usd")] == [2.0]
    viewed = one(event="Product Viewed", properties={"product_id": "tea", "price": 4, "currency": "EUR"})
    assert (viewed["item"], viewed["price"]) == ("tea", 4.0)


def test_words_of_an_event_without_a_meaning_are_only_its_properties() -> None:
    row = one(event="Survey Answered", properties={"price": "too high", "quantity": -1, "currency": "points"})
    assert (row["price"], row["quantity"]) == (None, None)
    assert told(row)["price"] == "too high"


def clocked(original: str | None, sent: str | None) -> Row:
    return rows(event(timestamp=original), call(sentAt=sent))[0]


def test_a_wrong_clock_is_corrected_and_all_four_times_are_kept() -> None:
    for year in (1970, 2025, 2026, 2100):
        row = clocked(f"{year}-05-05T10:00:00.000Z", f"{year}-05-05T10:00:07+00:00")
        assert row["time"] == NOON - timedelta(seconds=7)
        assert row["received_at"] == NOON
        assert row["original_time"] == f"{year}-05-05T10:00:00.000Z"
        assert told(row)["context"]["sent_at"] == f"{year}-05-05T10:00:07+00:00"


def test_nothing_happens_after_its_receipt() -> None:
    assert clocked("2100-01-01T00:00:00Z", None)["time"] == NOON
    assert clocked("2026-03-01T13:00:00Z", "2026-03-01T12:00:00Z")["time"] == NOON


def test_without_a_time_it_happened_when_it_was_received() -> None:
    assert (clocked(None, None)["time"], clocked(None, None)["original_time"]) == (NOON, None)


def test_without_a_time_of_sending_or_with_a_broken_one_the_clock_is_right() -> None:
    for sent in (None, "yesterday"):
        assert clocked("2026-02-28T12:00:00+01:00", sent)["time"] == datetime(2026, 2, 28, 11)


REFUSED: list[tuple[Any, str]] = [
    ("text", "must be an object"),
    (None, "must be an object"),
    ({"type": "shout"}, "type == 'shout', must be one of track"),
    ({"type": ["track"]}, "must be one of track"),
    (event(userId=None), "userId and anonymousId are absent"),
    (event(userId=" "), "userId and anonymousId are absent"),
    (event(userId=["anna"]), "userId == ['anna'], must be text"),
    (event(userId=True), "userId == True, must be text"),
    (event(userId="x" * 10_000), "of 10000 characters, at most 256"),
    (event(userId="a\0b"), "no NUL"),
    (event(event=None), "the name of what happened is needed"),
    (event(event={"a": 1}), "the name of what happened is needed"),
    (event(event="n" * 257), "at most 256"),
    (event(messageId="m" * 257), "at most 256"),
    (event(properties=[1]), "properties == [1], must be an object"),
    (event("identify", traits="x"), "traits == 'x', must be an object"),
    (event(context="x"), "context == 'x', must be an object"),
    (event(timestamp="yesterday"), "timestamp == 'yesterday', must be a time"),
    (event(timestamp=1700000000), "must be a time"),
    (event(timestamp="1815-12-10T00:00:00Z"), "that long ago there were no signals"),
    (event(timestamp="0001-01-01T00:00:00+14:00"), "must be a time"),
    (event("alias"), "an alias needs both"),
    (event("group"), "groupId is absent"),
    (event(properties={"a": "x" * MAX_EVENT}), "bytes, at most 32768"),
    (event(event="Product Viewed", properties={"price": "dear"}), "price == 'dear', must be a number"),
    (event(event="Product Viewed", properties={"price": 1e300}), "price == 1e+300"),
    (event(event="Product Viewed", properties={"quantity": 0}), "quantity == 0, must be > 0"),
    (event(event="Product Viewed", properties={"price": 4, "currency": "CHF"}), "currency has no rate: CHF"),
    (event(event="Order Completed", properties={"products": "tea"}), "products == 'tea', must be a list"),
    (event(event="Order Completed", properties={"products": [{"price": 4}]}), "products[0] has no product_id"),
    (event(event="Order Completed", properties={"products": [7]}), "products[0] == 7, must be an object"),
    (event(properties={"a": "\ud800"}), "surrogates"),
]


@pytest.mark.parametrize(("given", "reason"), REFUSED)
def test_what_cannot_be_taken_is_filed_with_its_reason_and_its_neighbours_are_taken(given: Any, reason: str) -> None:
    found, lost = taken([event(), given, event()], call())
    assert len(found) == 2
    ((place, reject),) = lost
    assert place == 1
    assert reason in reject.reason
    assert "\n" not in reject.reason
    assert len(reject.body) <= 4_096


def test_a_reject_is_under_the_customers_id_where_it_can_be_read() -> None:
    _, lost = taken([event("alias"), event("alias", userId=["anna"])], call())
    assert [reject.customer for _, reject in lost] == ["anna", None]


BROKEN = [
    (b'"\xff\xfe"', "not JSON"),
    (b'{"type": "track", "event": "\xc3\x28", "userId": "u"}', "not JSON"),
    (b'{"a": "\\ud800"}', "not JSON"),
    (b'{"a": ' * 2_000 + b"1" + b"}" * 2_000, "not JSON"),
    (b"[" * 2_000 + b"]" * 2_000, "not JSON"),
    (b'{"a": truth}', "not JSON"),
]


@pytest.mark.parametrize(("text", "reason"), BROKEN)
def test_a_broken_event_costs_none_of_its_neighbours(text: bytes, reason: str) -> None:
    fine = orjson.dumps(event(properties={"said": 'a ] } " \\ of "batch": ['}))
    body = parsed(
        b'{"sentAt": "2026-03-01T12:00:00Z", "batch": [' + b", ".join([fine, text, fine]) + b'], "writeKey": "k"}'
    )
    assert body["writeKey"] == "k"
    found, lost = taken(body["batch"], call(**body))
    assert len(found) == 2
    assert [told(event[0])["said"] for event in found] == ['a ] } " \\ of "batch": ['] * 2
    assert all(re.search(reason, reject.reason) for _, reject in lost)


def test_only_the_batch_is_told_apart() -> None:
    body = parsed(b'{"said": [{"type": "page"}], "batch": [' + orjson.dumps(event()) + b', \xff, {"a": \xff}]}')
    found, lost = taken(body["batch"], call())
    assert (len(found), len(lost), body["said"]) == (1, 1, [{"type": "page"}])


def test_what_python_writes_for_no_number_is_null() -> None:
    body = parsed(
        b'{"batch": [{"type": "track", "event": "e", "userId": "u", "properties": {"a": NaN, "b": [-Infinity]}}]}'
    )
    assert body["batch"][0]["properties"] == {"a": None, "b": [None]}
    assert parsed(b'{"event": "e", "properties": {"a": NaN}}')["properties"] == {"a": None}


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"7", b"null", b"\xff", b"[" * 400_000, b'{"batch": [', b'{"batch": [}]}']
)
def test_what_is_no_body_at_all_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parsed(content)
