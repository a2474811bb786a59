"""What the service knows while it answers: read whole, never changed, replaced whole when the workspace's files or its
releases change. What the shop changes live, its items, is on the `shelf`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

from features.catalog import Catalog, read_items
from features.codes import load_codes
from features.conditions import Condition
from features.keys import known, noted, of_environment
from features.ledger import Ledger
from features.offers import Offer, read_offers
from features.placements import FILE as PLACEMENTS
from features.placements import Placement, read_placements
from features.workspace import SETTINGS, Settings, Workspace, read_yaml
from serving.content.ready import Ready, read_ready, require_known_scores
from serving.decisions.journal import Journal
from serving.decisions.pace import Pace
from serving.decisions.popular import Popular, of_history, of_release
from serving.decisions.seen import Seen
from serving.decisions.served import Beside, Served
from serving.decisions.shadow import Shadow
from serving.decisions.shelf import Shelf, admitted
from serving.decisions.where import fitting
from serving.experiments.audiences import read_asked, require_known_audiences
from serving.experiments.challenges import KINDS
from serving.experiments.definitions import Experiment
from serving.experiments.plans import read_plans
from serving.http.auth import Keys
from serving.intake import Intake
from training.eligible import read_rules, require_known
from training.recommenders.own import Own
from training.release import Release, load_release
from training.uplift.customer_effects import CustomerEffects
from training.uplift.scores import score_names

BUNDLED_HASH = "workspace.json"  # names the workspace that a bento was made from


@dataclass(frozen=True)
class State:
    """Settings, releases, catalogue, offers, experiments; of a workspace also what reads and writes its ledger.

    What is remembered of releases or rules is a field with `init=False`: another state then begins without it.
    """

    settings: Settings
    workspace_hash: str
    catalog: Catalog
    offers: tuple[Offer, ...] = ()
    slots: Mapping[str, Ready] = field(default_factory=dict)
    placements: Mapping[str, Placement] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    plans: Mapping[str, str] = field(default_factory=dict)  # by experiment the hash of its plan
    recommender: Release | None = None
    uplift: Release | None = None
    ledger: Ledger | None = None
    journal: Journal | None = None
    intake: Intake | None = None
    keys: Keys | None = None
    shadow: Shadow | None = None
    reports: Path | None = None
    seen: Seen = field(default_factory=Seen)
    shelf: Shelf | None = None
    popular: Popular = field(default_factory=Popular)
    pace: Pace = field(default_factory=Pace)
    workspace: Workspace | None = None
    challengers: Mapping[str, Beside] = field(default_factory=dict)
    variants: Mapping[tuple[str, ...], State] = field(default_factory=dict)  # by the kinds whose challenger answers
    refused: Mapping[str, str] = field(default_factory=dict)  # what of the workspace does not answer, and why

    @property
    def conditions(self) -> list[Condition]:
        """All that offers, slots and experiments ask of a customer."""
        asked = [offer.eligible for offer in self.offers if offer.eligible is not None]
        asked += [one.audience for one in self.experiments.values() if one.audience is not None]
        return asked + [one for slot in self.slots.values() for one in slot.conditions]

    @classmethod
    def of(cls, workspace: Workspace) -> State:
        """Everything of a workspace, its releases checked; from here on this process journals and takes events in."""
        return cls.read(workspace).writing()

    @classmethod
    def read(cls, workspace: Workspace, served: Served | None = None, ledger: Ledger | None = None) -> State:
        """Everything of a workspace but what writes; one line where a file of it, or of a release, is wrong."""
        return cls.rules(workspace, ledger).serving(Served.of(workspace) if served is None else served)

    @classmethod
    def rules(cls, workspace: Workspace, ledger: Ledger | None = None) -> State:
        """What the workspace's own files say, new codes in the ledger unless that is away; no release yet."""
        ledger = Ledger.at(workspace.ledger) if ledger is None else ledger
        shelf, offers = Shelf.of(workspace, ledger, None), read_offers(workspace.folder)
        placements, catalog = read_placements(workspace.folder), shelf.now().catalog
        require_possible(workspace.folder, placements, catalog)
        experiments = read_asked(workspace.folder, catalog)
        if not ledger.away:
            load_codes(ledger, workspace.folder, offers)
        return cls(
            settings=workspace.settings,
            workspace_hash=workspace.hash,
            catalog=catalog,
            offers=offers,
            slots=read_ready(workspace.folder, workspace.settings.currency, catalog, _keys(offers)),
            placements=placements,
            experiments=experiments,
            plans=read_plans(workspace.folder, experiments),
            ledger=ledger,
            reports=workspace.reports,
            shelf=shelf,
            popular=of_history(workspace),
            workspace=workspace,
        )

    def serving(self, served: Served) -> State:
        """The same rules with these releases, as long as they fit together."""
        assert self.workspace is not None  # noqa: S101  # a bento's releases never change; this tells the type checker
        effects = _effects(served.champions)
        require_known(self.workspace.folder, self.offers, self.catalog, effects)
        require_known_scores(self.workspace.folder, self.slots.values(), _scores(self.offers, effects))
        require_known_audiences(self.workspace.folder, self.experiments.values(), _scores(self.offers, effects))
        own = {key: test for key, test in self.experiments.items() if key not in _tests(self.challengers)}
        beside = served.fitting()
        many = (kinds for number in range(1, len(beside) + 1) for kinds in combinations(beside, number))
        plain = replace(self, experiments={**own, **_tests(beside)}, challengers={}, variants={})
        variants = {kinds: plain._answering(served.challenged(kinds)) for kinds in many}
        return replace(plain._answering(served.champions), challengers=beside, variants=variants)

    def _answering(self, releases: Mapping[str, Release]) -> State:
        assert self.shelf is not None and self.workspace is not None  # noqa: S101, PT018  # see `serving`
        shelf = self.shelf.beside(releases.get("recommender"))
        stock = shelf.now()
        known = None if stock.recommender is None else stock.recommender.interactions
        return replace(
            self,
            shelf=shelf,
            catalog=stock.catalog,
            recommender=stock.recommender,
            uplift=releases.get("uplift"),
            popular=of_history(self.workspace) if known is None else of_release(known),
            pace=Pace(),
        )

    def writing(self) -> State:
        """The same with what journals decisions, takes events in, and knows keys and what customers did."""
        assert self.ledger is not None and self.workspace is not None  # noqa: S101, PT018  # see `serving`
        # first: what fails after a thread began would leave that behind
        seen, first = self._seen(), known(self.workspace, self.ledger)
        journal = Journal(self.workspace.state / "journal", self.ledger)
        kept: dict[str, Any] = {
            "journal": journal,
            "intake": Intake(self.ledger),
            "keys": Keys(partial(noted, self.workspace, self.ledger), first),
        }
        return self._keeping(**kept, shadow=Shadow(journal), seen=seen)

    def after(self, one: State) -> State:
        """This state in the place of that one, with what writes for it."""
        seen = one.seen if one.conditions == self.conditions else self._seen()
        kept = {name: getattr(one, name) for name in ("journal", "intake", "keys", "shadow")}
        return self._keeping(**kept, seen=seen)

    def seeing(self) -> State:
        """The same with what customers did as the history has it now."""
        return self._keeping(seen=self._seen())

    def _seen(self) -> Seen:
        """What the history says that customers did; nothing while the ledger, which says how far it goes, is away."""
        assert self.ledger is not None and self.workspace is not None  # noqa: S101, PT018  # see `serving`
        return Seen(unread=True) if self.ledger.away else Seen.of(self.workspace, self.conditions)

    def _keeping(self, **kept: Any) -> State:
        """The same with these parts, also where a challenger answers."""
        variants = {kinds: replace(one, **kept) for kinds, one in self.variants.items()}
        return replace(self, variants=variants, **kept)

    @classmethod
    def bundled(cls, folder: Path) -> State:
        """What a bento carries: item sides of releases and the workspace's rules; no customers, no ledger."""
        if not (folder / SETTINGS).is_file():
            raise ValueError("there is no workspace and no bento here; run `attune serve -w WORKSPACE`")
        catalog = read_bundled(folder)
        settings = read_yaml(folder / SETTINGS, Settings)
        own = Own.among(settings.recommender.models, folder)
        found = {kind: load_release(folder / kind, own) for kind in KINDS if (folder / kind).is_dir()}
        offers = read_rules(folder, catalog, _effects(found))
        slots = read_ready(folder, settings.currency, catalog, _keys(offers))
        require_known_scores(folder, slots.values(), _scores(offers, _effects(found)))
        placements = read_placements(folder)
        require_possible(folder, placements, catalog)
        experiments = read_asked(folder, catalog)
        require_known_audiences(folder, experiments.values(), _scores(offers, _effects(found)))
        return cls(
            settings=settings,
            workspace_hash=json.loads((folder / BUNDLED_HASH).read_text())["hash"],
            catalog=catalog,
            offers=offers,
            slots=slots,
            placements=placements,
            experiments=experiments,
            plans=read_plans(folder, experiments),
            recommender=admitted(found.get("recommender"), catalog),
            uplift=found.get("uplift"),
            keys=Keys(of_environment),
        )


