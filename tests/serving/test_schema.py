"""Every route of the OpenAPI, called as its schema says and as it does not, with every check of schemathesis on."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import negative_data_rejection, positive_data_acceptance

from features.keys import ADMIN, create
from features.ledger import Ledger
from features.sources.sdk import MADE
from features.workspace import Workspace
from serving.http.openapi import document

API = schemathesis.openapi.from_dict(document())
SIGNALS = [f"/v1/{kind}" for kind in MADE]
# a sound body may name what the workspace lacks (a placement, an attribute, an offer), or be too old or too long: 400
PARTLY = [
    *(f"/v1/recommend{one}" for one in ("", "/basket", "/similar", "/batch")),
    *("/v1/offers/select", "/v1/outcomes", "/v1/catalog/items", *SIGNALS),
]
# what can be read of an event is taken, and one item or event that cannot be costs none of the others: 200 says which
LENIENT = ["/v1/batch", "/v1/import", "/v1/outcomes", "/v1/catalog/items", *SIGNALS]
OPERATIONS = [(path, method) for path, one in document()["paths"].items() for method in one]


@dataclass(frozen=True)
class Asked:
    """A service that is asked with a key."""

    url: str
    key: str


@pytest.fixture(scope="module")
def asked(
    untouched: Workspace,
    tmp_path_factory: pytest.TempPathFactory,
    serving: Callable[..., AbstractContextManager[httpx.Client]],
) -> Iterator[Asked]:
    folder = tmp_path_factory.mktemp("schema") / "shop"
    shutil.copytree(untouched.folder, folder)
    shop = Workspace.open(folder)
    key = create(Ledger.at(shop.ledger), "all", ADMIN, datetime.now(UTC), per_second=100_000)
    with serving(shop) as client:
        yield Asked(str(client.base_url).rstrip("/"), key)


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_a_call_made_from_the_schema_is_answered_as_the_schema_says(
    asked: Asked, path: str, method: str, mode: GenerationMode
) -> None:
    @settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(API[path][method.upper()].as_strategy(generation_mode=mode))
    def call(case: Any) -> None:
        without = [positive_data_acceptance] * (path in PARTLY) + [negative_data_rejection] * (path in LENIENT)
        case.call_and_validate(base_url=asked.url, auth=(asked.key, ""), excluded_checks=without)

    call()
