"""A tea and a mug enter the catalogue after the release: the model of yesterday, started today, knows them."""

from datetime import UTC, datetime

import numpy as np
import pytest

from features.catalog import read_catalog
from features.interactions import Interactions
from features.workspace import create
from serving.decisions.recommend import recommend, similar
from serving.decisions.requests import RecommendRequest, SimilarRequest
from serving.decisions.state import State
from training.recommenders.content import Content
from training.release import point, save_model, write_release

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ITEMS = sorted(f"{kind}-{number}" for kind in ("tea", "mug") for number in range(6))
HEAD = "item,name,category,stock\n" + "".join(f"{item},{item[:3]} thing,{item[:3]},\n" for item in ITEMS)
TODAY = HEAD + "tea-new,tea to come,tea,5\nmug-new,mug to come,mug,5\ntea-gone,tea that went,tea,0\n"


@pytest.fixture
def workspace(tmp_path):
    """Even customers bought teas, odd ones mugs; the release was made of the catalogue of yesterday."""
    found = create(tmp_path / "shop")
    (found.folder / "catalog.csv").write_text(HEAD)
    items = np.array(ITEMS)
    customer, item = np.nonzero(
        (np.arange(20)[:, None] % 2 == 0) == np.char.startswith(items, "tea")[None, :],
    )
    ones, never = np.ones(len(item), np.float32), np.full(len(item), "NaT", "M8[us]")
    names = np.array([f"c{row:02d}" for row in range(20)])
    pairs = (customer.astype(np.int32), item.astype(np.int32), ones, ones, never, never)
    log = Interactions(names, items, *pairs, catalog=read_catalog(found))
    log.save(found.runs / "r1")
    folder = found.runs / "r1" / "registered"
    save_model(Content(width=64).fit(log), folder, {"kind": "recommender", "name": "content", "as_of": NOW})
    write_release(found, folder, version="1", run_id="r1", facts={})
    point(found, "recommender", "1")
    return found


def answered(state, items):
    request = RecommendRequest(history=items, k=12, include_bought="never")
    return [found["item"] for found in recommend(state, request, "d1", NOW)[1]["items"]]


def test_a_new_item_is_recommended_the_day_it_enters_the_catalogue(workspace):
    assert not {"tea-new", "mug-new"} & set(answered(State.read(workspace), ["tea-0", "tea-1"]))
    (workspace.folder / "catalog.csv").write_text(TODAY)
    state = State.read(workspace)
    for kind in ("tea", "mug"):
        found = answered(state, [f"{kind}-0", f"{kind}-1"])
        assert f"{kind}-new" in found[:5]
        assert "tea-gone" not in found
    alike = similar(state, SimilarRequest(item="tea-new", k=3), "d2", NOW)[1]["items"]
    assert {found["item"][:3] for found in alike} == {"tea"}
    assert {found["reason"]["kind"] for found in alike} == {"similar"}
    unlike = similar(state, SimilarRequest(item="tea-0", k=99, exclude=ITEMS), "d3", NOW)[1]["items"]
    assert {found["item"]: found["reason"]["text"] for found in unlike}["mug-new"] == "new in the shop"
    nobody = RecommendRequest(history=[], k=99, exclude=ITEMS)
    said = {found["item"]: found["reason"]["kind"] for found in recommend(state, nobody, "d4", NOW)[1]["items"]}
    assert said == {"tea-new": "new", "mug-new": "new"}
