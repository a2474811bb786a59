"""Spending: what of each limited offer was given out, counted in the ledger.

One row per offer, found by its key. A decision that chooses the offer adds to it in the transaction that holds the
decision's own row, and a redeemed code in the one that marks it: no request looks at the decisions of the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from sqlalchemy import BigInteger, Column, Connection, Float, String, Table, insert, select, update

from features.ledger import metadata

if TYPE_CHECKING:
    from features.offers import Offer

ROUNDING = 1e-9  # of a budget: thirty cents a hundred times is thirty

spendings = Table(
    "spendings",
    metadata,
    Column("offer", String(64), primary_key=True),
    Column("contacts", BigInteger, nullable=False),
    Column("redemptions", BigInteger, nullable=False),
    Column("spent", Float, nullable=False),
)


@dataclass(frozen=True)
class Spending:
    """Decisions that chose an offer, its codes that were redeemed, and the money that both took, as it was then."""

    contacts: int = 0
    redemptions: int = 0
    spent: float = 0.0

    def used_up(self, offer: Offer) -> str | None:
        """What leaves no room for one more contact; None where there is room."""
        if offer.stock is not None and self.contacts >= offer.stock:
            return f"the stock of {offer.stock:,} is used up"
        if offer.budget is None or not (offer.cost or offer.redemption_cost):
            return None
        most = offer.budget * (1 + ROUNDING)
        dear = self.spent + offer.cost > most or (offer.redemption_cost > 0 and self.spent >= offer.budget)
        return f"the budget of {offer.budget:,.2f} is used up" if dear else None


def spending_of(connection: Connection, keys: Sequence[str]) -> dict[str, Spending]:
    """What was given out of each of these offers."""
    rows = connection.execute(select(spendings).where(spendings.c.offer.in_(keys))).mappings()
    known = {row["offer"]: Spending(row["contacts"], row["redemptions"], row["spent"]) for row in rows}
    return {key: known.get(key, Spending()) for key in keys}


def add(connection: Connection, key: str, more: Spending) -> None:
    """Adds to what was given out of an offer; the caller holds the write lock."""
    sums = {name: spendings.c[name] + value for name, value in asdict(more).items()}
    if not connection.execute(update(spendings).where(spendings.c.offer == key).values(sums)).rowcount:
        connection.execute(insert(spendings).values(offer=key, **asdict(more)))
