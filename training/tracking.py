"""The only module that writes to MLflow: runs, what they measured, and registered models without a pickle.

Tracking goes to the folder ATTUNE_MLRUNS, else to MLFLOW_TRACKING_URI, else to `mlruns/` of this checkout; artefacts of
a SQLite store lie in `artifacts/` beside it, wherever the command was run from. What is logged holds no customer.
"""

from __future__ import annotations

import fcntl
import json
import logging
import math
import os
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from mlflow import MlflowClient

SQLITE = "sqlite:///"
ROOT = Path(__file__).resolve().parent.parent
KINDS = ("recommender", "uplift")
CHAMPION, CHALLENGER = "champion", "challenger"
CONTENT = "content"  # the tag of a version
WORKSPACE = "workspace"  # the tag of a run: the folder that it was trained in
CODE = ("features", "training")  # what a registered model carries along


@dataclass(frozen=True)
class Version:
    """A registered model: `alias` is `champion` or `challenger` where it serves, else empty."""

    kind: str
    version: int
    run_id: str
    alias: str
    metrics: Mapping[str, float]
    params: Mapping[str, str]
    fingerprint: str = ""  # of the data it learned from
    content: str = ""  # what `content` said of all that it holds
    workspace: str = ""  # the folder that it was trained in; empty where its run does not say it


@dataclass(frozen=True)
class Attempted:
    """What a run tried on its way: a run of its own below it."""

    name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]


class Run:
    """A run that is open."""

    def __init__(self, kind: str, run_id: str) -> None:
        self.kind, self.run_id = kind, run_id

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        """Aggregates only; values that are not finite are left out."""
        import mlflow

        mlflow.log_metrics({name: float(value) for name, value in metrics.items() if math.isfinite(value)})

    def log_attempts(self, attempts: Sequence[Attempted]) -> None:
        """Each as a run nested under this one."""
        import mlflow

        experiment = _experiment(self.kind)
        for attempt in attempts:
            with mlflow.start_run(experiment_id=experiment, nested=True, run_name=attempt.name):
                mlflow.log_params({name: str(value)[:500] for name, value in attempt.params.items()})
                self.log_metrics(attempt.metrics)

    def log_file(self, path: Path) -> None:
        import mlflow

        mlflow.log_artifact(str(path))

    def register(
        self,
        folder: Path,
        example: pd.DataFrame,
        answer: pd.DataFrame,
        *,
        content: str = "",
        own: Mapping[str, Path] | None = None,
    ) -> int:
        """Registers the model's folder (`model.json` and `model/`) under the run's kind; the new version's number.

        What is kept as the input example is one row that stands for nobody: see `typical`. `own`: the user's classes
        that the model needs, each with the code that is carried along.
        """
        import mlflow
        from mlflow.models import infer_signature

        with _one_at_a_time(), _own_words_only():
            logged = mlflow.pyfunc.log_model(
                name="model",
                python_model=str(Path(__file__).with_name("pyfunc.py")),
                artifacts={"model": str(folder)},
                code_paths=[*(str(ROOT / package) for package in CODE), *map(str, (own or {}).values())],
                model_config={"own": list(own or {})},
                signature=infer_signature(example, answer),
                input_example=typical(example),
                registered_model_name=self.kind,
                pip_requirements=_requirements(),
            )
            version = str(logged.registered_model_version)
            mlflow.MlflowClient().set_model_version_tag(self.kind, version, CONTENT, content)
        return int(version)


def typical(frame: pd.DataFrame) -> pd.DataFrame:
    """One row: the median of each number, the most frequent of anything else; no row of a customer."""
    values = {name: [_middle(column.dropna())] for name, column in frame.items() if column.notna().any()}
    return pd.DataFrame(values).reindex(columns=frame.columns)


def _middle(column: pd.Series[Any]) -> Any:
    if pd.api.types.is_numeric_dtype(column):
        return float(column.median())
    words = column.astype(str)  # lists cannot be counted as they are
    return column[words == words.mode().iat[0]].iat[0]


def uri() -> str:
    """Where runs are tracked."""
    folder = os.environ.get("ATTUNE_MLRUNS")
    default = f"{SQLITE}{Path(folder or ROOT / 'mlruns').resolve() / 'mlflow.db'}"
    return default if folder else os.environ.get("MLFLOW_TRACKING_URI") or default


@contextmanager
def start(kind: str, *, params: Mapping[str, Any], fingerprint: str, workspace: str = "") -> Iterator[Run]:
    """A run under the experiment of this kind; it ends with the block, failed when the block raises."""
    experiment = _experiment(kind)
    import mlflow

    with mlflow.start_run(experiment_id=experiment) as active:
        mlflow.log_params({name: str(value)[:500] for name, value in params.items()})
        mlflow.set_tags({"data_fingerprint": fingerprint, WORKSPACE: workspace})
        yield Run(kind, active.info.run_id)
        mlflow.log_metric("cpu_seconds", time.process_time())  # of the whole process: training is what it is for


def versions(kind: str) -> list[Version]:
    """The registered models of this kind, newest first."""
    require_kind(kind)
    client = _client()
    found = []
    for model in client.search_model_versions(f"name = '{kind}'"):
        run_id = str(model.run_id)
        run = client.get_run(run_id).data
        aliases = client.get_model_version(kind, model.version).aliases
        alias = next((one for one in (CHAMPION, CHALLENGER) if one in aliases), "")
        told = run.tags.get("data_fingerprint", "")
        held = str(model.tags.get(CONTENT, ""))
        place = run.tags.get(WORKSPACE, "")
        found.append(Version(kind, int(model.version), run_id, alias, run.metrics, run.params, told, held, place))
    return sorted(found, key=lambda version: -version.version)


