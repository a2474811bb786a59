"""What a worker answers from follows the workspace, as long as that is right; otherwise what was there before stays.

Version 2 of the recommender is `popularity`; of version 3 the model raises, of version 4 it answers one item only, of
version 5 a file is corrupt, of version 6 the model hangs.
"""

import shutil
import sys
import threading
import weakref
from datetime import UTC, datetime
from pathlib import Path

import psutil
import pytest

from features.doctor import STALE, checked
from features.interactions import Interactions
from features.workspace import REFUSED, Workspace
from serving import watch as watched
from serving.decisions import canary
from serving.decisions.recommend import recommend
from serving.decisions.requests import RecommendRequest
from serving.http.app import Routes
from serving.http.ready import readiness
from serving.watch import Watch
from training.recommenders.own import Own
from training.recommenders.popularity import Popularity
from training.release import MODEL, point, save_model, write_release

NOW = datetime(2026, 3, 1, tzinfo=UTC)
OWN = """
import time
from dataclasses import dataclass
from training.recommenders.base import Rankings
from training.recommenders.popularity import Popularity

@dataclass
class Raising(Popularity):
    name = "raising"

    def recommend_for(self, histories, k, *, items, as_of):
        raise RuntimeError("it hurts")

@dataclass
class Hanging(Popularity):
    name = "hanging"

    def recommend_for(self, histories, k, *, items, as_of):
        time.sleep(20)
        raise RuntimeError("at last")

@dataclass
class Short(Popularity):
    name = "short"

    def recommend_for(self, histories, k, *, items, as_of):
        found = super().recommend_for(histories, 1, items=items, as_of=as_of)
        return Rankings(found.items, found.scores)
"""


