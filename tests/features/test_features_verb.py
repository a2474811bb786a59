"""`attune features` on a workspace with a simulated log: what it prints and what it writes."""

from __future__ import annotations

from datetime import datetime

import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from features import history
from features.cli import app
from features.consent import Basis, grant, withdraw
from features.events import SCHEMA
from features.ledger import Ledger
from features.sources.simulator.shop import simulate_events
from features.sources.simulator.world import world_named
from features.workspace import Workspace, create

END = datetime(2025, 6, 1)  # tables keep UTC without a zone
RUNNER = CliRunner()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """30 customers who agreed to analytics after the log's end, at the import; then the first changed her mind."""
    folder = tmp_path_factory.mktemp("features") / "shop"
    create(folder)
    workspace = Workspace.open(folder)
    log = pa.concat_tables(list(simulate_events(world_named("shop"), 30, 3, END))).cast(SCHEMA)
    customers = sorted(set(log["customer"].drop_null().to_pylist()))
    ledger = Ledger.at(workspace.ledger)
    grant(ledger, customers, Basis(("analytics",), "a form"), source="simulator", time=datetime(2025, 6, 2))
    withdraw(ledger, customers[0], ["analytics"], source="form", time=datetime(2025, 6, 3))
    with history.locked(workspace):
        history.append(workspace, log)
    return folder, customers


def features(folder, *options):
    return RUNNER.invoke(app, ["features", "-w", str(folder), *options])


def test_each_column_is_described_with_its_family_unit_and_a_sentence(shop):
    lines = features(shop[0], "--describe").stdout.splitlines()
    revenue = next(line for line in lines if line.startswith("revenue "))
    assert revenue.split(maxsplit=3)[1:] == ["spend", "EUR", "Quantity times price of all orders, less refunds."]
    assert [line.split()[0] for line in lines][-3:] == ["age_group", "city", "newsletter"]


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_the_table_is_written_with_those_who_agreed(shop, tmp_path, ending):
    folder, customers = shop
    path = tmp_path / f"table.{ending}"
    done = features(folder, "--out", str(path), "--as-of", "2025-06-01")
    assert done.exit_code == 0, done.output
    table = pd.read_parquet(path) if ending == "parquet" else pd.read_csv(path)
    assert table["customer"].tolist() == customers[1:]
    described = features(folder, "--describe").stdout.splitlines()
    assert list(table.columns) == ["customer", *(line.split()[0] for line in described)]
    assert "1 of 30 customers left out (no consent to analytics)" in done.stdout
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_a_summary_says_for_how_many_each_feature_is_known(shop):
    lines = features(shop[0], "--as-of", "2025-06-01").stdout.splitlines()
    assert "29 customers, 40 features as of 2025-06-01 00:00:00" in lines
    assert next(line for line in lines if line.startswith("city ")).split()[1:4] == ["known", "100%", "mostly"]


def test_before_the_first_event_nobody_is_known(shop):
    assert "0 customers" in features(shop[0], "--as-of", "2020-01-01").stdout.splitlines()


@pytest.mark.parametrize(
    ("name", "reason"), [("table.xlsx", "must end with one of"), ("no/table.csv", "there is no folder")]
)
def test_a_file_that_cannot_be_written_is_refused_before_any_work(shop, tmp_path, name, reason):
    with pytest.raises(ValueError, match=reason):
        RUNNER.invoke(app, ["features", "-w", str(shop[0]), "--out", str(tmp_path / name)], catch_exceptions=False)
