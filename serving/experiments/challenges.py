"""Challenges: the test that there is while a challenger stands beside a champion, without a file of the workspace.

    key      recommender-5-beside-3-0.1: version 5 answers a tenth of the customers, version 3 the others
    arms     champion, challenger; which one a customer is answered by, the assignment hash says, steady as shares grow

Another share, or another champion, is another test. A share of 0 is none: nobody is answered by a shadow. The key tells
all of it, so the report of a test that has ended can still be made.
"""

from __future__ import annotations

import re

from features.workspace import Workspace
from serving.experiments.definitions import MAX_KEY, Experiment, named, read_experiments
from training.release import Challenger, challenger

KINDS = ("recommender", "uplift")
CHAMPION, CHALLENGER = "champion", "challenger"
VERSION, SHARE = "[1-9][0-9]{0,8}", r"0\.[0-9]+|[1-9](?:\.[0-9]+)?e-[0-9]+"  # as `key_of` writes them
NAMED = re.compile(
    rf"(?P<kind>{'|'.join(KINDS)})-(?P<version>{VERSION})-beside-(?P<champion>{VERSION})-(?P<share>{SHARE})"
)


def key_of(kind: str, told: Challenger) -> str:
    """What the test, or the shadow, is called."""
    return f"{kind}-{told.version}-beside-{told.champion}-{told.share:g}"


def experiment_of(kind: str, told: Challenger) -> Experiment | None:
    """The test of a challenger; None for a shadow."""
    if not told.share:
        return None
    return Experiment(
        key=key_of(kind, told),
        arms={CHAMPION: 1 - told.share, CHALLENGER: told.share},
        description=f"{kind} {told.version} against {told.champion}, which answers the others",
        salt=f"{kind}-{told.version}",
    )


def ended(key: str) -> Experiment | None:
    """The test of this key as its key tells it, which is all of it; also where another one runs or none."""
    told = NAMED.fullmatch(key)
    test = (
        experiment_of(told["kind"], Challenger(told["version"], float(told["share"]), told["champion"]))
        if told and len(key) <= MAX_KEY
        else None
    )
    return test if test is not None and test.key == key else None


def all_experiments(workspace: Workspace) -> dict[str, Experiment]:
    """The workspace's own tests by key, and those of its challengers."""
    told = {kind: found for kind in KINDS if (found := challenger(workspace, kind)) is not None}
    implied = [test for kind, one in told.items() if (test := experiment_of(kind, one)) is not None]
    return {**read_experiments(workspace.folder), **{test.key: test for test in implied}}


def experiment(workspace: Workspace, key: str) -> Experiment:
    """The test of this key, also a challenger's that has ended; an error that names the nearest known one."""
    known = all_experiments(workspace)
    return known.get(key) or ended(key) or named(known, key, workspace.folder)


def shadow_keys(workspace: Workspace) -> list[str]:
    """What the challengers that answer nobody are called."""
    told = {kind: found for kind in KINDS if (found := challenger(workspace, kind)) is not None}
    return [key_of(kind, one) for kind, one in told.items() if not one.share]
