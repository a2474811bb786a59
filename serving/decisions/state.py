"""What the service knows while it answers: read at start, never changed by an answer; what the shop changes live, its
items, is on the `shelf`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from features.catalog import Catalog, read_items
from features.codes import load_codes
from features.keys import every, of_environment
from features.ledger import Ledger
from features.offers import Offer
from features.workspace import SETTINGS, Settings, Workspace, read_yaml
from serving.decisions.journal import Journal
from serving.decisions.seen import Seen
from serving.decisions.shelf import Shelf, admitted
from serving.experiments.definitions import Experiment, read_experiments
from serving.http.auth import Keys
from serving.intake import Intake
from training.eligible import read_rules
from training.recommenders.own import Own
from training.release import Release, current, load_release
from training.uplift.customer_effects import CustomerEffects

KINDS = ("recommender", "uplift")
BUNDLED_HASH = "workspace.json"  # names the workspace that a bento was made from


@dataclass(frozen=True)
class State:
    """Settings, releases, catalogue, offers, experiments; of a workspace also what reads and writes its ledger."""

    settings: Settings
    workspace_hash: str
    catalog: Catalog
    offers: tuple[Offer, ...] = ()
    experiments: dict[str, Experiment] = field(default_factory=dict)
    recommender: Release | None = None
    uplift: Release | None = None
    ledger: Ledger | None = None
    journal: Journal | None = None
    intake: Intake | None = None
    keys: Keys | None = None
    reports: Path | None = None
    seen: Seen = field(default_factory=Seen)
    shelf: Shelf | None = None
    workspace: Workspace | None = None

    @classmethod
    def of(cls, workspace: Workspace) -> State:
        """Everything of a workspace, its releases checked; from here on this process journals and takes events in."""
        state = cls.read(workspace)
        assert state.ledger is not None  # noqa: S101  # `read` opens it; this tells the type checker
        seen = Seen.of(workspace, state.offers)
        journal = Journal(workspace.state / "journal", state.ledger)
        keys = Keys(partial(every, state.ledger))
        return replace(state, journal=journal, intake=Intake(state.ledger), keys=keys, seen=seen)

    @classmethod
    def read(cls, workspace: Workspace) -> State:
        """Everything of a workspace but what writes, new codes in the ledger; one line where a file of it is wrong."""
        folders = {kind: current(workspace, kind) for kind in KINDS}
        own, ledger = Own.of(workspace), Ledger.at(workspace.ledger)
        releases = {kind: load_release(folder, own) for kind, folder in folders.items() if folder}
        shelf = Shelf.of(workspace, ledger, releases.get("recommender"))
        stock = shelf.now()
        offers = read_rules(workspace.folder, stock.catalog, _effects(releases))
        load_codes(ledger, workspace.folder, offers)
        return cls(
            settings=workspace.settings,
            workspace_hash=workspace.hash,
            catalog=stock.catalog,
            offers=offers,
            experiments=read_experiments(workspace.folder),
            recommender=stock.recommender,
            uplift=releases.get("uplift"),
            ledger=ledger,
            reports=workspace.reports,
            shelf=shelf,
            workspace=workspace,
        )

    @classmethod
    def bundled(cls, folder: Path) -> State:
        """What a bento carries: item sides of releases and the workspace's rules; no customers, no ledger."""
        if not (folder / SETTINGS).is_file():
            raise ValueError("there is no workspace and no bento here; run `attune serve -w WORKSPACE`")
        catalog = read_bundled(folder)
        settings = read_yaml(folder / SETTINGS, Settings)
        own = Own.among(settings.recommender.models, folder)
        found = {kind: load_release(folder / kind, own) for kind in KINDS if (folder / kind).is_dir()}
        return cls(
            settings=settings,
            workspace_hash=json.loads((folder / BUNDLED_HASH).read_text())["hash"],
            catalog=catalog,
            offers=read_rules(folder, catalog, _effects(found)),
            experiments=read_experiments(folder),
            recommender=admitted(found.get("recommender"), catalog),
            uplift=found.get("uplift"),
            keys=Keys(of_environment),
        )


def read_bundled(folder: Path) -> Catalog:
    """The catalogue carried inside a bento; empty where there is none."""
    import pandas as pd

    path = folder / "catalog.csv"
    frame = read_items(path) if path.exists() else pd.DataFrame({"item": []})
    return Catalog.of(frame)


def _effects(releases: Mapping[str, Release]) -> CustomerEffects | None:
    return releases["uplift"].effects if "uplift" in releases else None
