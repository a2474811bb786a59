"""Forms over HTTP: who, what and the consent with its proof; robots tell nothing; the way back stays at home."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import pytest
from sqlalchemy import select

from features.consent import allows, consents, withdraw
from features.history import read_events
from features.keys import CATALOG, SEND, create
from features.ledger import Ledger
from features.workspace import Workspace

NOW = datetime(2026, 2, 1, tzinfo=UTC)
EVER = datetime(2100, 1, 1)  # UTC, as the tables keep it
HOME = {"origin": "https://shop.example", "referer": "https://shop.example/news?utm_campaign=spring&utm_source=mail"}
BOX = {"consent": "marketing", "consent_text": "Yes, write to me."}


@dataclass(frozen=True)
class Page:
    """A page with forms, the service they post to and its ledger."""

    shop: Workspace
    ledger: Ledger
    client: httpx.Client
    key: str
    other: str

    def post(self, fields: object, key: str | None = None, **headers: str) -> httpx.Response:
        return self.client.post(f"/v1/forms/{key or self.key}", data=fields, headers=HOME | headers)

    def events(self, customer: str) -> dict[str, dict[str, object]]:
        rows = read_events(self.shop).before(EVER).to_pyarrow().to_pylist()
        found = [row for row in rows if row["customer"] == customer]
        return {row["name"]: row | {"properties": json.loads(row["properties"])} for row in found}


@pytest.fixture(scope="module")
def page(
    shop: Workspace,
    tmp_path_factory: pytest.TempPathFactory,
    serving: Callable[..., AbstractContextManager[httpx.Client]],
) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("forms") / "shop"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("ledger.db*", "journal"))
    copied = Workspace.open(folder)
    ledger = Ledger.at(copied.ledger)
    keys = [create(ledger, "web", role, NOW) for role in (SEND, CATALOG)]
    with serving(copied) as client:
        yield Page(copied, ledger, client, *keys)


def test_a_form_tells_who_sent_it_and_what(page: Page) -> None:
    answer = page.post({"email": " Ann@Shop.example ", "firstname": "Ann", "form": "news", "anonymous": "d1"})
    assert answer.json() == {"accepted": True, "consent": []}
    told = page.events("ann@shop.example")
    assert told["Identify"]["properties"] == {"email": "Ann@Shop.example", "firstname": "Ann"}
    sent = told["Form Submitted"]
    assert (sent["source"], sent["anonymous"], sent["campaign"]) == ("web", "d1", "spring")
    assert sent["properties"]["context"]["campaign"] == {"name": "spring", "source": "mail"}
    assert (sent["properties"]["form"], sent["properties"]["fields"]) == ("news", ["email", "firstname"])
    assert not allows(page.ledger, "ann@shop.example", purpose="marketing", as_of=EVER)


def test_a_ticked_box_is_a_row_with_its_proof(page: Page) -> None:
    withdraw(page.ledger, "bob", ["marketing"], source="page", time=NOW)
    assert page.post(BOX | {"customer": "bob"}).json()["consent"] == ["marketing"]
    assert allows(page.ledger, "bob", purpose="marketing", as_of=EVER)
    with page.ledger.read() as connection:
        query = select(consents.c.proof).where(consents.c.customer == "bob", consents.c.granted)
        (proof,) = connection.execute(query).scalars()
    assert {name: json.loads(proof)[name] for name in ("text", "page")} == {
        "text": "Yes, write to me.",
        "page": HOME["referer"],
    }


def test_two_boxes_are_two_rows_and_multipart_is_read_too(page: Page) -> None:
    parts = [("consent", (None, "marketing")), ("consent", (None, "ads"))]
    parts += [("customer", (None, "cid")), ("consent_text", (None, "Yes."))]
    answer = page.client.post(f"/v1/forms/{page.key}", files=parts, headers=HOME)
    assert answer.json()["consent"] == ["marketing", "ads"]
    assert all(allows(page.ledger, "cid", purpose=one, as_of=EVER) for one in ("marketing", "ads"))


def test_a_robot_is_answered_and_counted_and_tells_nothing(page: Page) -> None:
    assert page.post(BOX | {"customer": "eve", "leave_empty": "buy now"}).status_code == 200
    assert page.events("eve") == {}
    assert not allows(page.ledger, "eve", purpose="marketing", as_of=EVER)
    rows = read_events(page.shop).before(EVER).to_pyarrow().to_pylist()
    assert [row["customer"] for row in rows if row["machine"]] == [None]


def test_the_same_message_is_stored_once(page: Page) -> None:
    fields = BOX | {"customer": "dan", "message_id": "m1"}
    assert [page.post(fields).json()["accepted"] for _ in range(2)] == [True, False]
    with page.ledger.read() as connection:
        assert len(connection.execute(select(consents).where(consents.c.customer == "dan")).all()) == 1


@pytest.mark.parametrize("target", ["/thanks", "https://shop.example/thanks"])
def test_the_way_back_is_to_the_forms_own_origin(page: Page, target: str) -> None:
    answer = page.post({"email": "a@b.example", "redirect": target})
    assert (answer.status_code, answer.headers["location"]) == (303, "https://shop.example/thanks")


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example/",
        "//evil.example",
        "https://shop.example.evil.example/",
        "https://shop.example@evil.example/",
        "javascript:alert(1)",
        "http://shop.example/thanks",
        "/\\evil.example",
        "https://[",
    ],
)
def test_no_other_way_back_is_taken_and_nothing_is_stored(page: Page, target: str) -> None:
    answer = page.post({"customer": "far", "redirect": target})
    assert (answer.status_code, set(answer.json())) == (400, {"code", "message"})
    assert page.events("far") == {}


def test_without_an_origin_nobody_is_sent_anywhere(page: Page) -> None:
    answer = page.post({"customer": "far", "redirect": "/thanks"}, origin="null", referer="")
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (BOX, "there is no proof"),
        ({"customer": "x", "consent": "marketing"}, "there is no proof"),
        (BOX | {"customer": "x", "consent": "spam"}, "must be one of"),
        ({"customer": "x" * 300}, "customer"),
        ({"customer": "x", "note": "y" * 5_001}, "note"),
        ({"customer": "x", "note": "a\0b"}, "must not hold NUL"),
        ({"x" * 65: "1"}, "names up to 64"),
        ({f"f{number}": "1" for number in range(150)}, "100"),
    ],
)
def test_a_form_that_is_none_is_refused_in_one_line(page: Page, fields: dict[str, str], said: str) -> None:
    answer = page.post(fields)
    assert (answer.status_code, set(answer.json())) == (400, {"code", "message"})
    assert said in answer.json()["message"]


def test_other_kinds_of_bodies_and_files_are_refused(page: Page) -> None:
    path = f"/v1/forms/{page.key}"
    assert page.client.post(path, json={"email": "a"}).status_code == 400
    assert page.client.post(path, files={"photo": ("a.png", b"x")}).status_code == 400
    broken = {"content-type": "multipart/form-data"}
    assert page.client.post(path, content=b"--x", headers=broken).status_code == 400
    assert page.client.post(path, data={"note": "x" * (2 << 20)}).status_code == 413


def test_only_a_key_that_sends_takes_a_form(page: Page) -> None:
    assert page.post({"email": "a"}, key="nobody").status_code == 401
    assert page.post({"email": "a"}, key=page.other).status_code == 403
    assert page.client.get(f"/v1/forms/{page.key}").status_code == 405
