"""Every route over HTTP: found, unknown, bad request, not allowed; and what must hold of every answer."""

import json
import re
import subprocess
import sys
import time

import httpx
import numpy as np
import pytest
from scipy.stats import chisquare

from features.ledger import Ledger
from features.workspace import Workspace
from serving.decisions.journal import find

FACTS = {"decision_id", "reason", "policy", "probability", "model", "model_version", "workspace_hash", "fallback"}
TEST = "/v1/experiments/checkout-badge"
FOUND = [
    ("/v1/recommend", {"customer": "c000"}),
    ("/v1/recommend/basket", {"cart": ["green"]}),
    ("/v1/recommend/similar", {"item": "green"}),
    ("/v1/offers/select", {"customer": "c001"}),
    ("/v1/decide", {"slot": "home-hero", "customer": "c001"}),
    (f"{TEST}/assign", {"customer": "c001"}),
]


CALLS = [
    ("/api/recommend", {"request": {"customer": "c000"}}),
    ("/api/offers/select", {"request": {"customer": "c001"}}),
    ("/api/experiments/assign", {"experiment": "checkout-badge", "request": {"customer": "c001"}}),
]


def items(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [one["item"] for one in answer.json()["items"]]


def said(answer: httpx.Response, status: int) -> str:
    """The message of an error, after its shape was found right."""
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"code", "message"}
    message = str(answer.json()["message"])
    assert "\n" not in message
    assert len(message) <= 500
    return message


@pytest.mark.parametrize(("path", "body"), FOUND)
def test_an_answer_says_how_it_came_about_and_is_journalled(
    service: httpx.Client, shop: Workspace, path: str, body: dict[str, str]
) -> None:
    answer = service.post(path, json=body).json()
    assert set(answer) >= FACTS
    assert answer["fallback"] is None or "sample" in answer["fallback"]  # the offer that the model does not know
    row = find(shop.state / "journal", Ledger.at(shop.ledger), answer["decision_id"])
    assert row is not None
    assert {name: row[name] for name in FACTS} == {name: answer[name] for name in FACTS}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS", "BREW"])
@pytest.mark.parametrize("path", [path for path, _ in [*FOUND, *CALLS]])
def test_a_route_refuses_another_method(service: httpx.Client, path: str, method: str) -> None:
    assert path in said(service.request(method, path), 405)


def test_a_refused_method_names_those_that_are_allowed(service: httpx.Client) -> None:
    answer = service.delete("/v1/recommend")
    assert "POST" in said(answer, 405)
    assert answer.headers["allow"] == "POST"


NO_JSON = [
    b"{customer: c0",
    b"",
    b"\xff\xfe{}",
    b'{"customer": "\xc3\x28"}',
    b'{"customer": "\\ud800"}',
    b"[" * 100_000,
    b'{"customer": ' * 1_000 + b"1" + b"}" * 1_000,
]


@pytest.mark.parametrize(
    "content", NO_JSON, ids=["bare", "empty", "utf-16", "bad utf-8", "lone surrogate", "torn", "deep"]
)
@pytest.mark.parametrize("path", [path for path, _ in [*FOUND, *CALLS]])
def test_a_body_that_is_not_json_is_refused(service: httpx.Client, path: str, content: bytes) -> None:
    assert "not JSON" in said(service.post(path, content=content), 400)


@pytest.mark.parametrize("content", [b"[1]", b"null", b'"c000"', b"7", b"[" * 200 + b"]" * 200])
@pytest.mark.parametrize("path", [path for path, _ in [*FOUND, *CALLS]])
def test_json_that_is_no_object_is_refused(service: httpx.Client, path: str, content: bytes) -> None:
    assert "object is needed" in said(service.post(path, content=content), 400)


@pytest.mark.parametrize("customer", ["c\0", "c000\0", "c\n000", "c" * 257, "c" * 10_000, "", 7, {"a": 1}])
@pytest.mark.parametrize("path", ["/v1/recommend", "/v1/offers/select", f"{TEST}/assign"])
def test_what_is_no_customer_id_is_refused_by_name(service: httpx.Client, path: str, customer: object) -> None:
    assert said(service.post(path, json={"customer": customer}), 400).startswith("customer == ")