def find(kind: str, version: str) -> Version:
    """The registered model with this number; an error that names what there is."""
    known = _some_versions(kind)
    for one in known:
        if str(one.version) == version:
            return one
    raise ValueError(f"version == {version!r}, {kind} has {[one.version for one in reversed(known)]} (or `latest`)")


def latest(kind: str, runs: Path) -> Version:
    """The newest registered model that was trained in the workspace of these runs; an error where none was."""
    known = _some_versions(kind)
    for one in known:
        if trained_in(runs, one):
            return one
    numbers = [one.version for one in reversed(known)]
    raise ValueError(
        f"version == 'latest', {kind} has {numbers}, none of them trained in this workspace (no run in {runs}); "
        f"run `attune train {kind}` here"
    )


def trained_in(runs: Path, version: Version) -> bool:
    """Whether the run lies here: one registry holds the models of all workspaces of a checkout."""
    return (runs / version.run_id).is_dir()


def _some_versions(kind: str) -> list[Version]:
    known = versions(kind)
    if not known:
        raise ValueError(f"{kind} has no version yet; run `attune train {kind}`")
    return known


def download(version: Version, folder: Path) -> Path:
    """The registered model's own folder (`model.json` and `model/`), copied below `folder`."""
    _client()
    import mlflow

    local = mlflow.artifacts.download_artifacts(f"models:/{version.kind}/{version.version}", dst_path=str(folder))
    (found,) = [path.parent for path in Path(local).rglob("model.json")]
    return found


def inputs(folder: Path) -> list[dict[str, Any]]:
    """The columns and types that the model downloaded to this folder asks for."""
    from mlflow.models import Model

    signature = Model.load(str(next(folder.rglob("MLmodel")))).signature
    columns: list[dict[str, Any]] = signature.inputs.to_dict() if signature else []
    return columns


def evaluation(version: Version) -> dict[str, Any]:
    """The run's `evaluation.json`."""
    _client()
    import mlflow

    with tempfile.TemporaryDirectory() as folder:
        path = mlflow.artifacts.download_artifacts(
            run_id=version.run_id, artifact_path="evaluation.json", dst_path=folder
        )
        found: dict[str, Any] = json.loads(Path(path).read_text())
    return found


def crown(version: Version, tags: Mapping[str, str], alias: str = CHAMPION) -> None:
    """Moves the alias to this version, with what was said about it; beside a new champion there is no challenger."""
    client = _client()
    for name, value in tags.items():
        client.set_model_version_tag(version.kind, str(version.version), name, value)
    client.set_registered_model_alias(version.kind, alias, str(version.version))
    if alias == CHAMPION:
        uncrown(version.kind, CHALLENGER)


def uncrown(kind: str, alias: str) -> None:
    """Takes the alias from whichever version has it."""
    client = _client()
    if alias in client.get_registered_model(kind).aliases:
        client.delete_registered_model_alias(kind, alias)


def fingerprint(parts: Sequence[bytes]) -> str:
    """A name for the data that a run learned from."""
    import hashlib

    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()[:16]


def content(places: Sequence[Path], params: Mapping[str, Any]) -> str:
    """A name for all that a version holds: these folders and files, parameters, our code, the libraries' versions."""
    parts = [repr(sorted(params.items())).encode(), "\n".join(_requirements()).encode()]
    for place in [*places, *(ROOT / package for package in CODE)]:
        files = place.rglob("*") if place.is_dir() else [place]
        for path in sorted(path for path in files if path.is_file() and path.suffix != ".pyc"):
            parts += [path.relative_to(place).as_posix().encode(), path.read_bytes()]
    return fingerprint(parts)


def require_kind(kind: str) -> None:
    """Refuses what is no kind of model."""
    if kind not in KINDS:
        raise ValueError(f"model == {kind!r}, must be one of {list(KINDS)}")


def _client() -> MlflowClient:
    """A client of the store, which is made when it is not there; MLflow's telemetry and chatter are off."""
    for name in ("MLFLOW_DISABLE_TELEMETRY", "DO_NOT_TRACK"):
        os.environ.setdefault(name, "true")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    import mlflow

    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)
    place = uri()
    with _one_at_a_time():
        mlflow.set_tracking_uri(place)
        mlflow.set_registry_uri(place)
        client = mlflow.MlflowClient()
        client.search_experiments(max_results=1)  # the first question makes a SQLite store's tables
    return client


def _experiment(kind: str) -> str:
    require_kind(kind)
    client = _client()
    name = f"attune-{kind}"
    with _one_at_a_time():
        if found := client.get_experiment_by_name(name):
            return str(found.experiment_id)
        home = _home()
        location = None if home is None else (home / "artifacts" / kind).as_uri()
        return str(client.create_experiment(name, artifact_location=location))


def _home() -> Path | None:
    """The folder of a SQLite store; None where a server keeps runs and artefacts."""
    place = uri()
    return Path(place.removeprefix(SQLITE)).resolve().parent if place.startswith(SQLITE) else None


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """One process of this host at a time makes tables, experiments and versions in a SQLite store."""
    home = _home()
    if home is None:
        yield
        return
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _own_words_only() -> Iterator[None]:
    # MLflow wishes for type hints in models and warns about its own deprecations: nothing a user could act on.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _requirements() -> list[str]:
    """The exact versions that the model was made with."""
    lines = (line.strip() for line in (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line and not line.startswith("#")]
