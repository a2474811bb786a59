"""The catalogue, live: what the shop says of its items holds in the next answer, of every worker."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from features.catalog import read_catalog
from features.events import ITEM_CHANGED
from features.history import read_events
from features.interactions import Interactions
from features.items import item_of, upsert
from features.keys import CATALOG, SEND, create
from features.ledger import Ledger
from features.workspace import InteractionSettings, Workspace
from serving.decisions.recommend import recommend
from serving.decisions.requests import RecommendRequest
from serving.decisions.state import State
from serving.http.answers import Asked, decided
from training.recommenders.content import Content
from training.release import point, save_model, write_release

NOW = datetime(2026, 2, 1, tzinfo=UTC)
PATH = "/v1/catalog/items"
TEA_DRINKER = {"history": ["green", "black"], "k": 10}


def nested(depth: int) -> dict[str, object]:
    return {"not": nested(depth - 1)} if depth else {"item": "price", "at_most": 3}


@dataclass(frozen=True)
class Live:
    """A shop of its own with a service of two workers, and its keys."""

    shop: Workspace
    client: httpx.Client
    key: str
    other: str

    def say(self, *items: dict[str, object]) -> httpx.Response:
        return self.client.post(PATH, json={"items": items}, auth=(self.key, ""))

    def answered(self) -> list[dict[str, object]]:
        items: list[dict[str, object]] = self.client.post("/v1/recommend", json=TEA_DRINKER).json()["items"]
        return items

    def items(self) -> list[object]:
        return [one["item"] for one in self.answered()]


@pytest.fixture(scope="module")
def copied(shop: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    folder = tmp_path_factory.mktemp("live") / "shop"
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("ledger.db*", "journal"))
    return Workspace.open(folder)


@pytest.fixture(scope="module")
def live(copied: Workspace, serving: Callable[..., AbstractContextManager[httpx.Client]]) -> Iterator[Live]:
    ledger = Ledger.at(copied.ledger)
    keys = [create(ledger, "shop", role, NOW) for role in (CATALOG, SEND)]
    with serving(copied, "--workers", "2") as client:
        yield Live(copied, client, *keys)


def test_an_item_out_of_stock_is_in_no_answer_from_the_next_on(live: Live) -> None:
    live.say({"item": "white", "stock": 3})
    for stock in (0, 4, 0, 1, 0, 2):
        assert live.say({"item": "white", "stock": stock}).status_code == 200
        for _ in range(6):  # both workers
            assert ("white" in live.items()) == (stock > 0)


def test_the_next_answer_has_the_new_name(live: Live) -> None:
    live.say({"item": "java", "name": "Java, freshly roasted"})
    assert "Java, freshly roasted" in [one["name"] for one in live.answered()]


def test_what_another_process_imports_holds_in_the_next_answer(live: Live, tmp_path: Path) -> None:
    feed = tmp_path / "feed.csv"
    feed.write_text("item,stock\nrobusta,0\n")
    attune = str(Path(sys.executable).with_name("attune"))
    subprocess.run([attune, "import", "catalog", str(feed), "-w", str(live.shop.folder)], check=True)
    assert "robusta" not in live.items()


def test_a_filter_by_price_obeys_the_price_of_the_moment(live: Live) -> None:
    only = {"filter": {"item": "price", "at_most": 4.5}}
    live.say({"item": "white", "price": 4.4, "stock": 1}, {"item": "black", "price": 9.0})
    for path, body in (("recommend", TEA_DRINKER), ("recommend/similar", {"item": "green"})):
        for price in (4.4, 4.6, 4.5):
            live.say({"item": "white", "price": price})
            answer = live.client.post(f"/v1/{path}", json=body | only)
            items = [one["item"] for one in answer.json()["items"]]
            assert set(items) <= {"white", "green"}
            assert ("white" in items) == (price <= 4.5)


@pytest.mark.parametrize(
    ("only", "said"),
    [
        ({"item": "size", "at_most": 3}, "has no attribute 'size'"),
        ({"event": "Product Viewed"}, "where there are items only"),
        ({"price": 3}, "must have exactly one of"),
        (nested(100), "is nested more than 20 deep"),
    ],
)
def test_a_filter_that_asks_for_nothing_of_an_item_is_refused(live: Live, only: dict[str, object], said: str) -> None:
    answer = live.client.post("/v1/recommend", json={"filter": only})
    assert (answer.status_code, said in answer.json()["message"]) == (400, True)


def test_each_change_is_an_event(live: Live) -> None:
    live.say({"item": "mocha", "price": 6.5})
    rows = read_events(live.shop).before(datetime(2100, 1, 1)).to_pyarrow().to_pylist()
    (row,) = [row for row in rows if row["name"] == ITEM_CHANGED and row["item"] == "mocha"]
    assert (row["price"], row["live"]) == (6.5, True)


def test_an_answer_counts_what_it_took_and_names_what_it_did_not(live: Live) -> None:
    told = live.say({"item": "oolong", "price": 5.5}, {"item": "oolong", "price": "dear"}, {"price": 1}).json()
    assert (told["accepted"], told["changed"]) == (1, 1)
    assert [one["index"] for one in told["rejected"]] == [1, 2]
    assert "price == 'dear'" in told["rejected"][0]["reason"]
    assert live.say({"item": "oolong", "price": 5.5}).json()["changed"] == 0


@pytest.mark.parametrize(
    "body", [b"{}", b'{"items": []}', b'{"items": [{"price": 1}]}', b"[]", b"\xff", b'{"items": [1]}']
)
def test_a_body_without_an_item_is_refused(live: Live, body: bytes) -> None:
    answer = live.client.post(PATH, content=body, auth=(live.key, ""))
    assert (answer.status_code, set(answer.json())) == (400, {"code", "message"})


def test_only_a_key_of_this_role_may_change_items(live: Live) -> None:
    """A key that sends stands in the shop's page, where everybody reads it."""
    body = {"items": [{"item": "green", "price": 0.01}]}
    statuses = [
        live.client.post(PATH, json=body, auth=auth).status_code for auth in (None, ("no", ""), (live.other, ""))
    ]
    assert statuses == [401, 401, 403]
    assert live.client.get(PATH).status_code == 405
    assert live.client.post(f"{PATH}s").status_code == 404


