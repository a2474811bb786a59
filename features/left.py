"""Left: what each limited offer of a workspace still has, a line each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection

from features.codes import counted, read_codes
from features.ledger import Ledger
from features.migrations import NEWEST
from features.offers import Offer, read_offers
from features.spending import spending_of
from features.workspace import Workspace


def read_pools(folder: Path) -> str:
    """How many offers and codes the workspace's files hold; an error in one line where one of them is wrong."""
    offers = read_offers(folder)
    pools = [len(read_codes(folder / offer.codes)) for offer in offers if offer.codes is not None]
    return f"{len(offers)} offers" + (f", {sum(pools):,} codes in their files" if pools else "")


def limits_left(workspace: Workspace, now: datetime) -> Iterator[tuple[str, str, bool]]:
    """Per limited offer its key, what is left of it, and whether something is used up; nothing is changed."""
    ledger = Ledger(workspace.ledger)
    limited = [offer for offer in read_offers(workspace.folder) if offer.limited]
    if not limited or ledger.revision() != NEWEST:
        return
    with ledger.read() as connection:
        for offer in limited:
            yield offer.key, *_left(connection, offer, workspace.settings.currency, now)


def _left(connection: Connection, offer: Offer, currency: str, now: datetime) -> tuple[str, bool]:
    so_far, said = spending_of(connection, [offer.key])[offer.key], []
    empty = so_far.used_up(offer) is not None
    if offer.codes is not None:
        free, every = counted(connection, offer.key, now)
        said.append(f"{free:,} of {every:,} codes left, {so_far.redemptions:,} redeemed")
        empty = empty or not free
    if offer.stock is not None:
        said.append(f"{max(offer.stock - so_far.contacts, 0):,} of {offer.stock:,} in stock")
    if offer.budget is not None:
        said.append(f"{so_far.spent:,.2f} of {offer.budget:,.2f} {currency} spent")
    return ", ".join(said), empty
