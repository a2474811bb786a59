"""Shelf: the state as the shop's items are now. One look at the ledger per request says whether anything changed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING

from sqlalchemy.exc import SQLAlchemyError

from features.catalog import Catalog, read_catalog, read_files
from features.items import live_items, newest
from features.ledger import Ledger
from features.workspace import Workspace
from training.release import Release

if TYPE_CHECKING:
    from serving.decisions.state import State


@dataclass(frozen=True)
class Stock:
    """The catalogue after its change number `version`, and the recommender that knows its items."""

    version: int
    catalog: Catalog
    recommender: Release | None


class Shelf:
    """The stock of a workspace; the newest is made once, by the first request after a change."""

    def __init__(self, ledger: Ledger, stock: Stock, learned: Release | None) -> None:
        self._ledger, self._stock, self._learned = ledger, stock, learned
        self._lock = Lock()

    @classmethod
    def of(cls, workspace: Workspace, ledger: Ledger, learned: Release | None) -> Shelf:
        """The shelf as it stands; the version is read first, so that a change in between is read twice, not missed.

        While the ledger is away the files alone say it, until the first look that finds what was said live.
        """
        version, catalog = (0, read_files(workspace)) if ledger.away else (newest(ledger), read_catalog(workspace))
        return cls(ledger, Stock(version, catalog, admitted(learned, catalog)), learned)

    def beside(self, learned: Release | None) -> Shelf:
        """The same items for another release."""
        return Shelf(self._ledger, replace(self._stock, recommender=admitted(learned, self._stock.catalog)), learned)

    def now(self) -> Stock:
        """The newest stock; the last one known where the ledger cannot be read."""
        try:
            if newest(self._ledger) != self._stock.version:
                with self._lock:
                    self._refresh()
        except (OSError, SQLAlchemyError):
            pass  # what is written next says why
        return self._stock

    def _refresh(self) -> None:
        stock, version = self._stock, newest(self._ledger)
        if version == stock.version:  # another request was first
            return
        catalog = stock.catalog.updated(live_items(self._ledger, stock.version))
        self._stock = Stock(version, catalog, admitted(self._learned, catalog))


def stocked(state: State) -> State:
    """The state with the newest stock; itself where there is no ledger, as in a bento."""
    if state.shelf is None:
        return state
    stock = state.shelf.now()
    if stock.catalog is state.catalog:
        return state
    return replace(state, catalog=stock.catalog, recommender=stock.recommender)


def admitted(release: Release | None, catalog: Catalog) -> Release | None:
    """The release, its recommender with what entered the catalogue since it was trained."""
    if release is None or release.recommender is None:
        return release
    return replace(release, recommender=release.recommender.admit(catalog))
