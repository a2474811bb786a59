"""Mlflow: writes the top 10 as a `pyfunc` model, for `mlflow models serve`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd

from benchmarks.serving_peers import Factors, K


class Recommender(mlflow.pyfunc.PythonModel):
    """One row a customer."""

    def load_context(self, context: Any) -> None:
        self.factors = Factors(Path(context.artifacts["arrays"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> list[Any]:
        return [self.factors.best(customer, K) for customer in model_input["customer"]]


if __name__ == "__main__":
    arrays, folder = Path(sys.argv[1]), Path(sys.argv[2])
    mlflow.pyfunc.save_model(
        folder, python_model=Recommender(), artifacts={"arrays": str(arrays)}, code_paths=["benchmarks"]
    )
