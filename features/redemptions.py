"""Redemptions: the codes that orders named as their `coupon`, and what that cost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from math import inf
from typing import Any

import orjson
from sqlalchemy import Connection, select, update

from features.codes import CODE, codes, parts
from features.events import ORDERED
from features.spending import Spending, add

NEEDED = ("name", "time", "quantity", "price", "properties")  # of an order's line
COUPON = "coupon"


def redeem(connection: Connection, lines: Iterable[Mapping[str, Any]]) -> None:
    """Marks the codes that these lines of orders name, each once, and adds what they cost to their offers' spending.

    Whoever placed the order: a code works once, and nobody is given it afterwards. The caller holds the write lock.
    """
    orders = by_coupon(lines)
    for part in parts(list(orders)):
        unused = select(codes).where(codes.c.code.in_(part), codes.c.redeemed_at.is_(None))
        for row in connection.execute(unused).mappings().all():
            time, revenue = orders[row["code"]]
            used = update(codes).where(codes.c.code == row["code"])
            connection.execute(used.values(redeemed_at=time, free_from=None))
            cost = row["redemption_cost"] * (revenue if row["of_revenue"] else 1.0)
            add(connection, row["offer"], Spending(redemptions=1, spent=cost))


def by_coupon(lines: Iterable[Mapping[str, Any]]) -> dict[str, tuple[datetime, float]]:
    """Per coupon the time of its first order and the revenue of its lines."""
    found: dict[str, tuple[datetime, float]] = {}
    for line in lines:
        if (code := _coupon(line)) is not None:
            time, revenue = found.get(code, (line["time"], 0.0))
            money = (line["quantity"] or 1.0) * (line["price"] or 0.0)
            found[code] = min(time, line["time"]), revenue + (money if 0 <= money < inf else 0.0)
    return found


def _coupon(line: Mapping[str, Any]) -> str | None:
    """The coupon of an order's line; what is no JSON object with one names none."""
    if line["name"] != ORDERED or not line["properties"] or f'"{COUPON}"' not in line["properties"]:
        return None
    try:
        told = orjson.loads(line["properties"])
    except orjson.JSONDecodeError:
        return None
    coupon = str(told.get(COUPON, "")).strip() if isinstance(told, dict) else ""
    return coupon if CODE.fullmatch(coupon) else None
