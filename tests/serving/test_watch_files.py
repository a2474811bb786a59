"""What a slot shows follows its file, its template, the segments it names and the catalogue; a wrong edit changes none.

c000 bought three of the four teas: `black` is left, by which the slot greets those who ordered anything.
"""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from features.workspace import Workspace
from serving.decisions.requests import DecideRequest
from serving.http.answers import Asked, decided
from serving.http.app import Routes
from serving.http.slots import of_slot
from serving.watch import Watch

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FILES = {
    "slots/block.yaml": """\
kind: web
elements: {head: {default: Welcome}, body: {default: Look around}}
contents:
  - key: buyers
    audience: {segment: buyers}
    items: {k: 1}
    elements:
      head: [{key: own, text: For you}]
      body: [{key: own, text: {template: body.liquid}}]
""",
    "templates/body.liquid": "Try {{ items[0].name }}",
    "segments/mine.yaml": "segments: [{key: buyers, who: {event: Order Completed}}]",
    "catalog.csv": "item,name,category,price,stock\nblack,Black tea,tea,4.0,9\nmocha,Mocha,coffee,6.0,9\n",
}
SHOWN = {"content": "buyers", "head": "For you", "body": "Try Black tea", "items": ["black"]}
NOBODY = {"content": "default", "head": "Welcome", "body": "Look around", "items": []}


@pytest.fixture
def shop(untouched: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(untouched.folder, tmp_path / "shop")
    for name, text in FILES.items():
        (tmp_path / "shop" / name).write_text(text)
    return Workspace.open(tmp_path / "shop")


@pytest.fixture
def routes(shop: Workspace) -> Iterator[Routes]:
    routes = Routes(lambda: NOW)
    yield routes
    if routes.state is not None:
        routes.state.intake.close()
        routes.state.journal.close()


@pytest.fixture
def watch(shop: Workspace, routes: Routes) -> Watch:
    """A worker's watch that has begun; a test says when it looks."""
    watch = Watch(shop.folder, routes, routes.now)
    watch.look()
    return watch


@pytest.fixture
def edited(shop: Workspace, watch: Watch) -> Callable[[str, str, str], None]:
    """A function: in a file, words are replaced by others, and the watch looks."""

    def edit(file: str, words: str, others: str) -> None:
        text = (shop.folder / file).read_text()
        assert words in text
        (shop.folder / file).write_text(text.replace(words, others))
        watch.look()

    return edit


def shown(routes: Routes) -> dict[str, object]:
    """What the next answer shows to c000."""
    answer = decided(routes.state, Asked("decide", of_slot, DecideRequest(slot="block", customer="c000")), NOW)
    texts = {name: element["text"] for name, element in answer["elements"].items()}
    return {"content": answer["content"], **texts, "items": [one["item"] for one in answer["items"]]}


@pytest.mark.parametrize(
    ("file", "words", "others", "then"),
    [
        ("slots/block.yaml", "For you", "Made for you", SHOWN | {"head": "Made for you"}),
        ("slots/block.yaml", "{k: 1}", "{k: 1, exclude: [black]}", None),
        ("templates/body.liquid", "Try", "Have a cup of", SHOWN | {"body": "Have a cup of Black tea"}),
        ("segments/mine.yaml", "Order Completed", "Order Refunded", NOBODY),
        ("catalog.csv", "Black tea", "Assam", SHOWN | {"body": "Try Assam"}),
        ("catalog.csv", "4.0,9", "4.0,0", None),
    ],
)
def test_the_answer_after_a_right_edit_obeys_it(
    routes: Routes, edited: Callable[[str, str, str], None], file: str, words: str, others: str, then: dict | None
) -> None:
    before = routes.state.workspace_hash
    assert shown(routes) == SHOWN
    edited(file, words, others)
    assert routes.state.refused == {}
    assert routes.state.workspace_hash != before
    if then is None:  # black may no longer be shown
        assert "black" not in shown(routes)["items"]
    else:
        assert shown(routes) == then
    edited(file, others, words)
    assert shown(routes) == SHOWN


@pytest.mark.parametrize(
    ("file", "words", "others", "said"),
    [
        ("slots/block.yaml", "audience: {segment: buyers}", "audience: {segment: byers}", "'byers'"),
        ("slots/block.yaml", "text: For you", "txet: For you", "head.0.txet'; did you mean 'text'"),
        ("templates/body.liquid", "{{ items[0].name }}", "{{ items[0].name ", "body.liquid"),
        ("segments/mine.yaml", "event: Order Completed", "evnet: Order Completed", "mine.yaml"),
        ("segments/mine.yaml", "key: buyers", "key: others", "'buyers'"),
        ("catalog.csv", "6.0,9", "6.0,nine", "stock == 'nine' of item 'mocha'"),
    ],
)
def test_after_a_wrong_edit_the_answer_is_as_before_and_the_next_right_one_is_obeyed(
    routes: Routes, edited: Callable[[str, str, str], None], file: str, words: str, others: str, said: str
) -> None:
    before = routes.state.workspace_hash
    edited(file, words, others)
    assert said in routes.state.refused["workspace"]
    assert (shown(routes), routes.state.workspace_hash) == (SHOWN, before)
    edited(file, others, words)
    assert routes.state.refused == {}
    edited("slots/block.yaml", "For you", "Made for you")
    assert shown(routes) == SHOWN | {"head": "Made for you"}
