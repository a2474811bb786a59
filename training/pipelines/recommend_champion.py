"""The champion, judged again: how what is served now would do on a run's own test period.

Its release has seen that period, so it is not the release that is judged but what it was made of: the same model, with
its parameters and its weights of events, fitted on what came before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from features.workspace import InteractionSettings, Workspace
from training.intervals import paired_difference
from training.pipelines.recommend_evaluation import Judged
from training.pipelines.recommend_summary import METRIC
from training.recommenders.own import Own, parameters
from training.release import current, load_release


@dataclass(frozen=True)
class Champion:
    """What the release that is served was made of."""

    version: str
    name: str
    parameters: Mapping[str, Any]
    weighed: InteractionSettings | None

    @classmethod
    def of(cls, workspace: Workspace) -> Champion | None:
        """None where nothing is served, or what is served cannot be made again."""
        try:
            folder = current(workspace, "recommender")
            release = None if folder is None else load_release(folder, Own.of(workspace))
        except (ValueError, OSError, RuntimeError):
            return None
        if release is None or release.recommender is None:
            return None
        return cls(release.version, release.name, parameters(release.recommender), release.weighed)

    def made_like(self, name: str, given: Mapping[str, Any], weighed: InteractionSettings) -> bool:
        """Whether a run's model of this name, with these parameters and weights, is the same again."""
        return (self.name, dict(self.parameters), self.weighed or weighed) == (name, dict(given), weighed)


def against(champion: Champion, best: str, ours: Judged, theirs: Judged, rng: np.random.Generator) -> dict[str, Any]:
    """Ours minus the champion's over the same customers, with its interval."""
    values = ours.values["all"][METRIC], theirs.values["all"][METRIC]
    counted = ~np.isnan(values[0])
    difference = paired_difference(values[0][counted], values[1][counted], rng)
    words = f"{champion.version} ({champion.name}) on the newest split: {METRIC} {difference.estimate:+.4f} "
    return {
        "version": champion.version,
        "model": champion.name,
        "value": theirs.mean("all", METRIC),
        "difference": difference.estimate,
        "lower": max(difference.lower, -1.0),
        "upper": min(difference.upper, 1.0),
        "words": words + f"[{difference.lower:+.4f}, {difference.upper:+.4f}] of {best} against it",
    }
