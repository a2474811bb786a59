"""Members: the models that a model of models is made of, by label; each keeps its files in a folder of its own.

FOLDER/members.json       {"label": "name in the registry"}
FOLDER/members/LABEL/     what that member saves
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from features.interactions import Interactions
from training.recommenders import stored
from training.recommenders.scorer import Scorer

Members = dict[str, Scorer]
Given = Mapping[str, Mapping[str, Any]]  # label -> parameters, with `model` where the label is not the registry's name
LABEL = r"[A-Za-z0-9][\w.-]*"  # names a folder


def fitted(given: Given, log: Interactions, *, seed: int, threads: int) -> Members:
    """The members fitted on this log; seed and threads go to those that take them and were not given their own."""
    from training.recommenders import scorer

    members: Members = {}
    for label, own in given.items():
        if not re.fullmatch(LABEL, label):
            raise ValueError(f"member {label!r} names a folder, must be letters, digits, '.', '_' and '-'")
        parameters = dict(own)
        kind = scorer(parameters.pop("model", label))
        both = {"seed": seed, "threads": threads}
        chance = {name: value for name, value in both.items() if stored.takes(kind, name)}
        members[label] = kind(**(chance | parameters)).fit(log)
    return members


def beside(members: Members, interactions: Interactions) -> Members:
    """Each member beside these customers."""
    return {label: member.beside(interactions) for label, member in members.items()}


def save(members: Members, folder: Path) -> None:
    """Writes what `load` reads."""
    folder.mkdir(parents=True, exist_ok=True)
    for label, member in members.items():
        member.save(folder / "members" / label)
    (folder / "members.json").write_text(json.dumps({label: member.name for label, member in members.items()}))


def load(folder: Path) -> Members:
    """The members that `save` wrote, in their order."""
    from training.recommenders import scorer

    names = json.loads((folder / "members.json").read_text())
    return {label: scorer(name).load(folder / "members" / label) for label, name in names.items()}
