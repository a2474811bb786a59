"""Served: the releases that answer, a champion of each kind and beside it a challenger where one is being tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from features.workspace import Workspace
from serving.experiments.challenges import KINDS, experiment_of, key_of
from serving.experiments.definitions import Experiment
from training.recommenders.own import Own
from training.release import Challenger, Release, before, challenger, current, load_release

Value = TypeVar("Value")
Read = Callable[[Workspace, Path], Release]


@dataclass(frozen=True)
class Beside:
    """A challenger's release, and which share of the customers it answers."""

    kind: str
    told: Challenger
    release: Release

    @cached_property
    def key(self) -> str:
        return key_of(self.kind, self.told)

    @cached_property
    def experiment(self) -> Experiment | None:
        return experiment_of(self.kind, self.told)


@dataclass(frozen=True)
class Served:
    """Releases that were read and checked, by kind."""

    champions: Mapping[str, Release] = field(default_factory=dict)
    challengers: Mapping[str, Beside] = field(default_factory=dict)

    @classmethod
    def of(cls, workspace: Workspace) -> Served:
        """As the pointers of the workspace say; one line where a file of a release is wrong."""
        served = cls()
        for kind in KINDS:
            served = served.beside(kind, beside_of(workspace, kind)).led(kind, champion_of(workspace, kind))
        return served

    @classmethod
    def readable(cls, workspace: Workspace) -> Served:
        """The champions that can be read."""
        served = cls()
        for kind in KINDS:
            with suppress(ValueError, OSError):
                served = served.led(kind, champion_of(workspace, kind))
        return served

    def led(self, kind: str, release: Release | None) -> Served:
        """With this champion."""
        return replace(self, champions=_with(self.champions, kind, release))

    def beside(self, kind: str, found: Beside | None) -> Served:
        """With this challenger."""
        return replace(self, challengers=_with(self.challengers, kind, found))

    def fitting(self) -> dict[str, Beside]:
        """The challengers that stand beside the champions there are."""
        champions = {kind: release.version for kind, release in self.champions.items()}
        return {kind: one for kind, one in self.challengers.items() if champions.get(kind) == one.told.champion}

    def challenged(self, kinds: Sequence[str]) -> dict[str, Release]:
        """The releases that answer a customer for whom the challengers of these kinds do."""
        return {**self.champions, **{kind: self.challengers[kind].release for kind in kinds}}


def whole(workspace: Workspace, folder: Path) -> Release:
    """The release in this folder, read as it lies there."""
    return load_release(folder, Own.of(workspace))


def champion_of(workspace: Workspace, kind: str, read: Read = whole) -> Release | None:
    """The release that the pointer names."""
    return None if (folder := current(workspace, kind)) is None else read(workspace, folder)


def one_before(workspace: Workspace, kind: str, read: Read = whole) -> Release | None:
    """The release that answered before it."""
    return None if (folder := before(workspace, kind)) is None else read(workspace, folder)


def beside_of(workspace: Workspace, kind: str, read: Read = whole) -> Beside | None:
    """The challenger that the pointer names."""
    told = challenger(workspace, kind)
    release = None if told is None else read(workspace, workspace.releases / kind / told.version)
    return None if told is None or release is None else Beside(kind, told, release)


def _with(known: Mapping[str, Value], kind: str, value: Value | None) -> dict[str, Value]:
    others = {name: one for name, one in known.items() if name != kind}
    return others if value is None else {**others, kind: value}
