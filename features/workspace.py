"""Workspace: the user's files and settings, read once and validated.

A workspace is a folder with `attune.yaml`; what Attune keeps about it lives under its `.attune/`.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping
from datetime import time
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args
from zoneinfo import ZoneInfo

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from features.address import VARIABLE, shown, told, written
from features.starter import STARTER

SETTINGS = "attune.yaml"
STATE = ".attune"
REFUSED = "refused.json"  # in STATE: what of the workspace the service found wrong, and why
SECRET = "secret"  # noqa: S105  # the kind of fault whose input is not shown


class Frozen(BaseModel):
    """A part of the workspace's files: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Model = TypeVar("Model", bound=BaseModel)
OfferPolicy = Literal["epsilon", "greedy", "budgeted", "thompson"]
Bought = Literal["never", "only", "mixed"]  # what may be recommended of what was bought before


def _known_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{value!r} is not a time zone; one like 'Europe/Berlin' is needed") from None
    return value


Zone = Annotated[str, AfterValidator(_known_zone)]


class InteractionSettings(Frozen):
    """How events become weights of the customers x items matrix."""

    weights: Mapping[str, float] = {"Product Viewed": 0.1, "Product Added": 0.3, "Order Completed": 1.0}
    half_life_days: float = Field(default=180.0, gt=0)


class RecommenderSettings(Frozen):
    """What is trained and how it is judged."""

    models: tuple[str, ...] = ("popularity", "neighbours", "graph-filter", "als", "repeat", "ranker")
    horizon_days: int = Field(default=28, gt=0)  # length of the test period of the time split
    k: int = Field(default=10, gt=0, le=1000)
    include_bought: Bought = "mixed"
    fatigue: int = Field(default=10, ge=0, le=100)  # answers without notice after which an item comes last; 0: never
    variety: float = Field(default=0.0, ge=0, le=1)  # 0: the model's own order; 1: as unlike as can be


class UpliftSettings(Frozen):
    """What is trained on a campaign's log."""

    learners: tuple[str, ...] = ()  # empty: all in the registry
    compare: tuple[str, ...] = ()  # of scikit-uplift, judged beside them and never registered: sklift-solo, ...
    outcome: str = "conversion"
    window_days: int = Field(default=14, gt=0)  # outcomes from the event log: this many days after the exposure
    folds: int = Field(default=5, ge=2)  # at most: from 200,000 rows on three do


class OfferSettings(Frozen):
    """How offers are chosen in the service."""

    policy: OfferPolicy = "epsilon"
    exploration: float = Field(
        default=0.1, ge=0, le=1
    )  # epsilon: share of decisions drawn evenly over what is eligible
    holdout: float = Field(default=0.05, ge=0, lt=1)  # share of customers who never get an offer
    contacts: int | None = Field(default=None, ge=0)  # how many customers a plan may contact; no limit where not given


