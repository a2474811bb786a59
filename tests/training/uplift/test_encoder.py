"""Two towns and an age, of which one each is unknown; Ulm was never seen in training."""

import numpy as np
import pandas as pd
import pytest

from features.table import Feature, FeatureTable
from training.uplift.encoder import Encoder, one_row


def table(**columns: object) -> FeatureTable:
    frame = pd.DataFrame(columns)
    return FeatureTable(frame, tuple(Feature(name, "own", "", f"{name}.") for name in frame.columns))


@pytest.mark.parametrize("dtype", ["object", "str", "category"])
def test_codes_are_numbers_as_they_are_and_places_of_categories_seen_in_training(dtype: str) -> None:
    seen = table(age=[30.0, np.nan, 50.0], town=pd.Series(["Köln", None, "Bonn"], dtype=dtype))
    asked = table(age=[np.inf, 1.5, np.nan, 2], town=pd.Series(["Bonn", "Ulm", None, "Köln"], dtype=dtype))
    encoder = Encoder.of_codes(seen)
    np.testing.assert_array_equal(encoder.codes(seen), [[30, 1], [np.nan, np.nan], [50, 0]])
    np.testing.assert_array_equal(encoder.codes(asked), [[np.nan, 0], [1.5, np.nan], [np.nan, np.nan], [2, 1]])


def test_days_are_categories_seen_in_training_too() -> None:
    days = table(day=pd.to_datetime(["2024-01-02", "2024-01-01", "2024-01-02"]))
    np.testing.assert_array_equal(Encoder.of_codes(days).codes(days)[:, 0], [1, 0, 1])


def test_an_encoder_kept_as_json_gives_the_same() -> None:
    seen = table(age=[30.0, np.nan, 50.0], town=["Köln", None, "Bonn"])
    encoder = Encoder.fit(seen)
    kept = Encoder.from_json(encoder.to_json())
    np.testing.assert_array_equal(kept.linear(seen), encoder.linear(seen))
    np.testing.assert_array_equal(kept.codes(seen), encoder.codes(seen))


@pytest.mark.parametrize("age", [30.0, 7, None, float("inf"), "41.5"])
@pytest.mark.parametrize("town", ["Köln", "Ulm", None, 3.0])
def test_plain_values_are_encoded_as_a_table_of_one_row(age: float | str | None, town: float | str | None) -> None:
    encoder = Encoder.fit(table(age=[30.0, np.nan, 50.0], town=["Köln", None, "Bonn"]))
    values = {"town": town, "age": age}
    np.testing.assert_array_equal(encoder.linear_row(values), encoder.linear(one_row(values)))


@pytest.mark.parametrize(
    "values", [{"age": "old", "town": "Bonn"}, {"age": 3.0}, {"age": 3.0, "town": "", "shoe": 1.0}]
)
def test_plain_values_are_refused_in_the_words_for_a_table(values: dict[str, float | str | None]) -> None:
    encoder = Encoder.fit(table(age=[30.0, np.nan, 50.0], town=["Köln", None, "Bonn"]))
    with pytest.raises(ValueError, match=r"feature table") as ours:
        encoder.linear_row(values)
    with pytest.raises(ValueError, match=r"feature table") as theirs:
        encoder.linear(one_row(values))
    assert str(ours.value) == str(theirs.value)