@pytest.fixture
def shop(untouched: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A copy of the shop with the further versions, version 1 served."""
    monkeypatch.delitem(sys.modules, "own_models", raising=False)  # that of another test's shop
    shutil.copytree(untouched.folder, tmp_path / "shop")
    (tmp_path / "shop" / "own_models.py").write_text(OWN)
    settings = tmp_path / "shop" / "attune.yaml"
    paths = '"own_models:Raising", "own_models:Short", "own_models:Hanging", '
    settings.write_text(settings.read_text().replace("models: [", f"models: [{paths}"))
    workspace = Workspace.open(tmp_path / "shop")
    known, own = Interactions.load(workspace.runs / "r1"), Own.of(workspace)
    models = {"2": Popularity(), "3": own.made("raising", {}), "4": own.made("short", {}), "5": Popularity()}
    models["6"] = own.made("hanging", {})
    for version, model in models.items():
        release(workspace, version, model.fit(known))
    corrupt(workspace, "5")
    return workspace


@pytest.fixture
def routes(shop: Workspace) -> Routes:
    return Routes(lambda: NOW)


@pytest.fixture
def watch(shop: Workspace, routes: Routes):
    """A worker's watch that has begun; a test says when it looks."""
    watch = Watch(shop.folder, routes, routes.now)
    watch.look()
    yield watch
    close(routes)


def close(routes: Routes) -> None:
    if routes.state is not None:
        routes.state.intake.close()
        routes.state.journal.close()


def release(workspace: Workspace, version: str, model: object) -> None:
    folder = workspace.runs / "r1" / f"registered-{version}"
    save_model(model, folder, {"kind": "recommender", "name": model.name, "as_of": "2026-01-31T00:00:00"})
    write_release(workspace, folder, version=version, run_id="r1", facts={})


def corrupt(workspace: Workspace, version: str) -> None:
    folder = workspace.releases / "recommender" / version / MODEL
    broken = next(path for path in folder.rglob("*") if path.is_file())
    broken.write_bytes(broken.read_bytes()[:-1] + b"?")


def version(routes: Routes) -> str | None:
    return routes.state.recommender and routes.state.recommender.version


def test_a_new_release_answers_at_the_next_look_with_what_writes_as_it_was(
    shop: Workspace, routes: Routes, watch: Watch
) -> None:
    before = routes.state
    assert (version(routes), readiness(before, NOW)["refused"]) == ("1", {})
    point(shop, "recommender", "2")
    watch.look()
    assert (version(routes), version_of(before)) == ("2", "1")
    assert (routes.state.journal, routes.state.intake, routes.state.keys) == (
        before.journal,
        before.intake,
        before.keys,
    )
    point(shop, "recommender", "1")  # as `attune rollback` does
    watch.look()
    assert version(routes) == "1"


def version_of(state) -> str:
    return state.recommender.version


@pytest.mark.parametrize(
    ("bad", "why"), [("3", "it hurts"), ("4", "returned 1 items, must be"), ("5", "the checksum is not the manifest's")]
)
def test_a_bad_release_is_refused_and_said_and_the_one_before_stays(
    shop: Workspace, routes: Routes, watch: Watch, bad: str, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    point(shop, "recommender", bad)
    watch.look()
    assert version(routes) == "1"
    assert why in readiness(routes.state, NOW)["refused"]["recommender"]
    assert str(shop.folder) not in readiness(routes.state, NOW)["refused"]["recommender"]
    assert why in caplog.text
    (check,) = [one for one in checked(shop.folder, port=1, now=NOW) if one.what == "service"]
    assert (check.state, why in check.found) == (STALE, True)
    point(shop, "recommender", "2")
    watch.look()
    assert (version(routes), routes.state.refused) == ("2", {})
    assert [one for one in checked(shop.folder, port=1, now=NOW) if one.what == "service"] == []


def test_what_was_refused_is_tried_again(shop: Workspace, routes: Routes, watch: Watch, monkeypatch) -> None:
    point(shop, "recommender", "5")
    watch.look()
    folder = shop.releases / "recommender"
    file = next(path for path in (folder / "5" / MODEL).rglob("*") if path.is_file())
    shutil.copyfile(shop.runs / "r1/registered-5" / file.relative_to(folder / "5"), file)
    watch.look()
    assert version(routes) == "1"
    monkeypatch.setattr(watched, "AGAIN", 0.0)
    watch.look()
    assert (version(routes), routes.state.refused) == ("5", {})


def test_a_model_that_hangs_holds_up_nobody_and_is_not_asked_again(
    shop: Workspace, routes: Routes, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "PATIENCE", 2.0)
    monkeypatch.setattr(watched, "AGAIN", 0.0)
    point(shop, "recommender", "6")
    for _ in range(3):
        watch.look()
    assert "did not answer the canary requests" in routes.state.refused["recommender"]
    assert version(routes) == "1"
    assert [thread.name for thread in threading.enumerate()].count("canary") == 1


def test_a_worker_that_begins_with_a_corrupt_release_answers_from_the_one_before(
    shop: Workspace, routes: Routes
) -> None:
    point(shop, "recommender", "2")
    point(shop, "recommender", "5")
    Watch(shop.folder, routes, routes.now).look()
    assert version(routes) == "2"
    assert "checksum" in routes.state.refused["recommender"]
    assert routes.state.uplift is not None
    close(routes)


def test_a_worker_that_begins_without_any_good_release_answers_the_rest(shop: Workspace, routes: Routes) -> None:
    corrupt(shop, "1")
    Watch(shop.folder, routes, routes.now).look()
    assert version(routes) is None
    assert "checksum" in routes.state.refused["recommender"]
    assert routes.state.uplift is not None
    _, answer = recommend(routes.state, RecommendRequest(customer="c000", k=3), "d", NOW)
    assert answer["fallback"].startswith("the recommender is refused (")
    assert answer["fallback"].endswith("): what is popular")
    assert [one["step"] for one in answer["items"]] == ["popular"] * 3
    close(routes)


def test_a_pointer_that_cannot_be_read_stops_nothing(shop: Workspace, routes: Routes, watch: Watch) -> None:
    (shop.releases / "recommender" / "current.json").write_text("{")
    watch.look()
    assert version(routes) == "1"
    assert "current.json: not readable" in routes.state.refused["recommender"]


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("offers.yaml", "offers: [{key: mail, name: A letter, cots: 1}]", "offers.yaml: unknown key 'offers.0.cots'"),
        ("placements.yaml", "placements: {home: {stesp: []}}", "did you mean 'steps'"),
        ("experiments/new.yaml", "key: new\narms: {a: 0.5, b: 0.6}", "new.yaml: file == "),
        ("segments/new.yaml", "segments: [{key: a b, who: {trait: x, is: 1}}]", "new.yaml: segments.0.key"),
        ("attune.yaml", "name: shop\ncurency: EUR", "did you mean 'currency'"),
        ("attune.yaml", "name: shop\nledger: postgresql://somewhere/shop", "ledger"),
    ],
)
def test_a_wrong_edit_leaves_the_old_rules_and_says_the_file_and_the_field(  # fixtures
    shop: Workspace, routes: Routes, watch: Watch, file: str, text: str, words: str
) -> None:
    path, before = shop.folder / file, routes.state
    whole = path.read_text() if path.exists() else None
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    watch.look()
    assert words in routes.state.refused["workspace"]
    assert routes.state.refused["workspace"].count("\n") == 0
    assert (routes.state.workspace_hash, routes.state.offers) == (before.workspace_hash, before.offers)
    path.unlink() if whole is None else path.write_text(whole)
    watch.look()
    assert routes.state.refused == {}
    assert routes.state.workspace_hash == before.workspace_hash


