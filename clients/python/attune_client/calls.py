"""The calls: what each sends where, and what comes back. Both clients have all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar, Unpack
from urllib.parse import quote
from uuid import uuid4

from attune_client import answers, requests

Answer = TypeVar("Answer")
SEGMENTS = {  # the libraries of Segment call them so
    "customer": "userId",
    "anonymous": "anonymousId",
    "message_id": "messageId",
}


@dataclass(frozen=True)
class Call(Generic[Answer]):
    """One request; `again` says that it may be sent twice and does nothing twice."""

    method: str
    path: str
    body: Mapping[str, Any] | None
    headers: Mapping[str, str]
    again: bool


def recommend(**asked: Unpack[requests.Recommend]) -> Call[answers.Items]:
    """The best items for a customer, a device or a history."""
    return _asked("/v1/recommend", asked)


def recommend_batch(**asked: Unpack[requests.RecommendBatch]) -> Call[answers.Batch]:
    """The best items for each of many customers."""
    return _asked("/v1/recommend/batch", asked)


def basket(**asked: Unpack[requests.Basket]) -> Call[answers.Items]:
    """What completes a cart."""
    return _asked("/v1/recommend/basket", asked)


def similar(**asked: Unpack[requests.Similar]) -> Call[answers.Items]:
    """The items most like this one."""
    return _asked("/v1/recommend/similar", asked)


def select_offer(**asked: Unpack[requests.SelectOffer]) -> Call[answers.Offer]:
    """An offer or nothing."""
    return _asked("/v1/offers/select", asked)


def decide(**asked: Unpack[requests.Decide]) -> Call[answers.Slot]:
    """What a slot shows."""
    return _asked("/v1/decide", asked)


def assign(experiment: str, **asked: Unpack[requests.Assign]) -> Call[answers.Arm]:
    """The customer's arm of a test."""
    return _asked(f"/v1/experiments/{_part(experiment)}/assign", asked)


def report(experiment: str) -> Call[answers.Report]:
    """The stored report of a test."""
    return _read(f"/v1/experiments/{_part(experiment)}/report")


def customer(customer: str) -> Call[answers.Customer]:
    """All that is known of a customer."""
    return _read(f"/v1/customers/{_part(customer)}")


def decision(decision_id: str) -> Call[answers.Decision]:
    """The whole row of a decision."""
    return _read(f"/v1/decisions/{_part(decision_id)}")


def outcomes(**sent: Unpack[requests.Outcomes]) -> Call[answers.Taken]:
    """What came of decisions."""
    told = [{"id": str(uuid4())} | _given(one) for one in sent["outcomes"]]
    return Call("POST", "/v1/outcomes", {"outcomes": told}, {}, again=True)


def track(**sent: Unpack[requests.Track]) -> Call[answers.Taken]:
    """Something happened."""
    return _sent("/v1/track", sent)


def identify(**sent: Unpack[requests.Identify]) -> Call[answers.Taken]:
    """What is known of a customer."""
    return _sent("/v1/identify", sent)


def _asked(path: str, asked: Mapping[str, object]) -> Call[Any]:
    body = _given(asked)
    key = body.pop("idempotency_key", None)
    return Call("POST", path, body, {} if key is None else {"Idempotency-Key": key}, again=key is not None)


def _sent(path: str, sent: Mapping[str, object]) -> Call[Any]:
    """An event is kept once under its id, so it may be sent again."""
    body = {SEGMENTS.get(name, name): value for name, value in _given(sent).items()}
    own = {"messageId": str(uuid4()), "sentAt": datetime.now(UTC).isoformat()}
    return Call("POST", path, own | body, {}, again=True)


def _read(path: str) -> Call[Any]:
    return Call("GET", path, None, {}, again=True)


def _given(fields: Mapping[str, object]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _part(text: str) -> str:
    return quote(text, safe="")
