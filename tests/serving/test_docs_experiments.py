"""The files of docs/experiments.md are valid, and are measured as it says."""

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
from typer.testing import CliRunner

from features.assignment import bucket
from features.workspace import Workspace, create
from serving.cli import app
from serving.decisions.assign import assign
from serving.decisions.requests import AssignRequest
from serving.decisions.state import State
from serving.experiments.assignment import arm_of, arm_sql, outside
from serving.experiments.definitions import Experiment, read_experiments
from serving.experiments.metrics import Measure, Metric, chosen, read_metrics, standard

PAGE = (Path(__file__).parents[2] / "docs" / "experiments.md").read_text()


def test_the_files_of_the_page_are_an_experiment_and_its_metrics(tmp_path: Path) -> None:
    shop = create(tmp_path / "shop").folder
    for name, text in re.findall(r"^```yaml (\S+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL):
        (shop / name).write_text(text)
    experiment, known = read_experiments(shop)["checkout-badge"], read_metrics(shop)
    assert [one.key for one in chosen(known, experiment.measured, "the page")] == [
        "conversion-rate", "revenue", "wishes", "unsubscribe-rate", "complaint-rate",
    ]  # fmt: skip
    assert known["app-order-value"].kind == "ratio"
    plain = Experiment(key="plain", arms={"a": 0.5, "b": 0.5})
    assert (plain.primary, plain.guardrails) == (experiment.primary, experiment.guardrails)
    assert "`repeat-purchase-rate` and `time-to-conversion` are secondary" in PAGE
    assert plain.secondary == ("repeat-purchase-rate", "time-to-conversion")


def test_every_standard_metric_and_every_field_is_on_the_page() -> None:
    rows = "\n".join(re.findall(r"^\|.*", PAGE, flags=re.MULTILINE))
    named = set(re.findall(r"`([a-z_-]+)`", rows))
    assert named >= standard().keys()
    assert named >= Measure.model_fields.keys()
    own = Metric.model_fields.keys() - {"key", "name", "kind", "numerator", "denominator", "window_days"}
    assert named >= own


def test_the_design_of_the_page_is_answered_and_drawn_as_it_says(tmp_path: Path) -> None:
    shop = create(tmp_path / "shop")
    for name, text in re.findall(r"^```yaml (\S+)\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL):
        with (shop.folder / name).open("a" if name == "attune.yaml" else "w") as file:
            file.write(text)
    state = State.rules(Workspace.open(shop.folder))
    test, holdout = state.experiments["page-layout"], state.settings.holdout
    customers = [f"c{number}" for number in range(500)]
    (sql,) = re.findall(r"^```sql\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    told = CliRunner().invoke(app, ["experiment", "sql", test.key, "-w", str(shop.folder)], catch_exceptions=False)
    assert told.stdout.strip() == arm_sql(test, "duckdb", holdout=holdout)
    assert told.stdout.strip() in sql
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE customers AS SELECT unnest(?) AS customer", [customers])
        drawn = dict(connection.execute(sql).fetchall())
    assert drawn == {one: None if outside(test, one, holdout) else arm_of(test, one) for one in customers}
    assert set(drawn.values()) == {"old", "new", None}
    during, reasons = datetime(2026, 3, 10, tzinfo=UTC), set[str]()
    for now in (during - timedelta(days=30), during, during + timedelta(days=30)):
        for customer in customers[:100]:
            answer = assign(state, test.key, AssignRequest(customer=customer), "d", now)[1]
            assert (answer["arm"], answer["in_experiment"]) == ("old", False)  # nobody here agreed to analytics
            reasons.add(answer["reason"].removeprefix("not in the experiment: ").partition(";")[0])
    said = set(re.findall(r"`([^`\n]+)`", PAGE))
    assert len(reasons) == 5
    assert reasons <= said


def test_the_vectors_of_the_page_are_those_of_the_hash() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| `([^`]+)` \| ([0-9.]+) \| ([0-9]+) \|$", PAGE, flags=re.MULTILINE)
    assert len(rows) == 3
    for salt, customer, place, bits in rows:
        assert (f"{bucket(salt, customer):.12f}", int(bucket(salt, customer) * 2**52)) == (place, int(bits))


def test_every_key_of_an_experiment_is_on_the_page() -> None:
    keys = set(re.findall(r"^([a-z_]+):", PAGE, flags=re.MULTILINE)) | set(re.findall(r"`([a-z_]+)`", PAGE))
    assert keys >= Experiment.model_fields.keys()
