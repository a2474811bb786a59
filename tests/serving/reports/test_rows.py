"""The CSV of a report holds each of its values once, and nothing that a spreadsheet would run."""

import csv
import io
from typing import Any

from serving.reports.rows import NAMES, csv_of

REPORT: dict[str, Any] = {
    "experiment": "badge",
    "arms": [
        {"arm": "control", "customers": 3, "metrics": {"revenue": {"mean": 0.5}}},
        {"arm": "treatment", "customers": 4, "metrics": {"revenue": {"mean": 1.0, "lower": None}}},
    ],
    "curve": {"times": [0.0, 1.5], "survival": [1.0, 0.25]},
    "campaigns": {"=cmd|' /C calc'!A0": 1, "+1": "-2 of it"},
}


def test_each_value_is_a_row_that_says_where_it_stands() -> None:
    rows = list(csv.reader(io.StringIO(csv_of(REPORT))))
    assert rows[0] == list(NAMES)
    assert rows[1:] == [
        ["report", "", "experiment", "badge"],
        ["arms", "control", "arm", "control"],
        ["arms", "control", "customers", "3"],
        ["arms", "control / metrics / revenue", "mean", "0.5"],
        ["arms", "treatment", "arm", "treatment"],
        ["arms", "treatment", "customers", "4"],
        ["arms", "treatment / metrics / revenue", "mean", "1.0"],
        ["arms", "treatment / metrics / revenue", "lower", ""],
        ["curve", "times", "0", "0.0"],
        ["curve", "times", "1", "1.5"],
        ["curve", "survival", "0", "1.0"],
        ["curve", "survival", "1", "0.25"],
        ["campaigns", "", "'=cmd|' /C calc'!A0", "1"],
        ["campaigns", "", "'+1", "'-2 of it"],
    ]
