"""A code is redeemed by the `coupon` of an order, once, and what that cost is added to its offer's spending.

`A`, `B` and `C` are codes of `mail`; ann was given A and bob B, at 2.5 per redemption.
"""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from features.codes import codes, give, load_codes
from features.events import ORDERED, Event
from features.history import record
from features.importing import import_file
from features.ledger import Ledger
from features.offers import Offer
from features.spending import Spending, spending_of
from features.workspace import Workspace

NOW = datetime(2026, 3, 1, tzinfo=UTC)
MAP = """\
columns: {customer: customer, time: time, item: item, price: price, order_id: order, coupon: voucher, message_id: line}
"""
HEAD = "line,customer,time,item,price,order,voucher\n"
FIRST = """\
1,ann,2026-02-01,tea,10,o1,A
2,ann,2026-02-01,cup,5,o1,A
3,bob,2026-02-02,tea,10,o2,
4,eve,2026-02-02,tea,10,o3,Z
"""


@pytest.fixture
def pool(shop: Workspace, ledger: Ledger) -> Offer:
    """The offer of the docstring, its codes given."""
    offer = Offer(key="mail", name="-", codes="codes/mail.txt", redemption_cost=2.5)
    (shop.folder / "codes").mkdir()
    (shop.folder / "codes" / "mail.txt").write_text("A\nB\nC\n")
    load_codes(ledger, shop.folder, [offer])
    hand_out(ledger, offer, of_revenue=False)
    return offer


def hand_out(ledger: Ledger, offer: Offer, *, of_revenue: bool) -> None:
    with ledger.write() as connection:
        for code, customer in (("A", "ann"), ("B", "bob")):
            give(connection, code, offer, customer, datetime(2026, 1, 15), of_revenue=of_revenue)


def redeemed(ledger: Ledger) -> list[str]:
    query = select(codes.c.code).where(codes.c.redeemed_at.is_not(None)).order_by(codes.c.code)
    with ledger.read() as connection:
        return list(connection.execute(query).scalars())


def spending(ledger: Ledger) -> Spending:
    with ledger.read() as connection:
        return spending_of(connection, ["mail"])["mail"]


def imported(shop: Workspace, tmp_path: Path, text: str) -> str:
    (tmp_path / "map.yaml").write_text(MAP)
    (tmp_path / "orders.csv").write_text(HEAD + text)
    return import_file(shop, tmp_path / "orders.csv", tmp_path / "map.yaml", consent="", proof="", now=NOW)


def live(number: int, properties: str, name: str = ORDERED) -> Event:
    return Event("app", str(number), name, NOW, NOW, customer="bob", item="tea", price=4.0, properties=properties)


def test_an_imported_order_redeems_the_code_that_it_names_once(
    shop: Workspace, ledger: Ledger, pool: Offer, tmp_path: Path
) -> None:
    imported(shop, tmp_path, FIRST)
    assert (redeemed(ledger), spending(ledger)) == (["A"], Spending(0, 1, 2.5))
    imported(shop, tmp_path, FIRST)
    imported(shop, tmp_path, FIRST + "5,ann,2026-02-03,tea,10,o4,A\n")
    assert (redeemed(ledger), spending(ledger)) == (["A"], Spending(0, 1, 2.5))
    imported(shop, tmp_path, FIRST + "6,guest,2026-02-03,tea,10,o5,B\n")
    assert (redeemed(ledger), spending(ledger)) == (["A", "B"], Spending(0, 2, 5.0))


def test_of_revenue_a_redemption_costs_so_much_per_unit(
    shop: Workspace, ledger: Ledger, pool: Offer, tmp_path: Path
) -> None:
    hand_out(ledger, pool, of_revenue=True)
    imported(shop, tmp_path, FIRST)
    assert spending(ledger) == Spending(0, 1, 2.5 * (10 + 5))


def test_a_live_order_redeems_its_code_once(ledger: Ledger, pool: Offer) -> None:
    for _ in range(2):
        record(ledger, [live(1, '{"coupon": "B", "total": 4}')])
    assert (redeemed(ledger), spending(ledger)) == (["B"], Spending(0, 1, 2.5))


@pytest.mark.parametrize(
    "properties",
    ['{"coupon": "b"}', '{"coupon": null}', '{"coupon": ["B"]}', '"coupon"', '{"coupon": "B', '["coupon"]'],
)
def test_what_names_no_code_redeems_none(ledger: Ledger, pool: Offer, properties: str) -> None:
    record(
        ledger, [live(1, properties), live(2, '{"coupon": "B"}', "Coupon Entered"), live(3, '{"coupon": "\\u0000"}')]
    )
    assert (redeemed(ledger), spending(ledger)) == ([], Spending())


def test_a_price_that_is_no_amount_spoils_no_count(ledger: Ledger, pool: Offer) -> None:
    hand_out(ledger, pool, of_revenue=True)
    event = Event("app", "1", ORDERED, NOW, NOW, item="tea", price=float("nan"), properties='{"coupon": "B"}')
    record(ledger, [event])
    assert spending(ledger) == Spending(0, 1, 0.0)
