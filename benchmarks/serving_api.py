"""Api: the top 10 as a default BentoML `@api`, and a service that does nothing; `bentoml serve` runs either."""

from __future__ import annotations

from typing import Any

import bentoml

from benchmarks.serving_peers import Factors, K


@bentoml.service(workers=2)
class Recommender:
    def __init__(self) -> None:
        self.factors = Factors.here()

    @bentoml.api
    def recommend(self, customer: str, k: int = K) -> list[dict[str, Any]]:
        return self.factors.best(customer, k)


@bentoml.service(workers=2)
class Empty:
    @bentoml.api
    def nothing(self) -> str:
        return ""
