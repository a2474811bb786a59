"""Exactly k while k are allowed, for every model of the registry: by route, mode, customer, variety and exclusions.

Even customers bought six teas once, odd ones six mugs; nothing comes back. c00 to c15 agreed. `mug-5` is out of stock.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import product
from typing import Any, get_args

import numpy as np
import pytest

from features.catalog import read_catalog
from features.consent import Basis, grant
from features.interactions import Interactions
from features.ledger import Ledger
from features.placements import MAX_K
from features.workspace import Bought, Workspace, create
from serving.decisions.recommend import basket, recommend, similar
from serving.decisions.requests import BasketRequest, RecommendRequest, SimilarRequest
from serving.decisions.state import State
from training.recommenders import RECOMMENDERS
from training.release import point, save_model, write_release

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEAS, MUGS = ({f"{kind}-{number}" for number in range(6)} for kind in ("tea", "mug"))
STOCK = (TEAS | MUGS) - {"mug-5"}
CUSTOMERS = [f"c{row:02d}" for row in range(20)]
SMALL = {
    "als": {"factors": 4, "threads": 1},
    "bpr": {"factors": 4},
    "content": {"width": 64},
    "blend": {"threads": 1, "members": {"neighbours": {}, "repeat": {}}},
    "ranker": {"threads": 1, "members": {"neighbours": {}, "repeat": {}}},
}
WHO: list[tuple[dict[str, Any], set[str]]] = [  # and what is known to be bought
    ({"customer": "c00"}, TEAS),
    ({"customer": "c18"}, set()),  # did not agree
    ({"customer": "nobody"}, set()),
    ({"customer": "c00", "history": ["mug-0", "mug-0", "no such item"]}, {"mug-0"}),
    ({"history": []}, set()),
    ({}, set()),
]
EXCLUDED: list[list[str]] = [["tea-0", "tea-0", "no such item"], sorted(STOCK - {"tea-1"}), sorted(STOCK)]


@pytest.fixture(scope="module", params=sorted(RECOMMENDERS))
def state(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> State:
    """What a service of this model knows."""
    workspace = create(tmp_path_factory.mktemp("shop") / "shop")
    rows = "".join(f"{item},{item[:3]} thing,{'' if item in STOCK else 0}\n" for item in sorted(TEAS | MUGS))
    (workspace.folder / "catalog.csv").write_text("item,name,stock\n" + rows)
    workspace = Workspace.open(workspace.folder)
    grant(Ledger.at(workspace.ledger), CUSTOMERS[:16], Basis(("personalisation",), "a box"), source="t", time=NOW)
    released(workspace, request.param)
    return State.read(workspace)


def released(workspace: Workspace, name: str) -> None:
    items = np.array(sorted(TEAS | MUGS))
    customer, item = np.nonzero((np.arange(20)[:, None] % 2 == 0) == np.char.startswith(items, "tea")[None, :])
    ones, never = np.ones(len(item), np.float32), np.full(len(item), "NaT", "M8[us]")
    pairs = (customer.astype(np.int32), item.astype(np.int32), ones, ones, never, never)
    log = Interactions(np.array(CUSTOMERS), items, *pairs, catalog=read_catalog(workspace))
    log.save(workspace.runs / "r1")
    folder = workspace.runs / "r1" / "registered"
    model = RECOMMENDERS[name](**SMALL.get(name, {})).fit(log)
    save_model(model, folder, {"kind": "recommender", "name": name, "as_of": NOW})
    write_release(workspace, folder, version="1", run_id="r1", facts={})
    point(workspace, "recommender", "1")


def permitted(mode: str, bought: set[str], exclude: list[str]) -> set[str]:
    return ((bought & STOCK) if mode == "only" else STOCK - bought) - set(exclude)


def exactly(answer: Mapping[str, Any], k: int, among: set[str]) -> None:
    items = [one["item"] for one in answer["items"]]
    assert set(items) <= among
    assert len(items) == len(set(items)) == min(k, len(among))
    assert answer["reason"] if items else answer["reason"] == "the filter leaves no item"


@pytest.mark.parametrize("mode", get_args(Bought))
@pytest.mark.parametrize(("k", "variety"), [(4, 0.5), (MAX_K, 0.0)])
def test_exactly_k_for_customers_and_carts(state: State, mode: Bought, k: int, variety: float) -> None:
    for (who, bought), exclude in product(WHO, EXCLUDED):
        asked = {**who, "k": k, "exclude": exclude, "variety": variety, "include_bought": mode}
        among = permitted(mode, bought, exclude)
        exactly(recommend(state, RecommendRequest(**asked), "d1", NOW)[1], k, among)
        cart = ["tea-2", "tea-2", "no such item"]
        exactly(basket(state, BasketRequest(cart=cart, **asked), "d1", NOW)[1], k, among - set(cart))


@pytest.mark.parametrize("k", [4, MAX_K])
def test_exactly_k_similar_items(state: State, k: int) -> None:
    for item, exclude in product(["tea-2", "mug-5", "no such item"], EXCLUDED):
        answer = similar(state, SimilarRequest(item=item, k=k, exclude=exclude), "d1", NOW)[1]
        exactly(answer, k, STOCK - {item} - set(exclude))
