"""The report says where its period began before the holdout did, by the decisions of the journal."""

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import insert

from features.decisions import HELD, NOTHING, Decision, decisions
from features.holdout import SALT, held_out
from features.ledger import Ledger
from features.workspace import Workspace, create
from serving.impact.kept import not_yet_kept
from serving.impact.period import Period

SHARE = 0.2
FIRST = datetime(2026, 1, 1)
WHEN = Period.of(date(2026, 1, 1), date(2026, 3, 31), ZoneInfo("UTC"))


def shop(folder: Path, days: int, kept_from: int | None) -> Workspace:
    """One customer a day is given an offer, or kept back where of the holdout and the day has come."""
    home = create(folder / "shop")
    (home.folder / "attune.yaml").write_text(f"name: shop\nholdout: {SHARE}\n")
    rows = []
    for day in range(days):
        who = f"c{day:03}"
        back = kept_from is not None and day >= kept_from and held_out(who, SHARE)
        made = Decision(
            f"d{day}", "offer", FIRST + timedelta(days=day, hours=12), who, (), (NOTHING,), 1.0, "p", None, None,
            "w", "r",
            context={HELD: SALT} if back else {},
        )  # fmt: skip
        packed = {name: json.dumps(made.row()[name]) for name in ("options", "chosen", "context")}
        rows.append(made.row() | packed)
    with Ledger.at(home.ledger).write() as connection:
        connection.execute(insert(decisions), rows)
    return Workspace.open(home.folder)


def test_a_period_that_begins_before_the_holdout_names_the_day_to_begin_with(tmp_path: Path) -> None:
    first = next(day for day in range(50, 90) if held_out(f"c{day:03}", SHARE))
    day = FIRST.date() + timedelta(days=first)
    assert not_yet_kept(shop(tmp_path, 90, kept_from=50), WHEN) == (
        f"of the {first} customers decided for in the period before {day} none was kept back by the holdout; what "
        f"reached it then makes the increments smaller than they are: begin there (`--from {day}`)"
    )


def test_a_holdout_that_is_kept_from_the_beginning_or_too_few_decisions_say_nothing(tmp_path: Path) -> None:
    assert not_yet_kept(shop(tmp_path, 90, kept_from=0), WHEN) is None
    (tmp_path / "few").mkdir()
    assert not_yet_kept(shop(tmp_path / "few", 30, kept_from=None), WHEN) is None  # 0.8 ** 30 is more than 0.001


def test_a_holdout_that_nothing_was_kept_from_is_told(tmp_path: Path) -> None:
    told = not_yet_kept(shop(tmp_path, 40, kept_from=None), WHEN)
    assert told is not None
    assert told.startswith("of the 40 customers decided for in the period none was kept back by the holdout")
