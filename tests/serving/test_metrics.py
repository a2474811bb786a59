"""What operators see at `/metrics`: of all workers, of the stores, and nothing of what was asked."""

import os
import shutil
import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from features.events import Event
from features.history import key_of, store
from features.ledger import Ledger
from features.spending import Spending, add
from features.states.refresh import refresh
from features.workspace import Workspace

Samples = dict[tuple[str, ...], float]


@pytest.fixture
def own(untouched: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the shop."""
    folder = tmp_path / "shop"
    shutil.copytree(untouched.folder, folder)
    return Workspace.open(folder)


def samples(client: httpx.Client) -> Samples:
    """Each sample by its name and its labels' values."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {
        (one.name, *(value for _, value in sorted(one.labels.items()))): one.value
        for family in families
        for one in family.samples
    }


def until(client: httpx.Client, true: Callable[[Samples], bool]) -> Samples:
    """The samples once this is true of them; workers speak every second."""
    deadline = time.monotonic() + 30
    while not true(found := samples(client)):
        assert time.monotonic() < deadline, {key: value for key, value in found.items() if key[0][:6] == "attune"}
        time.sleep(0.2)
    return found


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


def test_a_models_age_is_that_of_what_it_knows(untouched: Workspace, service: httpx.Client) -> None:
    found = until(service, lambda one: ("attune_model_age_seconds", "uplift") in one)
    expected = datetime.now(UTC) - datetime(2026, 1, 1, tzinfo=UTC)
    assert found["attune_model_age_seconds", "uplift"] == pytest.approx(expected.total_seconds(), abs=10)
    assert found["attune_model_age_seconds", "recommender"] < found["attune_model_age_seconds", "uplift"] - 86_400


def test_what_is_refused_waits_or_is_spent_is_told_over_all_workers(own: Workspace, serving) -> None:
    shop = own
    offers = (shop.folder / "offers.yaml").read_text()
    (shop.folder / "offers.yaml").write_text(offers.replace("cost: 0.30", "cost: 0.30, budget: 100"))
    with Ledger.at(shop.ledger).write() as connection:
        add(connection, "coupon", Spending(contacts=40, spent=12.0))
    with serving(shop, "--workers", "2") as client:
        found = until(client, lambda one: one["attune_workers",] == 2)
        assert (found["attune_offer_spent", "coupon"], found["attune_offer_budget", "coupon"]) == (12.0, 100.0)
        assert ("attune_offer_budget", "mail") not in found
        assert (found["attune_ledger_up",], found["attune_journal_segments",]) == (1, 2)
        assert (found["attune_waiting", "intake"], found["attune_waiting", "journal"]) == (0, 0)
        assert found["attune_refused", "workspace"] == 0
        (shop.folder / "offers.yaml").write_text("offers: wrong")
        until(client, lambda one: one["attune_refused", "workspace"] == 1)
        (shop.folder / "offers.yaml").write_text(offers)
        until(client, lambda one: one["attune_refused", "workspace"] == 0)


def test_a_worker_that_was_killed_no_longer_counts(own: Workspace, serving) -> None:
    with serving(own, "--workers", "2") as client:
        until(client, lambda one: one["attune_workers",] == 2)
        killed = workers(client)[0]
        os.kill(killed, signal.SIGKILL)
        until(client, lambda _: killed not in workers(client) and len(workers(client)) == 2)
        time.sleep(3)  # until the new one speaks
        assert samples(client)["attune_workers",] == 2


def test_features_are_as_far_behind_as_the_oldest_event_that_is_in_none(own: Workspace, serving) -> None:
    shop, now = own, datetime.now(UTC)
    refresh(shop, now)
    with serving(shop) as client:
        assert samples(client)["attune_features_behind_seconds",] == 0
        received(shop, now - timedelta(minutes=10))
        found = samples(client)
        assert found["attune_features_behind_seconds",] == pytest.approx(600, abs=60)
        assert found["attune_unclosed_seconds",] == pytest.approx(600, abs=60)
        refresh(shop, now)
        found = samples(client)
        assert found["attune_features_behind_seconds",] == 0
        assert found["attune_unclosed_seconds",] == pytest.approx(600, abs=60)


def test_decisions_for_a_holdout_are_counted(own: Workspace, serving) -> None:
    shop = own
    settings = shop.folder / "attune.yaml"
    settings.write_text(settings.read_text().replace("holdout: 0.05", "holdout: 0.999999"))
    with serving(shop) as client:
        for _ in range(3):
            client.post("/v1/offers/select", json={"customer": "c001"})
        client.post("/v1/recommend", json={"customer": "c001"})
        found = samples(client)
    assert {key: value for key, value in found.items() if key[0] == "attune_held_out_total"} == {
        ("attune_held_out_total", "offer"): 3
    }