def require_possible(folder: Path, placements: Mapping[str, Placement], catalog: Catalog) -> None:
    """Refuses a condition that asks for an attribute which the catalogue does not have."""
    for key, placement in placements.items():
        conditions = [one.where for one in placement.boost or ()] + [one.where for one in placement.pinned or ()]
        try:
            for where in (placement.filter, *conditions):
                fitting(catalog, where)
        except ValueError as error:
            raise ValueError(f"{folder / PLACEMENTS}: placement {key!r}: {error}") from None


def _tests(beside: Mapping[str, Beside]) -> dict[str, Experiment]:
    """The tests that challengers are, by key."""
    return {test.key: test for one in beside.values() if (test := one.experiment) is not None}


def read_bundled(folder: Path) -> Catalog:
    """The catalogue carried inside a bento; empty where there is none."""
    import pandas as pd

    path = folder / "catalog.csv"
    frame = read_items(path) if path.exists() else pd.DataFrame({"item": []})
    return Catalog.of(frame)


def _keys(offers: Sequence[Offer]) -> list[str]:
    return [offer.key for offer in offers]


def _scores(offers: Sequence[Offer], stored: CustomerEffects | None) -> Sequence[str]:
    """The scores that conditions of slots may ask for: those that conditions of offers may."""
    return score_names(dict.fromkeys([*_keys(offers), *(stored.effects.offers if stored else ())]))


def _effects(releases: Mapping[str, Release]) -> CustomerEffects | None:
    return releases["uplift"].effects if "uplift" in releases else None