@pytest.mark.parametrize("field", ["history", "exclude"])
@pytest.mark.parametrize("item", ["i" * 300_000, "green\0", ""])
def test_what_is_no_item_id_is_refused_by_name(service: httpx.Client, field: str, item: str) -> None:
    many = [f"i{number}" for number in range(9_000)]  # as an array, each would take the longest one's space
    assert said(service.post("/v1/recommend", json={field: [item, *many]}), 400).startswith(f"{field}.0 == ")


def test_features_that_are_no_numbers_to_reckon_with_are_refused(service: httpx.Client) -> None:
    for number in (b"1e16", b"-1e308", b"1e999", b"NaN"):
        content = b'{"features": {"tenure": %s}, "offers": ["coupon"]}' % number
        assert said(service.post("/v1/offers/select", content=content), 400)
    many = {"features": {f"f{number}": 1.0 for number in range(2_000)}}
    assert said(service.post("/v1/offers/select", json=many), 400).startswith("features")


@pytest.mark.parametrize(("path", "body"), FOUND)
def test_an_unknown_field_names_the_nearest_known_one(service: httpx.Client, path: str, body: dict[str, str]) -> None:
    near = next(iter(body))
    assert f"did you mean {near!r}" in said(service.post(path, json=body | {near[:-1]: "x"}), 400)


@pytest.mark.parametrize(("path", "body"), [*FOUND, *CALLS])
def test_a_body_too_large_is_refused(service: httpx.Client, path: str, body: dict[str, object]) -> None:
    large = json.dumps(body | {"filler": "x" * 2_000_000}).encode()
    assert "1048576" in said(service.post(path, content=large), 413)
    pieces = (large[start : start + 100_000] for start in range(0, len(large), 100_000))  # its length is not announced
    assert "1048576" in said(service.post(path, content=pieces), 413)


@pytest.mark.parametrize("k", [0, -1, 10_000, "10", 2.5, None, True])
def test_a_wrong_k_is_refused_by_name(service: httpx.Client, k: object) -> None:
    assert said(service.post("/v1/recommend", json={"k": k}), 400).startswith("k ")


@pytest.mark.parametrize("k", [1, 3, 4])  # black tea and three coffees: what c000 bought, nobody ever bought again
def test_exactly_k_items_while_k_exist(service: httpx.Client, k: int) -> None:
    answered = items(service.post("/v1/recommend", json={"customer": "c000", "k": k}))
    assert len(answered) == len(set(answered)) == k


def test_a_whole_number_may_be_written_with_a_point(service: httpx.Client) -> None:
    body = b'{"k": 2.0, "pinned": [{"key": "a", "items": ["green"], "positions": [2.0]}]}'
    assert items(service.post("/v1/recommend", content=body))[1] == "green"
    assert said(service.post("/v1/recommend", content=body.replace(b"[2.0]", b"[2.5]")), 400).startswith("pinned.0.")


def test_an_unknown_customer_gets_what_is_popular_and_is_told(service: httpx.Client) -> None:
    answer = service.post("/v1/recommend", json={"customer": "nobody"})
    assert items(answer)
    assert "not known" in answer.json()["fallback"]
    offer = service.post("/v1/offers/select", json={"customer": "nobody"})
    assert "not known" in offer.json()["fallback"]


def test_a_customer_without_consent_gets_nothing_personal(service: httpx.Client) -> None:
    answer = service.post("/v1/recommend", json={"customer": "c058"})
    assert items(answer) == items(service.post("/v1/recommend", json={}))
    assert "not agreed" in answer.json()["fallback"]
    assert "not agreed" in service.post("/v1/offers/select", json={"customer": "c058"}).json()["fallback"]


