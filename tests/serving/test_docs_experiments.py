"""The files of docs/experiments.md are valid, and are measured as it says."""

import re
from pathlib import Path

from features.workspace import create
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
