"""What a training run found, and what it leaves.

In `workspace.runs / run_id` (per-customer parts never leave the workspace): `interactions.npz` (the histories that the
release answers from), `evaluation.npz` (`customers`, how many items in the `history` of each, and per model
`MODEL:PART:METRIC` and `MODEL:age:GROUP`) and `sample.json` (what each model says to ten customers).
`evaluation.json`, aggregates only, goes to MLflow.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.interactions import Interactions
from features.workspace import InteractionSettings, Workspace
from training import registration, tracking
from training.cost import Cost
from training.pipelines.recommend_evaluation import METRICS, PARTS, Judged
from training.pipelines.recommend_sample import FILE as SAMPLE
from training.pipelines.recommend_summary import METRIC
from training.pipelines.recommend_tuning import Tuned
from training.recommenders.base import ItemFilter, Recommender
from training.recommenders.own import Own, parameters
from training.registration import EVALUATION, KEPT, REGISTERED, Finished, Registered
from training.release import save_model
from training.tracking import Attempted

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Trained:
    """What one training run found: the model fitted on all events, its evidence and the aggregates."""

    model: Recommender
    interactions: Interactions
    customers: tuple[str, ...]
    judged: Mapping[str, Judged]
    evaluation: Mapping[str, Any]
    as_of: datetime
    history: NDArray[np.int64]  # items that each customer had met before the test period
    costs: Mapping[str, Costs] = field(default_factory=dict)  # apart: they differ from run to run
    sample: Sequence[Mapping[str, Any]] = ()  # customers for a person to look at
    weighed: InteractionSettings = field(default_factory=InteractionSettings)  # how events became the interactions
    tuned: Tuned | None = None


@dataclass(frozen=True)
class Costs:
    """What one model took on [start, test): to fit, and to answer the customers of the test period in every part."""

    fit: Cost
    answer: Cost

    def figures(self) -> dict[str, float]:
        """The numbers that a run logs."""
        peak = max(self.fit.memory_mb, self.answer.memory_mb)
        return {"fit_cpu_s": self.fit.cpu_s, "answer_cpu_s": self.answer.cpu_s, "memory_mb": peak}


def register(trained: Trained, workspace: Workspace, *, seed: int) -> Registered:
    """The run in MLflow with the per-customer parts in the workspace; what was registered before stays as it is."""
    name, evaluation = trained.model.name, trained.evaluation
    params = {"model": name, "seed": seed, **parameters(trained.model), **_settings(workspace)}
    own = Own.of(workspace)
    code = {own.path(name): own.code(name)} if own.is_own(name) else {}
    weighed = trained.weighed.model_dump()
    params |= {f"interactions_{name}": value for name, value in weighed.items()}
    facts: dict[str, Any] = {"kind": "recommender", "name": name, "as_of": trained.as_of.isoformat()}
    facts |= {"params": params, "interactions": weighed}
    metrics, mark = _flat(evaluation["models"]) | _costs(trained.costs), fingerprint(trained.interactions)
    with registration.building(workspace) as folder:
        _keep(trained, folder / KEPT)
        _plot(evaluation, folder / "models.png")
        save_model(trained.model, folder / REGISTERED, facts)
        finished = Finished("recommender", params, mark, metrics, *_example(trained.model), code, _trials(trained))
        return registration.register(workspace, finished, folder)


def _trials(trained: Trained) -> list[Attempted]:
    """The attempts of the tuning, for MLflow."""
    if trained.tuned is None:
        return []
    return [
        Attempted(f"{stage} {number}", {"model": stage, **attempt.given}, {METRIC: attempt.value})
        for stage, made in trained.tuned.attempts.items()
        for number, attempt in enumerate(made)
    ]


def fingerprint(interactions: Interactions) -> str:
    """A name for the data: the same log has the same."""
    log = interactions.bought_together
    arrays = (interactions.customers, log.items, log.customer, log.item, log.weight)
    return tracking.fingerprint([array.tobytes() for array in arrays])


def _settings(workspace: Workspace) -> dict[str, Any]:
    return {f"setting_{name}": value for name, value in workspace.settings.recommender.model_dump().items()}


def _flat(models: Mapping[str, Any]) -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, figures in models.items():
        for part in PARTS:
            flat |= {f"{name}.{part}.{metric}": value for metric, value in figures[part].items() if value is not None}
        flat[f"{name}.coverage"] = figures["coverage"]
    return flat


def _costs(costs: Mapping[str, Costs]) -> dict[str, float]:
    return {f"{name}.{figure}": value for name, took in costs.items() for figure, value in took.figures().items()}


def _keep(trained: Trained, folder: Path) -> None:
    trained.interactions.save(folder)
    rows = {
        f"{name}:{part}:{metric}": found.values[part][metric]
        for name, found in trained.judged.items()
        for part in PARTS
        for metric in METRICS
    }
    rows |= {
        f"{name}:age:{age}": recall for name, found in trained.judged.items() for age, recall in found.by_age.items()
    }
    customers = np.array(trained.customers, dtype=np.str_)
    np.savez_compressed(folder / "evaluation.npz", customers=customers, history=trained.history, **rows)  # type: ignore[arg-type]  # numpy types the keyword `allow_pickle` among them
    (folder / EVALUATION).write_text(json.dumps(trained.evaluation, indent=1) + "\n", encoding="utf-8")
    (folder / SAMPLE).write_text(json.dumps(trained.sample, indent=1) + "\n", encoding="utf-8")


def _plot(evaluation: Mapping[str, Any], path: Path) -> None:
    import altair as alt
    import pandas as pd

    rows = [
        {"model": name, "value": figures["all"][METRIC], **figures["interval"]}
        for name, figures in evaluation["models"].items()
    ]
    base = alt.Chart(pd.DataFrame(rows)).encode(y=alt.Y("model:N", sort="-x", title=None))
    bars = base.mark_bar().encode(x=alt.X("value:Q", title=evaluation["unit"]))
    whiskers = base.mark_rule(strokeWidth=2).encode(x="lower:Q", x2="upper:Q")
    (bars + whiskers).properties(width=480, title="Recommenders on the test period").save(path, scale_factor=2)


def _example(model: Recommender) -> tuple[pd.DataFrame, pd.DataFrame]:
    """One history and its answer, from which MLflow reads the signature; names items, no customer."""
    import pandas as pd

    nobody = np.empty(0, dtype=np.int32)
    never, none = np.empty(0, dtype="M8[us]"), np.empty(0, dtype=np.float32)
    empty = np.array([""], dtype=np.str_)
    history = Interactions(empty, np.empty(0, dtype=np.str_), nobody, nobody, none, none, never, never)
    items = model.recommend_for(history, 10, items=ItemFilter(), as_of=None).items[0].tolist()
    return pd.DataFrame({"history": [items[:2]]}), pd.DataFrame({"items": [items]})
