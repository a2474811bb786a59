"""A count outcome from the campaign's file to the report: 1,500 customers, an offer that adds visits for half of them.

Visits are Poisson: 0.6 without the offer, 1.1 with it where tenure > 0.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.workspace import create
from serving.cli import main

ROWS = 1500


def campaign(path: Path) -> None:
    rng = np.random.default_rng(0)
    tenure, given = rng.normal(size=ROWS).round(3), rng.random(ROWS) < 0.5
    visits = rng.poisson(0.6 + 0.5 * given * (tenure > 0))
    columns = {
        "offer": np.where(given, "mail", "control"),
        "probability": 0.5,
        "tenure": tenure,
        "visits_after": visits,
    }
    pd.DataFrame({"customer": [f"c{n}" for n in range(ROWS)]} | columns).to_csv(path, index=False)


def run(*words: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(list(words))
    assert ended.value.code == 0


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning", "ignore::UserWarning")
def test_a_count_goes_from_the_file_to_the_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    shop, log = create(tmp_path / "shop"), tmp_path / "spring.csv"
    campaign(log)
    place = ("-w", str(shop.folder))
    run("import", "exposures", str(log), "--consent", "personalisation", "--proof", "a form", *place)
    assert "outcomes: visits_after" in capsys.readouterr().out
    run("train", "uplift", "--outcome", "visits_after", "--learner", "t-linear", *place)
    run("report", "uplift", *place)
    page = next(shop.reports.glob("**/*.html"))
    found, text = json.loads(page.with_suffix(".json").read_text()), page.read_text()
    assert (found["binary"], found["unit"]) == (False, "visits_after per 1,000 customers")
    effect = found["offers"]["mail"]["effect"]
    assert effect["lower"] < 250 < effect["upper"]
    assert effect["lower"] > 0
    assert "Extra visits_after for every 1,000 customers" in text
    assert "with visits_after" in text