def test_a_new_item_is_placed_by_its_attributes_in_the_next_answer(copied: Workspace, tmp_path: Path) -> None:
    shop = with_content(copied, tmp_path / "shop")
    state = State.of(shop)
    request = RecommendRequest(history=["green", "black"], k=3, include_bought="never")

    def answered() -> list[str]:
        said = decided(state, Asked("recommend", recommend, request), NOW)
        return [one["item"] for one in said["items"]]

    assert "sencha" not in answered()
    new = {"item": "sencha", "name": "Sencha tea", "category": "coffee"}
    upsert(state.ledger, [item_of(new, "")], time=NOW)
    wrong = answered()
    upsert(state.ledger, [item_of({"item": "sencha", "category": "tea"}, "")], time=NOW)
    assert answered().index("sencha") < [*wrong, "sencha"].index("sencha")
    upsert(state.ledger, [item_of({"item": "sencha", "stock": 0}, "")], time=NOW)
    assert "sencha" not in answered()
    state.journal.close()


def with_content(shop: Workspace, folder: Path) -> Workspace:
    """A copy of the shop whose recommender is `content`, with every item in the catalogue by its family."""
    shutil.copytree(shop.folder, folder, ignore=shutil.ignore_patterns("ledger.db*", "journal"))
    shop = Workspace.open(folder)
    families = {"tea": ("green", "black", "white", "oolong"), "coffee": ("mocha", "java", "robusta")}
    rows = [f"{item},{item} {family},{family}" for family, items in families.items() for item in items]
    (folder / "catalog.csv").write_text("\n".join(["item,name,category", *rows, ""]))
    log = read_events(shop)
    as_of = datetime(2026, 1, 31)
    known = Interactions.build(log, as_of, InteractionSettings())
    known.save(shop.runs / "c1")
    model = Content(rank=4).fit(replace(known, catalog=read_catalog(shop)))
    save_model(model, shop.runs / "c1" / "registered", {"kind": "recommender", "name": "content", "as_of": as_of})
    write_release(shop, shop.runs / "c1" / "registered", version="2", run_id="c1", facts={})
    point(shop, "recommender", "2")
    return shop
