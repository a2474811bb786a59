"""Any campaign's log: roles are guessed, told or asked for; real logs show their published effects."""

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from features.cli import imports
from features.consent import consented_customers
from features.exposures import CONTROL, ExposureLog, log_names, read_log, save_log
from features.ledger import Ledger
from features.sources import hillstrom
from features.sources.exposure_files import ExposureMap, read
from features.workspace import create

EVER = datetime(2100, 1, 1, tzinfo=UTC)
LOG = (
    "customer_id,offer,sent_at,propensity,age,city,conversion\n"
    "a,coupon,2025-01-01 10:00:00,0.5,30,Ulm,1\n"
    "b,control,2025-01-01 10:00:00,0.5,40,Bonn,0\n"
)


def written(folder: Path, text: str = LOG) -> Path:
    path = folder / "spring mail.csv"
    path.write_text(text)
    return path


def effect(log: ExposureLog, arm: str, outcome: str) -> tuple[float, float]:
    """Mean of the arm minus mean of the control, and its standard error (Welch)."""
    values = log.outcomes[outcome].to_numpy()
    given, kept = values[log.exposures.arm == arm], values[log.exposures.arm == CONTROL]
    error = math.sqrt(given.var(ddof=1) / len(given) + kept.var(ddof=1) / len(kept))
    return float(given.mean() - kept.mean()), error


def test_roles_are_guessed_and_the_rest_is_features(tmp_path: Path) -> None:
    log = read(written(tmp_path), ExposureMap())
    assert log.name == "spring-mail"
    assert log.exposures.arm.tolist() == ["coupon", CONTROL]
    assert log.exposures.probability.tolist() == [0.5, 0.5]
    assert log.exposures.time is not None
    assert list(log.table.frame.columns) == ["age", "city"]
    assert [one.unit for one in log.table.features] == ["", "category"]
    assert log.outcomes["conversion"].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("words", "mapped", "agreed"),
    [
        (["--consent", "personalisation", "--proof", "a form"], "", ["a", "b"]),
        ([], "consent: {purposes: [personalisation], proof: a form}", ["a", "b"]),
        ([], "", []),
    ],
)
def test_a_campaigns_customers_agree_by_its_own_basis_without_an_event_log(
    tmp_path: Path, words: list[str], mapped: str, agreed: list[str]
) -> None:
    shop, using = create(tmp_path / "shop"), tmp_path / "map.yaml"
    using.write_text(mapped)
    command = ["exposures", str(written(tmp_path)), "--map", str(using), *words, "-w", str(shop.folder)]
    said = CliRunner().invoke(imports, command, catch_exceptions=False).stdout
    assert ("no consent was named" in said) == (not agreed)
    assert consented_customers(Ledger.at(shop.ledger), purpose="personalisation", as_of=EVER) == agreed


@pytest.mark.parametrize(
    ("given", "own", "hour"),
    [
        ("2025-07-01 10:00:00", None, 8),  # ten in the morning of a Berlin summer
        ("2025-07-01 10:00:00", "America/Lima", 15),
        ("2025-07-01T10:00:00Z", "America/Lima", 10),
        ("01.07.2025 10:00", None, 8),
    ],
)
def test_a_time_without_a_zone_is_in_the_maps_or_else_the_workspaces(
    tmp_path: Path, given: str, own: str | None, hour: int
) -> None:
    log = read(written(tmp_path, LOG.replace("2025-01-01 10:00:00", given)), ExposureMap(timezone=own), "Europe/Berlin")
    assert log.exposures.time is not None
    assert log.exposures.time.tolist() == [datetime(2025, 7, 1, hour)] * 2


def test_a_parquet_time_with_a_zone_is_that_moment(tmp_path: Path) -> None:
    path, moment = tmp_path / "log.parquet", datetime(2025, 7, 1, 10, tzinfo=UTC)
    pq.write_table(pa.table({"arm": ["mail", "none"], "time": [moment] * 2, "visit": [1, 0]}), path)
    time = read(path, ExposureMap(), "America/Lima").exposures.time
    assert time is not None
    assert time.tolist() == [moment.replace(tzinfo=None)] * 2


