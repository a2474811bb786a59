"""Products: what a track call says of items, orders and money, as the columns of rows.

An order gives one row per product, line 0, 1, ...; the first carries what was said of the order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from features.events import ADDED, ENGAGED, ORDERED, REFUNDED, REMOVED, VIEWED
from features.redemptions import COUPON
from features.sources.engaged import seconds
from features.sources.values import number, record, text
from features.workspace import Settings

MOST = 1e12  # units or money: nobody reckons with more, and sums of it stay exact enough
TOTALS = ("revenue", "total", "value")  # of an order that names no products
ORDERS = (ORDERED, REFUNDED)
MEANT = (VIEWED, ADDED, REMOVED, *ORDERS)  # in any other event these words may mean something else
Columns = dict[str, Any]


def columns(name: str, properties: Mapping[str, Any], settings: Settings) -> list[Columns]:
    """Per row what differs from the event's other rows: item, quantity, price, order, and its own properties."""
    if name == ENGAGED:
        return [_as_far_as_read(properties, settings) | {"quantity": seconds(properties)}]
    if name not in MEANT:
        return [_as_far_as_read(properties, settings)]
    order = text("order_id", properties.get("order_id"))
    products = properties.get("products")
    if name not in ORDERS:
        return [_line(properties, order, properties, settings)]
    if not products:
        total = next((properties[key] for key in TOTALS if properties.get(key) is not None), None)
        return [_line({"quantity": 1, "price": total, **properties}, order, properties, settings)]
    if not isinstance(products, list):
        raise ValueError(f"products == {products!r:.80}, must be a list")
    return _lines(products, order, properties, settings)


def _as_far_as_read(properties: Mapping[str, Any], settings: Settings) -> Columns:
    try:
        return _line(properties, text("order_id", properties.get("order_id")), properties, settings)
    except ValueError:
        return {"properties": properties}


def _lines(products: list[Any], order: str | None, properties: Mapping[str, Any], settings: Settings) -> list[Columns]:
    shared = {name: properties[name] for name in (COUPON, "currency") if properties.get(name) is not None}
    rest = {name: value for name, value in properties.items() if name != "products"}
    rows = []
    for place, given in enumerate(products):
        product = {**shared, **record(f"products[{place}]", given)}
        row = _line({"quantity": 1, **product}, order, product, settings)
        if row["item"] is None:
            raise ValueError(f"products[{place}] has no product_id")
        rows.append(row)
    rows[0]["properties"] = rest | rows[0]["properties"]
    return rows


def _line(fields: Mapping[str, Any], order: str | None, properties: Mapping[str, Any], settings: Settings) -> Columns:
    item = fields.get("product_id")
    return {
        "item": text("product_id", item if item not in (None, "") else fields.get("sku")),
        "quantity": _quantity(fields.get("quantity")),
        "price": _price(fields.get("price"), fields.get("currency"), settings),
        "order_id": order,
        "properties": properties,
    }


def _quantity(value: Any) -> float | None:
    units = number("quantity", value)
    if units is not None and not 0 < units <= MOST:
        raise ValueError(f"quantity == {value!r:.80}, must be > 0 and <= {MOST:.0e}")
    return units


def _price(value: Any, currency: Any, settings: Settings) -> float | None:
    """Per unit in the workspace's currency; an amount in another one needs its rate, as in an import."""
    price = number("price", value)
    if price is None:
        return None
    if not 0 <= price <= MOST:
        raise ValueError(f"price == {value!r:.80}, must be >= 0 and <= {MOST:.0e}")
    money = (text("currency", currency) or settings.currency).upper()
    if money == settings.currency:
        return price
    if money not in settings.rates:
        raise ValueError(f"currency has no rate: {money}")
    return price * settings.rates[money]