def test_excluded_and_out_of_stock_items_never_appear(service: httpx.Client) -> None:
    for body in ({"customer": "c000"}, {"customer": "nobody"}, {"history": ["black"]}, {}):
        answered = items(service.post("/v1/recommend", json=body | {"exclude": ["green"], "k": 100}))
        assert answered
        assert not {"green", "oolong"} & set(answered)
    assert not {"green", "oolong", "black"} & set(
        items(service.post("/v1/recommend/similar", json={"item": "black", "exclude": ["green"]}))
    )


def test_bought_items_are_left_out_when_asked(service: httpx.Client) -> None:
    for body in ({"customer": "c000"}, {"history": ["white", "green"]}):
        answered = items(service.post("/v1/recommend", json=body | {"include_bought": "never", "k": 100}))
        assert "black" in answered
        assert not {"white", "green"} & set(answered)


def test_a_history_overrides_the_customers_own(service: httpx.Client) -> None:
    # no other test asks for c010, who is therefore tired of nothing
    body = {"customer": "c010", "history": ["java"], "include_bought": "never"}
    first = service.post("/v1/recommend", json=body)
    assert items(first)[0] in {"mocha", "robusta"}


def test_deleting_a_cited_item_from_the_history_changes_the_reason(service: httpx.Client) -> None:
    def cited(history: list[str]) -> list[str]:
        body = {"history": history, "include_bought": "never", "k": 1}
        return list(service.post("/v1/recommend", json=body).json()["items"][0]["reason"]["cites"])

    both = cited(["white", "green"])
    assert both
    rest = [item for item in ("white", "green") if item != both[0]]
    assert both[0] not in cited(rest)


def test_only_what_is_alike_is_said_to_go_together(service: httpx.Client) -> None:
    """Nobody who bought black tea bought coffee: coffees fill the answer, because they are popular."""
    answer = service.post("/v1/recommend/similar", json={"item": "black", "k": 100}).json()
    kinds = {item["item"]: item["reason"]["kind"] for item in answer["items"]}
    assert kinds == dict.fromkeys(("green", "white"), "similar") | dict.fromkeys(
        ("java", "mocha", "robusta"), "popular"
    )


def test_an_unknown_item_is_answered_with_what_is_popular_and_said_so(service: httpx.Client) -> None:
    answer = service.post("/v1/recommend/similar", json={"item": "no such item"})
    assert items(answer)
    assert "no such item" in answer.json()["fallback"]


def test_an_unknown_offer_is_refused_by_name(service: httpx.Client) -> None:
    assert "copon" in said(service.post("/v1/offers/select", json={"offers": ["copon"]}), 400)


def test_features_in_the_request_give_a_live_effect(service: httpx.Client) -> None:
    loyal, fresh = (
        service.post("/v1/offers/select", json={"features": {"tenure": tenure}, "offers": ["coupon"]}).json()
        for tenure in (1.0, 0.0)
    )
    expected = {answer["decision_id"]: answer["expected_profit"] for answer in (loyal, fresh) if answer["offer"]}
    assert expected.get(loyal["decision_id"], 99) > 5
    assert expected.get(fresh["decision_id"], 0) < 2
    wrong = service.post("/v1/offers/select", json={"features": {"tenor": 1.0}})
    assert "tenure" in said(wrong, 400)


def test_the_same_idempotency_key_gives_the_same_decision(service: httpx.Client) -> None:
    keyed = {"Idempotency-Key": "order-17"}
    first, again = (
        service.post("/v1/offers/select", json={"customer": "c001"}, headers=keyed).json() for _ in range(2)
    )
    assert first == again


def test_an_arm_is_steady_and_follows_the_assignment_hash(service: httpx.Client) -> None:
    from features.assignment import arm

    for customer in ("c001", "c002", "somebody new"):
        answer = service.post(f"{TEST}/assign", json={"customer": customer}).json()
        assert answer["arm"] == arm("checkout-badge", customer, {"control": 0.5, "treatment": 0.5})
        assert answer["probability"] == 0.5


