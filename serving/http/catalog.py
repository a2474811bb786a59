"""Items over HTTP: what the shop says of them is in the ledger before the answer, and in every answer after it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from features.items import Item, item_of, newest, upsert
from features.ledger import Ledger
from serving.decisions.requests import Request
from serving.http.errors import HttpError

MAX_ITEMS = 5_000


class ItemsRequest(Request):
    """`POST /v1/catalog/items`. Each item has its `item` and the fields that changed.

    Those are `name`, `category`, `price`, `stock` (null: not tracked), `image`, `link`, and attributes of your own.
    """

    items: list[Annotated[dict[str, Any], WithJsonSchema(Item.model_json_schema())]] = Field(
        min_length=1, max_length=MAX_ITEMS
    )


def change(ledger: Ledger, request: ItemsRequest, now: datetime) -> dict[str, Any]:
    """Takes the items that are ones; the others are named with what is wrong. Where none is, nothing changes."""
    found: list[Item] = []
    rejected: list[dict[str, Any]] = []
    for place, raw in enumerate(request.items):
        try:
            found.append(item_of(raw, f"items.{place}"))
        except ValueError as error:
            rejected.append({"index": place, "reason": str(error)[:300]})
    if not found:
        raise HttpError(400, "bad_request", rejected[0]["reason"])
    changed = upsert(ledger, found, time=now)
    return {"accepted": len(found), "changed": changed, "rejected": rejected, "version": newest(ledger)}
