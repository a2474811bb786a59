"""Two towns and an age, of which one each is unknown; Ulm was never seen in training."""

import numpy as np
import pandas as pd
import pytest

from features.table import Feature, FeatureTable
from training.uplift.encoder import Encoder


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
