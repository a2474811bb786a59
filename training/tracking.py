"""The only module that writes to MLflow: runs, what they measured, and registered models without a pickle.

Tracking goes to MLFLOW_TRACKING_URI, else to `mlruns/mlflow.db` of this checkout; what is logged holds no customer.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from mlflow import MlflowClient

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("recommender", "uplift")
CHAMPION = "champion"


@dataclass(frozen=True)
class Version:
    """A registered model: `alias` is `champion` where it serves, else empty."""

    kind: str
    version: int
    run_id: str
    alias: str
    metrics: Mapping[str, float]
    params: Mapping[str, str]


class Run:
    """A run that is open."""

    def __init__(self, kind: str, run_id: str) -> None:
        self.kind, self.run_id = kind, run_id

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Aggregates only; values that are not finite are left out."""
        import math

        import mlflow

        mlflow.log_metrics({name: float(value) for name, value in metrics.items() if math.isfinite(value)})

    def log_file(self, path: Path) -> None:
        import mlflow

        mlflow.log_artifact(str(path))

    def log_json(self, value: Mapping[str, Any], name: str) -> None:
        import mlflow

        mlflow.log_dict(dict(value), name)

    def register(self, folder: Path, example: pd.DataFrame, answer: pd.DataFrame) -> int:
        """Registers the model's folder (`model.json` and `model/`) under the run's kind; the new version's number."""
        import mlflow
        from mlflow.models import infer_signature

        logged = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("pyfunc.py")),
            artifacts={"model": str(folder)},
            code_paths=[str(ROOT / "features"), str(ROOT / "training")],
            signature=infer_signature(example, answer),
            input_example=None,
            registered_model_name=self.kind,
            pip_requirements=["-r", str(ROOT / "requirements.lock")],
        )
        return int(logged.registered_model_version)


def uri() -> str:
    """Where runs are tracked."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{ROOT / 'mlruns' / 'mlflow.db'}"


@contextmanager
def start(kind: str, *, params: Mapping[str, Any], fingerprint: str) -> Iterator[Run]:
    """A run under the experiment of this kind; it ends with the block, failed when the block raises."""
    import mlflow

    experiment = _experiment(kind)
    with mlflow.start_run(experiment_id=experiment) as active:
        mlflow.log_params({name: str(value)[:500] for name, value in params.items()})
        mlflow.set_tag("data_fingerprint", fingerprint)
        yield Run(kind, active.info.run_id)


def versions(kind: str) -> list[Version]:
    """The registered models of this kind, newest first."""
    client = _client()
    found = []
    for model in client.search_model_versions(f"name = '{kind}'"):
        run_id = str(model.run_id)
        run = client.get_run(run_id).data
        alias = CHAMPION if CHAMPION in client.get_model_version(kind, model.version).aliases else ""
        found.append(Version(kind, int(model.version), run_id, alias, run.metrics, run.params))
    return sorted(found, key=lambda version: -version.version)


def find(kind: str, version: str) -> Version:
    """The registered model with this number, or the `latest`; an error that names what there is."""
    if kind not in KINDS:
        raise ValueError(f"model == {kind!r}, must be one of {list(KINDS)}")
    known = versions(kind)
    if not known:
        raise ValueError(f"{kind} has no version yet; run `attune train {kind}`")
    if version == "latest":
        return known[0]
    for one in known:
        if str(one.version) == version:
            return one
    raise ValueError(f"version == {version!r}, {kind} has {[one.version for one in reversed(known)]} (or `latest`)")


def download(version: Version, folder: Path) -> Path:
    """The registered model's own folder (`model.json` and `model/`), copied below `folder`."""
    import mlflow

    _client()
    local = mlflow.artifacts.download_artifacts(f"models:/{version.kind}/{version.version}", dst_path=str(folder))
    (found,) = [path.parent for path in Path(local).rglob("model.json")]
    return found


def evaluation(version: Version) -> dict[str, Any]:
    """The run's `evaluation.json`."""
    import mlflow

    path = mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path="evaluation.json")
    found: dict[str, Any] = json.loads(Path(path).read_text())
    return found


def crown(version: Version, tags: Mapping[str, str]) -> None:
    """Moves the alias `champion` to this version, with what was said about it."""
    client = _client()
    for name, value in tags.items():
        client.set_model_version_tag(version.kind, str(version.version), name, value)
    client.set_registered_model_alias(version.kind, CHAMPION, str(version.version))


def fingerprint(parts: Sequence[bytes]) -> str:
    """A name for the data that a run learned from."""
    import hashlib

    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def _client() -> MlflowClient:
    import logging

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    (ROOT / "mlruns").mkdir(exist_ok=True)
    mlflow.set_tracking_uri(uri())
    return mlflow.MlflowClient()


def _experiment(kind: str) -> str:
    client = _client()
    name = f"attune-{kind}"
    if found := client.get_experiment_by_name(name):
        return str(found.experiment_id)
    location = None if "MLFLOW_TRACKING_URI" in os.environ else (ROOT / "mlruns" / "artifacts" / kind).as_uri()
    return str(client.create_experiment(name, artifact_location=location))
