"""What the simulator plants, its log shows: effects, tastes, cycles, seasons, machines."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features import events
from features.assignment import arm
from features.sources.simulator.customers import WINDOW
from features.sources.simulator.sessions import ARMS, EXPERIMENT
from features.sources.simulator.shop import Chunk, Shop, chunks, simulate_events
from features.sources.simulator.truth import History, expected_orders, infer_taste, recall
from features.sources.simulator.world import NO_EFFECT, SHOP, World, world_named
from features.sources.simulator.write import read, write

UNTIL = datetime(2026, 1, 1)
CUSTOMERS = 5000
HORIZON = 28


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(SHOP, 1, UNTIL, 180)


@pytest.fixture(scope="module")
def chunk(shop: Shop) -> Chunk:
    return read(shop, CUSTOMERS)


@pytest.fixture(scope="module")
def log(chunk: Chunk) -> pd.DataFrame:
    columns = [
        "name",
        "customer",
        "time",
        "item",
        "quantity",
        "price",
        "order_id",
        "machine",
        "anonymous",
        "properties",
    ]
    return chunk.events.select(columns).to_pandas()


def outcomes(chunk: Chunk) -> pd.DataFrame:
    """The exposures with `converted`: an order within the window."""
    log, exposures = chunk.events.select(["name", "customer", "time"]).to_pandas(), chunk.exposures.to_pandas()
    start = exposures["time"].iloc[0]
    inside = log[(log["name"] == events.ORDERED) & log["time"].between(start, start + timedelta(days=WINDOW))]
    return exposures.assign(converted=exposures["customer"].isin(inside["customer"]))


def lift(table: pd.DataFrame, offer: str) -> tuple[float, float]:
    """Difference in conversion against none, and its standard error."""
    treated, control = (table.loc[table["arm"] == name, "converted"].to_numpy(float) for name in (offer, "none"))
    error = np.sqrt(treated.var() / len(treated) + control.var() / len(control))
    return float(treated.mean() - control.mean()), float(error)


@pytest.mark.parametrize("offer", ["percent-10", "free-shipping"])
def test_the_mean_effect_of_an_offer_is_in_the_log(chunk: Chunk, offer: str) -> None:
    effects = chunk.effects.to_pandas()
    planted = effects.loc[effects["offer"] == offer, "effect"].mean()
    found, error = lift(outcomes(chunk), offer)
    assert 0.04 < planted < 0.08
    assert abs(found - planted) < 3 * error
    assert found > 2 * error


@pytest.mark.parametrize("offer", ["percent-10", "free-shipping"])
def test_the_harmed_and_the_persuaded_are_harmed_and_persuaded_in_the_log(chunk: Chunk, offer: str) -> None:
    effects = chunk.effects.to_pandas()
    effects = effects[effects["offer"] == offer]
    assert 0.05 < (effects["effect"] < -0.01).mean() < 0.4
    table = outcomes(chunk).merge(effects[["customer", "effect"]], on="customer")
    harmed, error = lift(table[table["effect"] < -0.01], offer)
    persuaded, _ = lift(table[table["effect"] > 0.1], offer)
    assert harmed < 2 * error
    assert persuaded > 0.08


def test_the_base_rate_can_carry_an_experiment(chunk: Chunk) -> None:
    table = outcomes(chunk)
    assert 0.15 < table.loc[table["arm"] == "none", "converted"].mean() < 0.25


def test_arms_are_given_with_the_probability_that_is_logged(chunk: Chunk) -> None:
    exposures = chunk.exposures.to_pandas()
    share = exposures["arm"].value_counts(normalize=True)
    for name, logged in exposures.groupby("arm")["probability"].first().items():
        assert abs(share[name] - logged) < 4 * np.sqrt(0.25 / len(exposures))


def test_offers_do_nothing_in_the_world_without_effect() -> None:
    chunk = read(Shop(NO_EFFECT, 1, UNTIL, 180), 3000)
    assert (chunk.effects["effect"].to_numpy() == 0).all()
    for offer in ("percent-10", "free-shipping"):
        found, error = lift(outcomes(chunk), offer)
        assert abs(found) < 3 * error


def test_what_one_buys_again_comes_after_its_own_cycle(shop: Shop, log: pd.DataFrame) -> None:
    cycle = dict(zip(shop.items.ids, shop.items.cycle, strict=True))
    orders = log[log["name"] == events.ORDERED].sort_values("time")
    gap = orders.groupby(["customer", "item"])["time"].diff().dt.total_seconds() / 86_400
    gap = gap.where(gap > 1)  # two lines of one order, or of one day, are no return
    expected = orders["item"].map(cycle)
    near = (np.log(gap / expected).abs() < 0.3)[gap.notna() & expected.notna()]
    assert near.mean() > 0.8
    short = (gap < 60) & (expected < 30)
    assert abs(np.log(gap[short] / expected[short]).median()) < 0.05


def test_durables_are_bought_once(shop: Shop, log: pd.DataFrame) -> None:
    durable = {item for item, days in zip(shop.items.ids, shop.items.cycle, strict=True) if np.isnan(days)}
    orders = log[(log["name"] == events.ORDERED) & log["item"].isin(durable)]
    assert len(orders) > 1000
    assert not orders.duplicated(["customer", "item"]).any()


def test_categories_sell_best_in_their_season() -> None:
    shop = Shop(SHOP, 1, UNTIL, 360)
    log = read(shop, 1000).events.select(["name", "item", "time"]).to_pandas()
    views = log[log["name"] == events.VIEWED]
    items, position = shop.items, views["item"].str[5:].astype(int).to_numpy()
    away = views["time"].dt.day_of_year.to_numpy() - items.peak[items.category[position]]
    assert np.cos(2 * np.pi * away / 365.25).mean() > 0.2


def test_machines_open_at_the_planted_rate(log: pd.DataFrame) -> None:
    opened, delivered = log[log["name"] == events.OPENED], log[log["name"] == events.DELIVERED]
    assert abs(opened["machine"].sum() / len(delivered) - SHOP.machine_mail) < 0.04
    people = (~opened["machine"]).sum() / len(delivered)
    assert abs(people - 2 / 7) < 0.03  # the mean of Beta(2, 5)
    assert log.loc[log["name"] != events.OPENED, "machine"].sum() == 0


def test_spend_has_a_heavy_tail(log: pd.DataFrame) -> None:
    orders = log[log["name"] == events.ORDERED]
    spend = (orders["quantity"] * orders["price"]).groupby(orders["customer"]).sum().sort_values()
    assert spend.tail(len(spend) // 10).sum() > 0.35 * spend.sum()


def test_refunds_return_lines_that_were_ordered(log: pd.DataFrame) -> None:
    orders, refunds = (log[log["name"] == name] for name in (events.ORDERED, events.REFUNDED))
    both = refunds.merge(orders, on=["order_id", "item", "customer"], suffixes=("", "_ordered"))
    assert both["order_id"].nunique() == refunds["order_id"].nunique() > 100
    assert (both["time"] > both["time_ordered"]).all()


def test_the_experiment_is_assigned_by_the_hash(log: pd.DataFrame) -> None:
    seen = log[log["name"] == "Experiment Viewed"].head(200)
    for customer, text in zip(seen["customer"], seen["properties"], strict=True):
        assert f'"variation": "{arm(EXPERIMENT, customer, ARMS)}"' in text


def test_some_lines_name_nobody(log: pd.DataFrame) -> None:
    nobody = log[log["customer"].isna()]
    assert 0 < len(nobody) < 0.1 * len(log)
    assert nobody["anonymous"].notna().all()


def tastes(chunk: Chunk) -> np.ndarray:
    return chunk.tastes.drop_columns(["customer"]).to_pandas().to_numpy()


def counts(log: pd.DataFrame, name: str) -> np.ndarray:
    rows = log[(log["name"] == name) & log["customer"].notna()]
    table = np.zeros((CUSTOMERS, SHOP.items))
    np.add.at(table, (rows["customer"].str[9:].astype(int), rows["item"].str[5:].astype(int)), 1)
    return table


def test_taste_is_found_again_in_the_views(shop: Shop, chunk: Chunk, log: pd.DataFrame) -> None:
    seen = counts(log, events.VIEWED)[:1000]
    known = seen.sum(axis=1) >= 30
    found = infer_taste(SHOP, shop.items, seen[known], shop.first_day + 90)
    true = tastes(chunk)[:1000][known]
    assert np.corrcoef(found.ravel(), true.ravel())[0, 1] > 0.8


def test_popularity_reaches_at_most_six_tenths_of_the_oracle(shop: Shop, log: pd.DataFrame) -> None:
    oracle, popularity, neighbours = recalls(shop, log)
    assert popularity <= 0.6 * oracle
    assert popularity > 0.01
    assert neighbours > 1.2 * popularity


def recalls(shop: Shop, log: pd.DataFrame) -> tuple[float, float, float]:
    """Recall@10 in the next 28 days, repeats allowed, of the oracle, popularity and plain item neighbours."""
    cut = UNTIL - timedelta(days=HORIZON)
    past, future = log[log["time"] < cut], log[log["time"] >= cut]
    seen, orders = counts(past, events.VIEWED), counts(past, events.ORDERED)
    known = orders.sum(axis=1) > 0
    bought = counts(future, events.ORDERED)[known] > 0
    score = expected_orders(
        SHOP, shop.items, History(seen[known], ages(past, cut)[known]), first_and_length(cut), rates(seen)[known]
    )
    popular = np.broadcast_to(orders.sum(axis=0), score.shape)
    mixed = seen + 5 * orders
    norm = np.linalg.norm(mixed, axis=0) + 1e-9
    neighbours = (mixed[known] / norm) @ (mixed.T @ mixed) / norm
    return recall(score, bought), recall(popular, bought), recall(neighbours, bought)


def first_and_length(cut: datetime) -> tuple[float, float]:
    return float(cut.timetuple().tm_yday), float(HORIZON)


def rates(seen: np.ndarray) -> np.ndarray:
    return (seen.sum(axis=1) + 1) / SHOP.views / 150


def ages(past: pd.DataFrame, cut: datetime) -> np.ndarray:
    orders = past[past["name"] == events.ORDERED].groupby(["customer", "item"])["time"].max().reset_index()
    age = np.full((CUSTOMERS, SHOP.items), np.inf)
    where = orders["customer"].str[9:].astype(int), orders["item"].str[5:].astype(int)
    age[where] = (cut - orders["time"]).dt.total_seconds() / 86_400
    return age


def test_a_bigger_shop_begins_with_the_smaller_one(shop: Shop) -> None:
    small, big = read(shop, 700), read(shop, 1300)
    names = small.effects["customer"].unique().to_pylist()
    events_of = big.events.to_pandas()
    events_of = events_of[events_of["customer"].isin(names)].reset_index(drop=True)
    mine = small.events.to_pandas()
    pd.testing.assert_frame_equal(mine[mine["customer"].notna()].reset_index(drop=True), events_of)
    assert big.tastes.slice(0, 700).equals(small.tastes.combine_chunks())


def test_the_same_seed_gives_the_same_bytes(shop: Shop, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write(shop, 300, tmp_path / name, lambda _: None)
    write(replace(shop, seed=2), 300, tmp_path / "other", lambda _: None)
    one, two, other = (digests(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert {"events.parquet", "exposures.parquet", "catalog.csv", "map.yaml"} < set(one)
    assert one["events.parquet"] != other["events.parquet"]


def digests(folder: Path) -> dict[str, str]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_chunks_come_one_at_a_time_however_many_customers(shop: Shop) -> None:
    endless = simulate_events(SHOP, 10**9, 1, UNTIL)
    first = next(endless)
    assert first.schema.equals(events.SCHEMA)
    assert first.num_rows < 200_000
    assert next(chunks(shop, 10**9)).events.equals(first)


def test_messages_are_unique_and_orders_keep_their_lines(chunk: Chunk) -> None:
    keys = chunk.events.select(list(events.KEY)).to_pandas()
    assert not keys.duplicated().any()
    log = chunk.events.select(["name", "message_id", "line", "order_id"]).to_pandas()
    orders = log[log["name"] == events.ORDERED]
    assert orders.groupby("message_id")["order_id"].nunique().max() == 1
    assert orders["line"].max() >= 1


def test_shipped_worlds_keep_their_hash() -> None:
    """Changing a world needs a note in docs/decisions and the old figures run again."""
    assert (SHOP.digest(), NO_EFFECT.digest()) == ("17c01e740ec2", "1c2c0b17bfa7")


def test_an_unknown_world_is_refused() -> None:
    with pytest.raises(ValueError, match="world == 'mars', must be one of"):
        world_named("mars")


def test_memory_does_not_grow_with_the_number_of_customers(tmp_path: Path) -> None:
    few, many = (peak_megabytes(customers, tmp_path / str(customers)) for customers in (2_000, 20_000))
    assert many - few < 60  # the log of 20,000 customers held at once takes more than 200


def peak_megabytes(customers: int, folder: Path) -> float:
    """The peak memory of a process of its own that writes such a simulation."""
    code = (
        "import resource, sys; from datetime import datetime; from pathlib import Path\n"
        "from features.sources.simulator.shop import Shop\n"
        "from features.sources.simulator.world import SHOP\n"
        "from features.sources.simulator.write import write\n"
        "write(Shop(SHOP, 1, datetime(2026, 1, 1), 180), int(sys.argv[1]), Path(sys.argv[2]), lambda _: None)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)\n"
    )
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", code, str(customers), str(folder)]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=120)
    return float(done.stdout)


def attune(*arguments: object) -> subprocess.CompletedProcess[str]:
    code = "from serving.cli import main; main()"
    command = [sys.executable, "-c", code, *map(str, arguments)]
    root = Path(__file__).parents[3]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False, timeout=120)


def test_the_verb_writes_the_folder_and_says_what_is_in_it(tmp_path: Path) -> None:
    done = attune("simulate", tmp_path / "out", "--customers", 40, "--until", "2025-07-01", "--world", "no-effect")
    assert done.returncode == 0, done.stderr
    written = pq.read_table(tmp_path / "out" / "events.parquet")
    assert f"{written.num_rows:,} events" in done.stdout
    assert NO_EFFECT.digest() in done.stdout
    assert pc.max(written["time"]).as_py() < datetime(2025, 7, 1)
    assert pq.read_table(tmp_path / "out" / "exposures.parquet").num_rows == 40


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--customers", "0"], "customers == 0"),
        (["--days", "10"], "days == 10"),
        (["--seed", "-1"], "seed == -1"),
        (["--world", "mars"], "world == 'mars'"),
    ],
)
def test_the_verb_refuses_in_one_line(options: list[str], said: str, tmp_path: Path) -> None:
    done = attune("simulate", tmp_path / "out", *options)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stdout == ""
    assert not (tmp_path / "out").exists()


def test_the_verb_describes_a_world_by_its_parameters_and_hash() -> None:
    described = json.loads(attune("simulate", "--describe").stdout)
    assert described.pop("hash") == SHOP.digest()
    assert World(**described) == SHOP


def test_the_experiments_lift_is_in_the_log() -> None:
    assert 1.3 < order_ratio(0.6) < 1.9
    assert 0.85 < order_ratio(0.0) < 1.15


def order_ratio(experiment_lift: float) -> float:
    """Orders of the exposed customers, treatment over control, between the experiment's start and the campaign's."""
    world = replace(SHOP, experiment_lift=experiment_lift, repeat=0.0)
    log = read(Shop(world, 1, UNTIL, 180), 4000).events.select(["name", "customer", "time", "properties"]).to_pandas()
    seen = log[log["name"] == "Experiment Viewed"].set_index("customer")
    treated = seen["properties"].str.contains("treatment")
    inside = log["time"].between(UNTIL - timedelta(days=60), UNTIL - timedelta(days=21))
    orders = log[(log["name"] == events.ORDERED) & inside]["customer"].map(treated).dropna().astype(bool)
    return float(orders.sum() / (~orders).sum() / (treated.sum() / (~treated).sum()))


def test_the_shop_is_busier_before_christmas_than_in_june() -> None:
    log = read(Shop(SHOP, 1, UNTIL, 360), 2000).events.select(["name", "customer", "time"]).to_pandas()
    known = log[log["name"] == events.IDENTIFIED].set_index("customer")["time"]
    early = known.index[known < UNTIL - timedelta(days=350)]
    month = log[(log["name"] == events.VIEWED) & log["customer"].isin(early)]["time"].dt.month
    ratio = (month == 12).sum() / (month == 6).sum() * 30 / 31
    assert abs(ratio - 1.25 / 0.75) < 0.25
