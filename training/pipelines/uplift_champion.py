"""The champion, judged again: whether a new model tells as well as what is served whom an offer moves.

    exposures   o--oo---o--o-oo-|--o-o---oo--o     Qini of both models for the same customers, and the difference
                  learned from  |  judged on

The new model is fitted on what was known before. Where enough was exposed after all that the champion knows, it is the
served release that is judged, on that. Else it has seen the newest exposures: judged on them is then what it was made
of, fitted on what came before, as of a recommender.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.exposures import CONTROL, ExposureLog
from features.workspace import Workspace
from training.intervals import Influenced
from training.metrics.qini_error import qini_estimate
from training.metrics.uplift import Ranking, Trial
from training.pipelines.uplift_evaluation import over_offers
from training.release import current, load_release
from training.uplift.base import Effects
from training.uplift.out_of_fold import OutOfFold
from training.uplift.per_offer import PerOffer
from training.uplift.rows import MIN_ARM
from training.uplift.selector import Selector

UNTIL = "learned_until"  # of a release: its last exposure
NEWEST = 0.2  # share of the exposures that is judged on: as much as one of five folds
ABOUT = ("log", "outcome")  # a champion of something else is not compared
Learned = PerOffer | Selector
Places = NDArray[np.intp]
Times = NDArray[np.datetime64]


@dataclass(frozen=True)
class Champion:
    """The release that is served; `until`: its last exposure, None where it does not say."""

    version: str
    name: str
    model: Learned
    until: np.datetime64 | None
    about: Mapping[str, Any]

    @classmethod
    def of(cls, workspace: Workspace) -> Champion | None:
        """None where nothing is served, or what is served cannot be read."""
        try:
            folder = current(workspace, "uplift")
            release = None if folder is None else load_release(folder)
        except (ValueError, OSError, RuntimeError):
            return None
        if release is None or not isinstance(release.uplift, PerOffer | Selector):
            return None
        told = release.manifest.get(UNTIL)
        until = None if told is None else np.datetime64(told)
        return cls(release.version, release.name, release.uplift, until, release.manifest.get("params", {}))


@dataclass(frozen=True)
class Newest:
    """The log, cut at a moment: what is judged on, and what was known before it, `window` after each exposure."""

    log: ExposureLog
    oof: OutOfFold
    time: Times
    window: np.timedelta64
    since: np.datetime64

    @classmethod
    def of(cls, log: ExposureLog, oof: OutOfFold, time: Times, window: np.timedelta64) -> Newest | None:
        """The newest part, by whole moments; None where all were exposed at once."""
        ordered = np.sort(time)
        later = ordered[ordered > ordered[0]]
        if not len(later):
            return None
        return cls(log, oof, time, window, max(ordered[int(len(time) * (1 - NEWEST))], later[0]))

    def unseen_by(self, champion: Champion) -> Newest | None:
        """What of it is after the last outcome that the champion knows; None where that is not known."""
        if champion.until is None:
            return None
        return replace(self, since=max(self.since, champion.until + self.window + np.timedelta64(1, "us")))

    @property
    def judged(self) -> Places:
        return np.flatnonzero(self.time >= self.since)

    def rows(self, offer: str) -> Places:
        """Those judged on that got this offer or none."""
        return self.judged[np.isin(self.oof.arm[self.judged], [offer, CONTROL])]

    def tells_of(self, offer: str) -> bool:
        """Whether both arms are there in numbers that an effect can be told from."""
        given = self.oof.arm[self.rows(offer)] == offer
        return bool(min(given.sum(), (~given).sum()) >= MIN_ARM)

    def fitted(self, model: Learned) -> Learned:
        """The same again, from what was known before; a ValueError where that is too little."""
        # an outcome that is read from the events is known only when its window is over
        before = np.flatnonzero((self.time < self.since) & (self.time + self.window <= self.since))
        return _again(model).fit(self.log.table.take(before), self.log.exposures.take(before), self.oof.outcome[before])

    def effects(self, model: Learned) -> Effects:
        """Of all that is judged on."""
        return model.effect(self.log.table.take(self.judged))

    def qini(self, offer: str, effects: Effects) -> Influenced:
        """Of an offer's effects on those judged."""
        rows = self.rows(offer)
        trial = Trial(self.oof.outcome[rows], np.asarray(self.oof.arm[rows] == offer), self.oof.weight[rows])
        effect = effects.effect[np.searchsorted(self.judged, rows), effects.offers.index(offer)]
        unit = np.unique(self.oof.unit[rows], return_inverse=True)[1].astype(np.intp)
        return qini_estimate(Ranking(effect, trial), unit)


def facing(
    workspace: Workspace, log: ExposureLog, oof: OutOfFold, model: Learned, about: Mapping[str, Any], window: timedelta
) -> dict[str, Any]:
    """How the new model does against the champion; nothing where the two are alike or cannot be compared.

    `window`: how long after an exposure its outcome is known. `about`: the log, the outcome.
    """
    champion, time = Champion.of(workspace), log.exposures.time
    if champion is None or time is None or any(champion.about.get(name) != about[name] for name in ABOUT):
        return {}
    newest = Newest.of(log, oof, time, np.timedelta64(window))
    if newest is None:
        return {}
    offers = [offer for offer in log.exposures.offers if offer in champion.model.offers_]
    unseen = newest.unseen_by(champion)
    if unseen is not None and offers and all(map(unseen.tells_of, offers)):
        with suppress(ValueError):  # the features are others by now: what it was made of can learn them
            return _against(champion, champion.model, model, unseen)
    if _made_of(model) == _made_of(champion.model):
        return {}  # it is only fresher
    try:
        return _against(champion, newest.fitted(champion.model), model, newest)
    except ValueError:  # too little came before
        return {}


def _against(champion: Champion, theirs: Learned, model: Learned, newest: Newest) -> dict[str, Any]:
    """Ours minus the champion's, mean over the offers that both know, with its interval."""
    ours = newest.fitted(model)
    effects = newest.effects(ours), newest.effects(theirs)
    offers = [offer for offer in ours.offers_ if offer in theirs.offers_ and newest.tells_of(offer)]
    found = [(newest.qini(offer, effects[0]), newest.qini(offer, effects[1])) for offer in offers]
    intervals = [(our - their).interval for our, their in found]
    if not intervals or not all(np.isfinite([one.lower, one.upper]).all() for one in intervals):
        return {}
    means = over_offers([{"difference": one.estimate, "lower": one.lower, "upper": one.upper} for one in intervals])
    words = f"{champion.version} ({champion.name}) on the newest exposures: Qini {means['difference']:+.4g} "
    return {
        "champion": {
            "version": champion.version,
            "model": champion.name,
            "value": _mean([their.value for _, their in found]),
            "ours": _mean([our.value for our, _ in found]),
            **means,
            "since": str(newest.since),
            "rows": len(newest.judged),
            "as_served": theirs is champion.model,
            "words": words + f"[{means['lower']:+.4g}, {means['upper']:+.4g}] of {model.name} against it",
        }
    }


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _again(model: Learned) -> Learned:
    """What it was made of, with nothing learned."""
    return Selector(model.seed, model.candidates) if isinstance(model, Selector) else type(model)(model.seed)


def _made_of(model: Learned) -> tuple[Any, ...]:
    return model.name, model.seed, set(model.candidates) if isinstance(model, Selector) else None
