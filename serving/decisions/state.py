"""What the service knows while it answers: read at start, never changed by an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from features.catalog import Catalog, read_catalog
from features.ledger import Ledger
from features.offers import Offer, read_offers
from features.workspace import Settings, Workspace
from serving.decisions.journal import Journal
from serving.experiments.definitions import Experiment, read_experiments
from training.release import Release, current, load_release

KINDS = ("recommender", "uplift")


@dataclass(frozen=True)
class State:
    """Settings, releases, catalogue, offers, experiments; ledger and journal where there is a workspace."""

    settings: Settings
    workspace_hash: str
    catalog: Catalog
    offers: tuple[Offer, ...] = ()
    experiments: dict[str, Experiment] = field(default_factory=dict)
    recommender: Release | None = None
    uplift: Release | None = None
    ledger: Ledger | None = None
    journal: Journal | None = None
    reports: Path | None = None

    @classmethod
    def of(cls, workspace: Workspace) -> State:
        """Everything of a workspace, its releases checked."""
        folders = {kind: current(workspace, kind) for kind in KINDS}
        releases = {kind: load_release(folder) for kind, folder in folders.items() if folder}
        ledger = Ledger.at(workspace.ledger)
        return cls(
            settings=workspace.settings,
            workspace_hash=workspace.hash,
            catalog=read_catalog(workspace),
            offers=read_offers(workspace.folder),
            experiments=read_experiments(workspace.folder),
            recommender=releases.get("recommender"),
            uplift=releases.get("uplift"),
            ledger=ledger,
            journal=Journal(workspace.state / "journal", ledger),
            reports=workspace.reports,
        )

    @classmethod
    def bundled(cls, folder: Path) -> State:
        """The releases carried inside a bento: item sides only, no workspace, no ledger."""
        found = {kind: load_release(folder / kind) for kind in KINDS if (folder / kind).is_dir()}
        catalog = read_bundled(folder)
        settings = Settings(name="bundled")
        return cls(settings, "bundled", catalog, recommender=found.get("recommender"), uplift=found.get("uplift"))


def read_bundled(folder: Path) -> Catalog:
    """The catalogue carried inside a bento; empty where there is none."""
    import pandas as pd

    path = folder / "catalog.csv"
    frame = pd.read_csv(path, dtype={"item": str}) if path.exists() else pd.DataFrame({"item": []})
    return Catalog.of(frame)