def test_an_unknown_experiment_is_not_found(service: httpx.Client) -> None:
    assert "checkout-bagde" in said(service.post("/v1/experiments/checkout-bagde/assign", json={"customer": "a"}), 404)
    assert said(service.get("/v1/experiments/checkout-bagde/report"), 404)


def test_a_report_that_was_not_made_says_how_to_make_it(service: httpx.Client, shop: Workspace) -> None:
    (shop.reports / "experiment-checkout-badge.json").unlink(missing_ok=True)
    assert "attune report experiment checkout-badge" in said(service.get(f"{TEST}/report"), 404)
    assert said(service.post(f"{TEST}/report"), 405)


def test_the_command_lines_report_is_served_with_its_age(service: httpx.Client, shop: Workspace) -> None:
    for number in range(40):
        service.post(f"{TEST}/assign", json={"customer": f"c{number:03}"})
    time.sleep(1)  # the journal commits in groups
    command = [sys.executable, "-m", "serving.cli", "report", "experiment", "checkout-badge", "-w", str(shop.folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    assert "verdict" in made.stdout
    report = service.get(f"{TEST}/report").json()
    assert [arm["arm"] for arm in report["arms"]] == ["control", "treatment"]
    assert sum(arm["customers"] for arm in report["arms"]) >= 40
    assert 0 <= report["age_seconds"] < 60


def test_the_documents_are_ours_and_ask_nobody_else(service: httpx.Client) -> None:
    document = service.get("/v1/openapi.json").json()
    paths = {path.removeprefix("/v1") for path in document["paths"]}
    assert {"/recommend", "/offers/select", "/experiments/{key}/assign", "/experiments/{key}/report"} <= paths
    named = set(re.findall(r'"(#/[^"]*)"', json.dumps(document)))
    assert {"#/components/schemas/HistoryEntry", "#/components/schemas/Error"} <= named
    for reference in named:
        assert reference.rpartition("/")[2] in document["components"]["schemas"], reference
    page = service.get("/v1/docs").text
    assert "typing." not in page
    assert "/v1/offers/select" in page
    assert 'src="http' not in page
    assert 'href="http' not in page


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/healthz", "/metrics"])
def test_probes_and_metrics_answer(service: httpx.Client, path: str) -> None:
    assert service.get(path).status_code == 200


@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("/v1/recomend", "/v1/recommend"),
        ("/v1/recommend/", "/v1/recommend"),
        ("/v1/offer/select", "/v1/offers/select"),
        ("/v1/experiments/checkout-badge/asign", "/v1/experiments/{key}/assign"),
        ("/v1/%00", "/v1/docs"),
        ("/v1/", "/v1/docs"),
        ("/v1/" + "x" * 5_000, "/v1/docs"),
        ("/api/recomend", "/api/recommend"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_route_names_the_nearest_one(service: httpx.Client, method: str, path: str, near: str) -> None:
    assert near in said(service.request(method, path), 404)


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "request: "),
        ({"request": [1]}, 400, "request == "),
        ({"request": {"k": 0}}, 400, "k == 0"),
        ({"request": {"custumer": "c000"}}, 400, "did you mean 'customer'"),
        ({"request": {"customer": "c\0"}}, 400, "customer == "),
        ({"reqest": {}}, 400, "request"),
    ],
)
def test_bentomls_own_calls_refuse_in_the_same_words(
    service: httpx.Client, body: dict[str, object], status: int, words: str
) -> None:
    assert words in said(service.post("/api/recommend", json=body), status)
    typed = service.post("/api/recommend", content=json.dumps(body), headers={"content-type": "multipart/form-data"})
    assert words in said(typed, status)


def test_bentomls_own_call_does_not_find_an_unknown_experiment(service: httpx.Client) -> None:
    body = {"experiment": "checkout-bagde", "request": {"customer": "c001"}}
    assert "checkout-bagde" in said(service.post("/api/experiments/assign", json=body), 404)


