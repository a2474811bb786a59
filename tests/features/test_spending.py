"""What was given out of an offer is counted, and says when nothing is left."""

from collections.abc import Iterator

import pytest

from features.ledger import Ledger
from features.offers import Offer
from features.spending import Spending, add, spending_of

NOTHING = Spending()
THIRTY = sum([0.3] * 99)  # not quite 29.7


@pytest.fixture
def ledger(ledger_url: str) -> Iterator[Ledger]:
    opened = Ledger.at(ledger_url)
    yield opened
    opened.close()


def test_what_is_given_out_adds_up_per_offer(ledger: Ledger) -> None:
    for _ in range(2):
        with ledger.write() as connection:
            add(connection, "mail", Spending(contacts=1, spent=0.5))
            add(connection, "web", Spending(redemptions=1, spent=2.0))
    with ledger.read() as connection:
        found = spending_of(connection, ["mail", "web", "sms"])
    assert found == {"mail": Spending(2, 0, 1.0), "web": Spending(0, 2, 4.0), "sms": NOTHING}


@pytest.mark.parametrize(
    ("limits", "so_far", "why"),
    [
        ({}, Spending(10**9, 0, 1e12), None),
        ({"stock": 0}, NOTHING, "the stock of 0 is used up"),
        ({"stock": 1_000}, Spending(999), None),
        ({"stock": 1_000}, Spending(1_000), "the stock of 1,000 is used up"),
        ({"stock": 5, "budget": 1.0, "cost": 1.0}, Spending(1, 0, 1.0), "the budget of 1.00 is used up"),
        ({"budget": 0, "cost": 0.3}, NOTHING, "the budget of 0.00 is used up"),
        ({"budget": 0, "redemption_cost": 2.0}, NOTHING, "the budget of 0.00 is used up"),
        ({"budget": 0}, NOTHING, None),
        ({"budget": 30, "cost": 0.3}, Spending(99, 0, THIRTY), None),
        ({"budget": 30, "cost": 0.3}, Spending(99, 0, THIRTY + 0.01), "the budget of 30.00 is used up"),
        ({"budget": 30, "redemption_cost": 2.0}, Spending(50, 14, 28.0), None),
        ({"budget": 30, "redemption_cost": 2.0}, Spending(50, 15, 30.0), "the budget of 30.00 is used up"),
    ],
)
def test_an_offer_is_used_up_where_one_more_contact_would_exceed_a_limit(
    limits: dict[str, float], so_far: Spending, why: str | None
) -> None:
    assert so_far.used_up(Offer(key="mail", name="-", **limits)) == why
