"""Definitions of metrics: the standard ones, those of a workspace, and what is wrong with them in one line."""

from pathlib import Path

import pytest

from serving.experiments.metrics import chosen, read_metrics, standard

SEVEN = {
    "open-rate", "click-through-rate", "conversion-rate", "revenue", "repeat-purchase-rate", "time-to-conversion",
    "lifetime-value",
}  # fmt: skip
OWN = """
metrics:
  - {key: revenue, name: Money of tea, numerator: {event: Order Completed, sum: money, where: {item: tea}}}
  - {key: wishes, name: Wishes, numerator: {event: Wished}}
"""


def written(folder: Path, text: str) -> Path:
    (folder / "metrics.yaml").write_text(text)
    return folder


def test_the_seven_of_marketing_and_what_a_campaign_must_not_harm_are_there(tmp_path: Path) -> None:
    assert read_metrics(tmp_path).keys() >= SEVEN | {"unsubscribe-rate", "complaint-rate", "open-rate-machines"}


def test_a_workspaces_own_stand_beside_the_standard_ones_or_in_their_place(tmp_path: Path) -> None:
    found = read_metrics(written(tmp_path, OWN))
    assert found["wishes"].numerator.event == "Wished"
    assert found["revenue"].name == "Money of tea"
    assert found["revenue"].hash != standard()["revenue"].hash
    assert found["open-rate"].hash == standard()["open-rate"].hash
    with pytest.raises(ValueError, match=r"there is no metric 'revenu'; there are .*wishes"):
        chosen(found, ["revenu"], "experiment 'x'")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{key: r, name: R, kind: ratio, numerator: {event: A}}", "'r' of kind 'ratio' needs a denominator"),
        ("{key: r, name: R, numerator: {event: A}, denominator: {event: B}}", "has no denominator, only a ratio has"),
        ("{key: r, name: R, per: session, numerator: {event: A}}", "session is not what an experiment draws"),
        ("{key: r, name: R, kind: value, numerator: {event: A}}", "needs a numerator of money"),
        ("{key: r, name: R, numerator: {event: A, sum: money, distinct: item}}", "sum must be 'count'"),
        ("{key: r, name: R, numerator: {event: A, less: B}}", "takes off money or quantity"),
        ("{key: r, name: R, horizon_days: 9, numerator: {event: A}}", "has no horizon_days, only a value has"),
        (
            "{key: r, name: R, by: channel, numerator: {event: A, where: {channel: web}}}",
            "'r' is by channel, so its measures cannot be where channel is one",
        ),
        ("{key: r, name: R, numerator: {evnt: A}}", "did you mean 'event'"),
        ("{key: r, name: R, cap: 1, numerator: {event: A, sum: money}}", "cap == 1"),
        (
            "{key: r, name: R, numerator: {event: A}}\n  - {key: r, name: S, numerator: {event: B}}",
            "['r'] are there twice",
        ),
    ],
)
def test_what_is_wrong_with_a_definition_is_one_line(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"metrics\.yaml") as told:
        read_metrics(written(tmp_path, f"metrics:\n  - {line}\n"))
    assert said in str(told.value)
    assert "\n" not in str(told.value)