def _clock(value: Any) -> Any:
    return time(value // 60, value % 60) if type(value) is int and 0 <= value < 24 * 60 else value  # YAML's 13:30


Clock = Annotated[time, BeforeValidator(_clock)]


class Schedule(Frozen):
    """When `attune work` trains and reports each day, in the workspace's zone; never where nothing is said."""

    recommender: Clock | None = None
    uplift: Clock | None = None
    reports: Clock | None = None  # every test's and impact's; then they are mailed


class ReportSettings(Frozen):
    """To whom reports are mailed, in whose name, and where the service is that their links lead to."""

    mail: tuple[str, ...] = ()
    sender: str | None = None
    url: str | None = Field(default=None, pattern=r"^https?://[^/\s]+/?$")


class Settings(Frozen):
    """`attune.yaml`."""

    name: str = Field(min_length=1, max_length=100)
    timezone: Zone = "UTC"
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    rates: Mapping[str, float] = {}  # other currencies -> one unit in the workspace's currency
    holdout: float = Field(default=0.0, ge=0, lt=1)  # share of customers whom nothing personal reaches
    traits: tuple[str, ...] = ()  # traits that become features of the profile family
    topics: Mapping[str, str] = {}  # of messages: a key of up to 64 characters, and what customers read
    seed: int = Field(default=0, ge=0)
    ledger: str | None = None  # a PostgreSQL database, without a password; default: SQLite in `.attune/`
    interactions: InteractionSettings = InteractionSettings()
    recommender: RecommenderSettings = RecommenderSettings()
    uplift: UpliftSettings = UpliftSettings()
    offers: OfferSettings = OfferSettings()
    schedule: Schedule = Schedule()
    reports: ReportSettings = ReportSettings()
    max_model_age_days: int | None = Field(default=None, gt=0)  # an older release says so in `fallback`; none: never

    @field_validator("ledger")
    @classmethod
    def _without_password(cls, value: str | None) -> str | None:
        try:
            return None if value is None else written(value)
        except ValueError as error:
            raise PydanticCustomError(SECRET, "{fault}", {"fault": str(error)}) from None


class Workspace:
    """The folder, its settings and the paths of what Attune keeps there."""

    def __init__(self, folder: Path, settings: Settings, server: str | None = None) -> None:
        self.folder = folder
        self.settings = settings
        self._server = server or settings.ledger

    @classmethod
    def open(cls, folder: Path) -> Workspace:
        """The workspace in this folder; an error in one line when it is none or its settings are wrong."""
        path = folder / SETTINGS
        if not path.is_file():
            raise ValueError(
                f"{folder}: no {SETTINGS} here; run `attune init {folder}`, or name a workspace "
                "with --workspace or ATTUNE_WORKSPACE"
            )
        workspace = cls(folder.resolve(), read_yaml(path, Settings), told())
        workspace._require_one_ledger()
        return workspace

    def _require_one_ledger(self) -> None:
        if self.server and self.ledger_file.exists():
            raise ValueError(
                f"{VARIABLE if told() else self.folder / SETTINGS}: names a ledger, but {self.ledger_file} holds one "
                "already and would be left unread; a workspace names its server before its first import, or not at all"
            )

    @property
    def state(self) -> Path:
        """`.attune/`, made at first use."""
        path = self.folder / STATE
        path.mkdir(exist_ok=True)
        return path

    @property
    def ledger(self) -> str:
        """The address of the SQL store: the server, or else `ledger_file`. It may hold a password: never shown."""
        return self._server or f"sqlite:///{self.ledger_file}"

    @property
    def server(self) -> str | None:
        """The server that ATTUNE_LEDGER_URL or else `attune.yaml` names, as it may be shown; None: SQLite."""
        return shown(self._server) if self._server else None

    @property
    def ledger_file(self) -> Path:
        return self.state / "ledger.db"

    @property
    def history(self) -> Path:
        return self.state / "history"

    @property
    def exposures(self) -> Path:
        return self.state / "exposures"

    @property
    def rejects(self) -> Path:
        return self.state / "rejects"

    @property
    def runs(self) -> Path:
        """Per-customer parts of training runs, keyed by run id."""
        return self.state / "runs"

    @property
    def releases(self) -> Path:
        return self.state / "releases"

    @property
    def reports(self) -> Path:
        return self.state / "reports"

    @cached_property
    def hash(self) -> str:
        """The first 12 hex digits of SHA-256 over the workspace's own files: names the rules a decision was made by."""
        digest = hashlib.sha256()
        for path in own_files(self.folder):
            digest.update(path.relative_to(self.folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:12]


def own_files(folder: Path) -> list[Path]:
    """The files of a workspace that say how it decides."""
    return sorted(path for pattern in ("*.yaml", "*.csv", "*/*.yaml", "*/*.liquid") for path in folder.glob(pattern))


def create(folder: Path) -> Workspace:
    """A workspace to start from, in a folder that is none yet."""
    if (folder / SETTINGS).exists():
        raise ValueError(f"{folder}: there is a {SETTINGS} already; nothing was changed")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder}: is a file; a workspace is a folder")
    for name, text in STARTER.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return Workspace.open(folder)


def read_yaml(path: Path, model: type[Model]) -> Model:
    """The file as this model; every fault becomes one line that names the file, the key and the nearest known key."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8-sig"))
    except yaml.YAMLError as error:
        raise ValueError(f"{path}: not YAML: {' '.join(str(error).split())}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}") from None
    return validated(raw if raw is not None else {}, model, str(path))


def validated(raw: Any, model: type[Model], where: str) -> Model:
    """`raw` as this model, or a ValueError in one line."""
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        raise ValueError(f"{where}: {_fault(error, model)}") from None


def _fault(error: ValidationError, model: type[BaseModel]) -> str:
    faults = error.errors()  # an unknown key first: what is missing may be what it was meant as
    first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    key = ".".join(str(part) for part in first["loc"] if str(part)[:1] != "(")  # not the tags of a union
    if first["type"] == "extra_forbidden":
        unknown = str(first["loc"][-1])
        known = [one for one in _known_keys(model) if one != unknown]  # it may be a key elsewhere
        near = difflib.get_close_matches(unknown, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else f"; known are {known}"
        return f"unknown key {key!r}{hint}"
    given = "" if first["type"] in ("missing", SECRET) else f" == {first['input']!r}"
    more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
    return f"{key or 'file'}{given}: {first['msg'].removeprefix('Value error, ')}{more}"


def _known_keys(model: type[BaseModel]) -> list[str]:
    """The keys of the model and of the models within it, however deep, also in lists."""
    keys, seen, inner = set[str](), set[Any](), list[Any]([model])
    while inner:
        one = inner.pop()
        if isinstance(one, type) and issubclass(one, BaseModel) and one not in seen:
            seen.add(one)  # a condition may hold conditions
            keys |= set(one.model_fields)
            inner += [field.annotation for field in one.model_fields.values()]
        inner += get_args(one)
    return sorted(keys)
