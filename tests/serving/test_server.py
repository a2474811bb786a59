"""What the log and the metrics of the service say of who asked: nothing."""

import asyncio
import logging
from typing import Any

import pytest

from serving.http.roles import route_of
from serving.http.server import ByRoute, Wordless


def failed(customer: str) -> None:
    try:
        raise KeyError(customer)
    except KeyError as error:
        raise ValueError(f"customer {customer}") from error


def test_an_error_in_the_log_has_its_type_and_place_and_no_words(caplog: pytest.LogCaptureFixture) -> None:
    before = logging.getLogRecordFactory()
    logging.setLogRecordFactory(Wordless)
    try:
        failed("c000")
    except ValueError:
        logging.getLogger("attune.test").exception("failed")
    finally:
        logging.setLogRecordFactory(before)
    assert "ValueError" in caplog.text
    assert "in failed" in caplog.text
    assert "c000 " not in caplog.text.replace('"c000"', "")  # the line of this test names it
    assert "customer c000" not in caplog.text


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/recommend", "/v1/recommend"),
        ("/v1/customers/c000", "/v1/customers/{customer}"),
        ("/v1/pages/why.abc.def", "/v1/pages/{token}"),
        ("/v1/forms/0123abcd", "/v1/forms/{key}"),
        ("/v1/customers/c000/more", "/v1/customers/{customer}"),
        ("/v1/c000", "other"),
        ("/c000", "other"),
    ],
)
def test_metrics_count_by_route_and_the_app_sees_the_path(path: str, route: str) -> None:
    seen: list[str] = []

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["path"])

    class Counting:
        def __init__(self, app: Any, namespace: str) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["path"])
            await self.app(scope, receive, send)

    counted: Any = ByRoute(app, counting=Counting, namespace="bentoml")
    asyncio.run(counted({"type": "http", "path": path}, None, None))
    assert seen == [route, path]
    assert route_of(path) == route
