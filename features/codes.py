"""Codes: an offer's pool, of which each customer who is given the offer gets one of their own.

    the offer's file -> fresh -> given to a customer -> redeemed by an order that names it
                                  |          ^
                                  +----------+  unused for `codes_return_after_days`, where the offer names them

`free_from` is when anybody may be given the code: long ago for a fresh one, null where never again. So a code returns
by itself. It is read and given under the ledger's write lock, which one process holds at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Boolean, Column, Connection, DateTime, Float, Index, String, Table, func, insert, select, update

from features.identity import ids_of
from features.ledger import Ledger, metadata

if TYPE_CHECKING:
    from features.offers import Offer

CODE = re.compile(r"[^\x00-\x1f\x7f]{1,128}")
FRESH = datetime(1970, 1, 1)  # noqa: DTZ001  # UTC without a zone; before any that returned
BATCH = 5_000  # SQLite takes 32,766 parameters in a statement

codes = Table(
    "codes",
    metadata,
    Column("code", String(128), primary_key=True),
    Column("offer", String(64), nullable=False),
    Column("customer", String(256)),  # who was given it last
    Column("free_from", DateTime),
    Column("redeemed_at", DateTime),
    Column("redemption_cost", Float, nullable=False),  # as the offer said when it was given
    Column("of_revenue", Boolean, nullable=False),  # it costs that per unit of revenue, not per order
    Index("codes_offer_free", "offer", "free_from"),
    Index("codes_offer_customer", "offer", "customer"),
)


def read_codes(path: Path) -> list[str]:
    """The file's codes, one per line; what is written twice is one code, and empty lines are none."""
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").split("\n")]
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; an offer of offers.yaml names it for its codes") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}") from None
    for number, line in enumerate(lines, 1):
        if line and not CODE.fullmatch(line):
            said = f"{line[:20]!r} of {len(line)} characters"
            raise ValueError(f"{path}: line {number} == {said}, a code has 1 to 128 without control characters")
    return list(dict.fromkeys(filter(None, lines)))


def load_codes(ledger: Ledger, folder: Path, offers: Sequence[Offer]) -> None:
    """Adds the codes of the offers' files that their pools do not hold yet; what is in a pool stays as it is."""
    for offer in offers:
        if offer.codes is not None:
            _load(ledger, offer.key, folder / offer.codes)


def code_for(connection: Connection, offer: str, customer: str, now: datetime) -> str | None:
    """The customer's own code while it is unused, else a free one of the pool; None where none is left."""
    pool = select(codes.c.code).where(codes.c.offer == offer)
    mine = pool.where(codes.c.customer.in_(ids_of(connection, customer)), codes.c.redeemed_at.is_(None))
    free = pool.where(codes.c.free_from <= now).order_by(codes.c.free_from)
    for query in (mine, free):
        if (code := connection.execute(query.limit(1)).scalar()) is not None:
            return str(code)
    return None


def give(connection: Connection, code: str, offer: Offer, customer: str, now: datetime, *, of_revenue: bool) -> None:
    """Binds a code to the customer, from now for as long as the offer says."""
    days = offer.codes_return_after_days
    free_from = None if days is None else now + timedelta(days=days)
    bound = {"customer": customer, "free_from": free_from}
    cost = {"redemption_cost": offer.redemption_cost, "of_revenue": of_revenue}
    connection.execute(update(codes).where(codes.c.code == code).values(bound | cost))


def counted(connection: Connection, offer: str, now: datetime) -> tuple[int, int]:
    """How many codes of the pool are free, and how many it holds."""
    query = select(func.count().filter(codes.c.free_from <= now), func.count()).where(codes.c.offer == offer)
    free, every = connection.execute(query).one()
    return int(free), int(every)


def parts(names: Sequence[str]) -> Iterator[Sequence[str]]:
    """The names in parts that fit into one statement."""
    return (names[start : start + BATCH] for start in range(0, len(names), BATCH))


def _load(ledger: Ledger, offer: str, path: Path) -> None:
    given = read_codes(path)
    with ledger.read() as connection:
        missing = _missing(connection, offer, given, path)
    if not missing:
        return
    with ledger.write() as connection:  # looked at again: another process may have been first
        for part in parts(_missing(connection, offer, missing, path)):
            fresh = {"offer": offer, "free_from": FRESH, "redemption_cost": 0.0, "of_revenue": False}
            connection.execute(insert(codes), [{"code": code, **fresh} for code in part])


def _missing(connection: Connection, offer: str, given: Sequence[str], path: Path) -> list[str]:
    """Those of the codes that are in no pool yet; refused where one is in another offer's."""
    known: dict[str, str] = {}
    for part in parts(given):
        found = connection.execute(select(codes.c.code, codes.c.offer).where(codes.c.code.in_(part)))
        known |= {row.code: row.offer for row in found}
    for code, other in known.items():
        if other != offer:
            raise ValueError(
                f"{path}: the code {code!r} of {offer!r} is in the pool of {other!r}; a code has one offer"
            )
    return [code for code in given if code not in known]
