"""A user's own recommenders: `package.module:Class` in `recommender.models` of attune.yaml, looked up in its folder.

A release names a model only; which class that is, attune.yaml says. Nothing is imported because a release says so.
"""

from __future__ import annotations

import difflib
import importlib
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from features.workspace import Workspace
from training.recommenders import RECOMMENDERS, known_recommender, stored
from training.recommenders.base import Recommender
from training.recommenders.guarded import Guarded, told

METHODS = ("fit", "recommend_for", "similar", "complete", "goes_with", "alike", "chance_of_repeat", "reasons", "admit")
WHERE = "recommender.models of attune.yaml"


@dataclass(frozen=True)
class Own:
    """The classes that may be imported; their modules stand in the folder or are installed."""

    paths: tuple[str, ...] = ()
    folder: Path | None = None

    @classmethod
    def of(cls, workspace: Workspace) -> Own:
        """Those that the workspace's settings name."""
        return cls.among(workspace.settings.recommender.models, workspace.folder)

    @classmethod
    def among(cls, models: Sequence[str], folder: Path) -> Own:
        """Those of these models that are a path to a class."""
        return cls(tuple(model for model in models if ":" in model), folder)

    def names(self, models: Sequence[str]) -> list[str]:
        """What each of these is called in runs, tables and releases; an error for one that is not known."""
        return [self._name(model) for model in models]

    def is_own(self, name: str) -> bool:
        return name not in RECOMMENDERS

    def path(self, name: str) -> str:
        """Where the class of this name is, as attune.yaml says it."""
        found = self._by_name()
        if name in found:
            return found[name]
        near = difflib.get_close_matches(name, [*RECOMMENDERS, *found], n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known are {sorted([*RECOMMENDERS, *found])}"
        raise ValueError(f"recommender {name!r} is not known; {hint} ({WHERE}, or --model)")

    def kind(self, name: str) -> type[Any]:
        """The class of this name, ours or the user's."""
        return known_recommender(name) if name in RECOMMENDERS else self.imported(self.path(name))

    def made(self, name: str, parameters: Mapping[str, Any]) -> Recommender:
        """A model of this name with these parameters; a user's answers are checked."""
        if name in RECOMMENDERS:
            return known_recommender(name)(**parameters)
        path = self.path(name)
        return _recommender(Guarded(told(path, "the constructor", self.imported(path), **parameters), path))

    def loaded(self, name: str, folder: Path) -> Recommender:
        """The model of this name that was saved in the folder."""
        if name in RECOMMENDERS:
            return known_recommender(name).load(folder)
        found = self._by_name()
        if name not in found:
            raise ValueError(
                f"{folder}: the release names {name!r}; known recommender models are "
                f"{sorted([*RECOMMENDERS, *found])} (one of your own: package.module:Class in {WHERE})"
            )
        path = found[name]
        return _recommender(Guarded.read(self.imported(path), path, folder))

    def code(self, name: str) -> Path:
        """The file or the folder that the class's package is: what is carried to where the model is loaded."""
        package = sys.modules[self.kind(name).__module__.partition(".")[0]]
        places = list(getattr(package, "__path__", []))
        return Path(places[0] if places else str(package.__file__))

    def imported(self, path: str) -> type[Any]:
        """The class at this path, once attune.yaml names it and it has all that a recommender has."""
        if path not in self.paths:
            raise ValueError(f"{path!r} is not among {WHERE}; what is not named there could not be served")
        module, _, name = path.partition(":")
        with _on_path(self.folder):
            found = told(path, "its import", importlib.import_module, module)
        kind: Any = getattr(found, name, None)
        if fault := self._shadowed(found) or _fault(kind):
            raise ValueError(f"{path}: {fault} ({WHERE})")
        return cast(type[Any], kind)

    def _name(self, model: str) -> str:
        if ":" in model:
            return str(self.imported(model).name)
        return model if model in RECOMMENDERS else str(self.kind(model).name)

    def _shadowed(self, found: ModuleType) -> str | None:
        """Whether the folder has a file of this name, but Python had another before."""
        meant = (self.folder or Path()).joinpath(*found.__name__.split(".")).with_suffix(".py")
        there = Path(found.__file__ or "")
        if self.folder is None or not meant.is_file() or there.resolve() == meant.resolve():
            return None
        return f"the module {found.__name__!r} is {there} already; give {meant.name} another name"

    def _by_name(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for path in self.paths:
            name = self.imported(path).name
            if name in found:
                raise ValueError(f"{found[name]} and {path} both have the name {name!r}, each needs its own ({WHERE})")
            found[name] = path
        return found


def parameters(model: Recommender) -> dict[str, Any]:
    """The constructor's arguments of a model, also of a user's."""
    return stored.parameters(model.inner if isinstance(model, Guarded) else model)


def _recommender(model: Guarded) -> Recommender:
    return cast(Recommender, model)  # all of the protocol but that its name belongs to the object, not to the class


@contextmanager
def _on_path(folder: Path | None) -> Iterator[None]:
    """The folder is where modules are looked for first."""
    if folder is None:
        yield
        return
    place = str(folder.resolve())
    sys.path.insert(0, place)
    importlib.invalidate_caches()  # the file may have been written a moment ago
    try:
        yield
    finally:
        sys.path.remove(place)


def _fault(kind: Any) -> str | None:
    if not isinstance(kind, type):
        return "there is no such class in the module"
    if lacking := [method for method in (*METHODS, "save", "load") if not callable(getattr(kind, method, None))]:
        return f"the class lacks {', '.join(lacking)}; one that extends training.recommenders.scorer.Scorer has them"
    if not is_dataclass(kind):
        return "the class is no dataclass, must be one: its fields are its parameters"
    name = getattr(kind, "name", None)
    if not isinstance(name, str) or not re.fullmatch(r"[a-z][a-z0-9-]*", name):
        return f"name == {name!r}, must be small letters, digits and '-'"
    return f"name == {name!r}, is one of ours; another is needed" if name in RECOMMENDERS else None