def test_a_right_edit_decides_from_the_next_look_on_in_every_worker_alike(
    shop: Workspace, routes: Routes, watch: Watch
) -> None:
    other, before = Routes(lambda: NOW), routes.state
    second = Watch(shop.folder, other, other.now)
    second.look()
    (shop.folder / "experiments/new.yaml").write_text("key: new\narms: {a: 0.5, b: 0.5}")
    (shop.folder / "offers.yaml").write_text("offers: [{key: mail, name: A letter, channel: email, value: 1, cost: 0}]")
    (shop.folder / "placements.yaml").write_text("placements: {home: {k: 3}}")
    for one in (watch, second):
        one.look()
    assert {key: one.k for key, one in routes.state.placements.items()} == {"home": 3}
    assert [offer.key for offer in routes.state.offers] == ["mail"]
    assert "new" in routes.state.experiments
    assert routes.state.workspace_hash == other.state.workspace_hash == Workspace.open(shop.folder).hash
    assert routes.state.workspace_hash != before.workspace_hash
    assert version(routes) == "1"
    close(other)


def test_a_worker_that_begins_with_wrong_files_says_so_until_they_are_right(shop: Workspace, routes: Routes) -> None:
    settings = shop.folder / "attune.yaml"
    whole = settings.read_text()
    settings.write_text("name: shop\ncurency: EUR")
    watch = Watch(shop.folder, routes, routes.now)
    watch.look()
    assert routes.state is None
    assert "currency" not in routes.fault  # anybody may read it
    assert "did you mean 'currency'" in (shop.state / REFUSED).read_text()
    settings.write_text(whole)
    watch.look()
    assert version(routes) == "1"
    close(routes)


def test_what_no_longer_answers_is_let_go_of(shop: Workspace, routes: Routes, watch: Watch) -> None:
    grown = []
    for number in range(12):
        state = routes.state
        release = state.recommender
        old = [weakref.ref(one) for one in (state, state.shelf, release.recommender, release.interactions)]
        del state, release
        point(shop, "recommender", "12"[(number + 1) % 2])
        watch.look()
        assert [one() for one in old] == [None] * len(old)
        grown.append(psutil.Process().memory_info().rss)
    assert grown[-1] - grown[3] < 5_000_000
    frame = weakref.ref(routes.state.catalog.frame)
    (shop.folder / "offers.yaml").write_text("offers: []")
    watch.look()
    assert (routes.state.offers, frame()) == ((), None)


def test_what_answers_for_a_model_is_made_before_anybody_asks(routes: Routes, watch: Watch) -> None:
    state = routes.state
    assert state is not None
    assert state.recommender is not None
    assert state.popular._made(state.catalog.frame.index) is not None