def test_bentomls_own_calls_answer_under_api_with_the_same_decisions(service: httpx.Client) -> None:
    def answered(path: str) -> float:
        lines = service.get("/metrics").text.splitlines()
        mine = [line for line in lines if "request_total{" in line and f'endpoint="{path}"' in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in mine if 'http_response_code="200"' in line)

    def settled() -> dict[str, float]:
        """The counts once they have stood still for two seconds: BentoML counts after the answer has left."""
        last: dict[str, float] = {}
        still = 0
        while still < 4:
            now = {path: answered(path) for path in ("/api/recommend", "/v1/recommend")}
            still = still + 1 if now == last else 0
            last = now
            time.sleep(0.5)
        return last

    counts = settled()
    body = {"history": ["white"], "k": 3}
    own = service.post("/api/recommend", json={"request": body})
    mounted = service.post("/v1/recommend", json=body)
    assert items(own) == items(mounted)
    after = settled()
    assert {path: after[path] - count for path, count in counts.items()} == {"/api/recommend": 1, "/v1/recommend": 1}
    assert service.get("/api/recommend").status_code == 405
    assert service.post("/api/offers/select", json={"request": {"customer": "c001"}}).json()["policy"] == "epsilon"
    arm = service.post("/api/experiments/assign", json={"experiment": "checkout-badge", "request": {"customer": "a"}})
    assert arm.json()["arm"] in {"control", "treatment"}


def test_decisions_are_counted_by_kind_policy_and_fallback_over_all_workers(shop: Workspace, serving) -> None:
    keyed = {"Idempotency-Key": "counted"}
    with serving(shop, "--workers", "2") as client:
        for _ in range(20):  # each over a connection of its own, so that either worker may answer
            httpx.post(client.base_url.join("/v1/recommend"), json={"customer": "c000"})
        for _ in range(3):
            client.post("/v1/recommend", json={"customer": "somebody"})
            client.post("/v1/offers/select", json={"offers": ["coupon"], "features": {"tenure": 1}}, headers=keyed)
            client.post("/api/experiments/assign", json={"experiment": "checkout-badge", "request": {"customer": "a"}})
            client.post("/v1/recommend", json={"k": 0})
        lines = client.get("/metrics").text.splitlines()
    counted = {name: float(number) for name, number in (line.rsplit(" ", 1) for line in lines if line[:1] == "a")}
    total = "attune_decisions_total"
    assert {name: number for name, number in counted.items() if name.startswith(total)} == {
        total + '{fallback="no",kind="recommend",policy="top-k"}': 20,
        total + '{fallback="yes",kind="recommend",policy="top-k"}': 3,
        total + '{fallback="no",kind="offer",policy="epsilon"}': 1,  # a retry is no new decision
        total + '{fallback="no",kind="assign",policy="assignment-hash"}': 3,
    }
    assert counted['attune_answer_seconds_count{fallback="no",kind="recommend"}'] == 20
    assert 0 < counted['attune_answer_seconds_sum{fallback="no",kind="recommend"}'] < 60


def test_a_second_service_leaves_the_counters_of_the_first_alone(
    service: httpx.Client, shop: Workspace, serving
) -> None:
    def counted() -> float:
        lines = service.get("/metrics").text.splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith("attune_decisions_total"))

    service.post("/v1/recommend", json={})
    before = counted()
    with serving(shop):
        assert counted() == before > 0


def test_over_many_calls_the_chosen_frequencies_match_the_logged_probabilities(service: httpx.Client) -> None:
    chosen: dict[str, int] = {"coupon": 0, "mail": 0, "nothing": 0}
    logged: dict[str, float] = {}
    for _ in range(1000):
        answer = service.post("/v1/offers/select", json={"customer": "c001"}).json()
        key = answer["offer"] or "nothing"
        chosen[key] += 1
        logged[key] = answer["probability"]
    assert chosen["nothing"] > 0
    assert sum(logged.values()) == pytest.approx(1)
    expected = np.array([logged[key] for key in chosen]) * 1000
    assert chisquare(list(chosen.values()), expected).pvalue > 0.001