def test_the_verb_reads_times_in_the_workspaces_zone(tmp_path: Path) -> None:
    shop = create(tmp_path / "shop")
    assert shop.settings.timezone == "Europe/Berlin"
    result = CliRunner().invoke(imports, ["exposures", str(written(tmp_path)), "-w", str(shop.folder)])
    assert result.exit_code == 0, result.output
    time = read_log(shop, "spring-mail").exposures.time
    assert time is not None
    assert time.tolist() == [datetime(2025, 1, 1, 9)] * 2


def test_a_log_is_read_back_as_it_was_saved(tmp_path: Path) -> None:
    shop, log = create(tmp_path / "shop"), read(written(tmp_path), ExposureMap())
    save_log(shop, log)
    again = read_log(shop, "spring-mail")
    assert log_names(shop) == ["spring-mail"]
    assert again.table.frame.equals(log.table.frame)
    assert again.table.features == log.table.features
    assert again.exposures.arm.tolist() == log.exposures.arm.tolist()
    assert again.outcomes.equals(log.outcomes)
    assert again.exposures.time is not None
    assert (again.exposures.time == log.exposures.time).all()


def test_a_log_that_is_not_there_names_those_that_are(tmp_path: Path) -> None:
    shop = create(tmp_path / "shop")
    save_log(shop, read(written(tmp_path), ExposureMap()))
    with pytest.raises(ValueError, match=r"autumn.*spring-mail"):
        read_log(shop, "autumn")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (LOG.replace("offer", "colour"), "which arm"),
        (LOG.replace("control", "other"), "which one got no offer"),
        (LOG.replace("Ulm,1", "Ulm,yes"), "conversion == 'yes' in row 1"),
        (LOG.replace("2025-01-01 10:00:00", "soon", 1), "sent_at == 'soon' in row 1"),
        (LOG.replace("\nb,", "\n,"), "customer_id is absent in row 2; every row needs one"),
        (LOG.replace("coupon", " "), "offer is absent in row 1; every row needs one"),
        (LOG.splitlines()[0] + "\n", "holds no row"),
    ],
)
def test_bad_input_says_what_was_given_and_where(tmp_path: Path, text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        read(written(tmp_path, text), ExposureMap())


def test_the_map_tells_what_cannot_be_guessed(tmp_path: Path) -> None:
    path = written(tmp_path, LOG.replace("offer", "colour").replace("control", "other"))
    using = ExposureMap(name="x", columns={"arm": "colour"}, control="other", outcomes=("age",), features=("city",))
    log = read(path, using)
    assert log.exposures.offers == ("coupon",)
    assert list(log.outcomes) == ["age"]
    assert list(log.table.frame) == ["city"]


@pytest.mark.data
def test_artea_through_the_generic_path_has_its_published_effects(data_dir: Path) -> None:
    log = read(data_dir / "uplift" / "artea_coupon_ab.parquet", ExposureMap())
    (offer,) = log.exposures.offers
    assert len(log.exposures) == 5000
    assert effect(log, offer, "trans_after") == pytest.approx((0.02618, 0.01186), abs=5e-5)
    assert effect(log, offer, "revenue_after") == pytest.approx((-0.2415, 0.66839), abs=5e-4)
    assert not {"id", "test_coupon", "trans_after", "revenue_after"} & set(log.table.frame.columns)


@pytest.mark.data
def test_hillstrom_has_its_published_effects(data_dir: Path) -> None:
    log = hillstrom.read(data_dir / "uplift" / "hillstrom.parquet")
    known = {
        ("womens-email", "visit"): (0.04523, 0.00323),
        ("mens-email", "visit"): (0.07659, 0.00339),
        ("womens-email", "conversion"): (0.00311, 0.00082),
        ("mens-email", "conversion"): (0.00681, 0.00092),
        ("womens-email", "spend"): (0.42441, 0.13033),
        ("mens-email", "spend"): (0.76983, 0.14525),
    }
    assert len(log.exposures) == 64_000
    assert np.allclose(log.exposures.probability, 1 / 3)
    for (arm, outcome), figures in known.items():
        assert effect(log, arm, outcome) == pytest.approx(figures, abs=2e-4), (arm, outcome)
