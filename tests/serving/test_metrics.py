"""What operators see at `/metrics`: of all workers, of the stores, and nothing of what was asked."""

import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from features.events import Event
from features.history import key_of, store
from features.ledger import Ledger
from features.spending import Spending, add
from features.states.refresh import refresh
from features.workspace import Workspace

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
FOLDER = PAGE.with_suffix("")
STEADY = {"service_name", "service_version", "runner_name"}  # of BentoML's, the same everywhere
Samples = dict[tuple[str, ...], float]


BUDGET, HOLDOUT = "cost: 0.30, budget: 100", "holdout: 0.999999"


@pytest.fixture(scope="module")
def own(untouched: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A copy of the shop, where the coupon has a budget and everybody is held out from offers."""
    folder = tmp_path_factory.mktemp("watched") / "shop"
    shutil.copytree(untouched.folder, folder)
    for name, old, new in (("offers.yaml", "cost: 0.30", BUDGET), ("attune.yaml", "holdout: 0.05", HOLDOUT)):
        (folder / name).write_text((folder / name).read_text().replace(old, new))
    workspace = Workspace.open(folder)
    refresh(workspace, datetime.now(UTC))
    return workspace


@pytest.fixture(scope="module")
def client(own: Workspace, serving) -> Iterator[httpx.Client]:
    """Two workers answer; one recommendation and one offer were asked for."""
    with serving(own, "--workers", "2") as started:
        started.post("/v1/recommend", json={"customer": "c001"})
        started.post("/v1/offers/select", json={"customer": "c001"})
        until(started, lambda one: one["attune_workers",] == 2)
        yield started


def families(client: httpx.Client) -> list[Metric]:
    """The metrics, over a connection of its own: the worker at the other end of a kept one may have been killed."""
    return list(text_string_to_metric_families(httpx.get(client.base_url.join("/metrics")).text))


def samples(client: httpx.Client) -> Samples:
    """Each sample by its name and its labels' values."""
    return {
        (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
        for family in families(client)
        for one in family.samples
    }


def until(client: httpx.Client, true: Callable[[Samples], bool]) -> Samples:
    """The samples once this is true of them; workers speak every second."""
    deadline = time.monotonic() + 30
    while not true(found := samples(client)):
        assert time.monotonic() < deadline, {key: value for key, value in found.items() if key[0][:6] == "attune"}
        time.sleep(0.2)
    return found


def exposed(client: httpx.Client) -> dict[str, set[str]]:
    """Each metric's labels, by the name under which it is asked for; those of a histogram by its own name."""
    return {
        family.name + ("_total" if family.type == "counter" else ""): {
            label for one in family.samples for label in one.labels if label != "le"
        }
        for family in families(client)
    }


def asserted(expression: str, known: dict[str, set[str]]) -> None:
    """The names of a query in PromQL are metrics, what stands in their braces and behind `by` are their labels."""
    found = re.findall(r"\b((?:attune|bentoml)_\w+?)(?:_bucket)?\b(?:\{([^}]*)\})?", expression)
    assert found, expression
    labels = {label for name, _ in found for label in known[name]} | {"le"}
    asked = [re.findall(r"(\w+)\s*[=!]", braces) for _, braces in found]
    asked += [re.findall(r"\w+", names) for names in re.findall(r"\bby \(([^)]*)\)", expression)]
    assert {one for each in asked for one in each} <= labels, expression


def workers(client: httpx.Client) -> list[int]:
    """The processes that answer on the client's port."""
    mine = (one for one in living(psutil.Process()) if str(client.base_url.port) in one.cmdline())
    return [one.pid for each in mine for one in living(each) if "_bentoml_impl.worker.service" in one.cmdline()]


def living(parent: psutil.Process) -> list[psutil.Process]:
    return [one for one in parent.children() if one.status() != psutil.STATUS_ZOMBIE]


def received(shop: Workspace, time_: datetime) -> None:
    """An event that came in at this time."""
    at = time_.replace(tzinfo=None)
    event = Event(source="t", message_id="m", name="Viewed", time=at, received_at=at, live=True, customer="c000").row()
    with Ledger.at(shop.ledger).write() as connection:
        store(connection, {key_of(event): event})


def test_a_models_age_is_that_of_what_it_knows(client: httpx.Client) -> None:
    found = samples(client)
    expected = datetime.now(UTC) - datetime(2026, 1, 1, tzinfo=UTC)
    assert found["attune_model_age_seconds", "uplift"] == pytest.approx(expected.total_seconds(), abs=30)
    assert found["attune_model_age_seconds", "recommender"] < found["attune_model_age_seconds", "uplift"] - 86_400


def test_what_is_spent_and_what_waits_is_told(client: httpx.Client, own: Workspace) -> None:
    with Ledger.at(own.ledger).write() as connection:
        add(connection, "coupon", Spending(contacts=40, spent=12.0))
    found = samples(client)
    assert (found["attune_offer_spent", "coupon"], found["attune_offer_budget", "coupon"]) == (12.0, 100.0)
    assert ("attune_offer_budget", "mail") not in found
    assert (found["attune_ledger_up",], found["attune_journal_segments",]) == (1, 2)
    assert (found["attune_waiting", "intake"], found["attune_waiting", "journal"]) == (0, 0)


def test_what_is_refused_is_told_until_it_is_right_again(client: httpx.Client, own: Workspace) -> None:
    offers = (own.folder / "offers.yaml").read_text()
    assert samples(client)["attune_refused", "workspace"] == 0
    (own.folder / "offers.yaml").write_text("offers: wrong")
    until(client, lambda one: one["attune_refused", "workspace"] == 1)
    (own.folder / "offers.yaml").write_text(offers)
    until(client, lambda one: one["attune_refused", "workspace"] == 0)


def test_features_are_as_far_behind_as_the_oldest_event_that_is_in_none(client: httpx.Client, own: Workspace) -> None:
    assert samples(client)["attune_features_behind_seconds",] == 0
    received(own, datetime.now(UTC) - timedelta(minutes=10))
    found = samples(client)
    assert found["attune_features_behind_seconds",] == pytest.approx(600, abs=60)
    assert found["attune_unclosed_seconds",] == pytest.approx(600, abs=60)
    refresh(own, datetime.now(UTC))
    found = samples(client)
    assert found["attune_features_behind_seconds",] == 0
    assert found["attune_unclosed_seconds",] == pytest.approx(600, abs=60)


def test_decisions_for_a_holdout_are_counted(client: httpx.Client) -> None:
    held = {key: value for key, value in samples(client).items() if key[0] == "attune_held_out_total"}
    assert held == {("attune_held_out_total", "offer"): 1}


def test_the_page_names_every_metric_and_its_labels_and_no_other(client: httpx.Client) -> None:
    rows = re.findall(r"^\| `((?:attune|bentoml)_\w+)` \| ([^|]*)\|", PAGE.read_text(), flags=re.MULTILINE)
    told = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows}
    assert told == {name: labels - STEADY for name, labels in exposed(client).items()}


def test_the_alerts_name_metrics_and_labels_that_there_are_and_the_page_what_to_do(client: httpx.Client) -> None:
    (group,) = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    headings = re.findall(r"^### (\w+)$", PAGE.read_text(), flags=re.MULTILINE)
    assert [rule["alert"] for rule in group["rules"]] == headings
    for rule in group["rules"]:
        asserted(rule["expr"].replace('up{job="attune"}', "attune_workers"), exposed(client))


def test_the_dashboard_names_metrics_and_labels_that_there_are(client: httpx.Client) -> None:
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    assert len(panels) > 10
    for target in (target for panel in panels for target in panel["targets"]):
        asserted(target["expr"], exposed(client))


def test_a_worker_that_was_killed_no_longer_counts(client: httpx.Client) -> None:
    killed = workers(client)[0]
    os.kill(killed, signal.SIGKILL)
    until(client, lambda _: killed not in workers(client) and len(workers(client)) == 2)
    time.sleep(3)  # until the new one speaks
    until(client, lambda one: one["attune_workers",] == 2)
