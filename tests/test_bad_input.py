"""Bad input, as a user gives it: one line that says what was given, what is needed and where; 2, or 1 for a failure."""

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from features.workspace import create
from serving.cli import main

HEAD = "customer,time,item,price\n"
GOOD = HEAD + "".join(f"c{n % 9},2025-0{1 + n % 6}-01,i{n % 5},2.5\n" for n in range(90))
MAP = "columns: {customer: customer, time: time, item: item, price: price}\n"
CONSENT = "consent: {purposes: [personalisation, analytics], proof: till}\n"
FILES = {
    "good.csv": GOOD.encode(),
    "empty.csv": b"",
    "header.csv": HEAD.encode(),
    "blank.csv": b"\n\n\n",
    "spaces.csv": b"\xef\xbb\xbf \r\n \r\n , \r\n",
    "nul.csv": GOOD.encode() + bytes(40) + b"\n",
    "wrong.csv": b"a,b\n1,2\n",
    "utf16.csv": GOOD.encode("utf-16"),
    "ragged.csv": GOOD.encode() + b"x,y\n",
    "noise.csv": bytes(range(256)) * 20,
    "text.parquet": b"no table",
    "map.yaml": (MAP + CONSENT).encode(),
    "broken.yaml": b"columns: [a\n",
    "typo.yaml": b"colums: {}\n",
    "zone.yaml": MAP.encode() + b"timezone: Nowhere/City\n",
    "treated.csv": b"customer,arm,conversion\nann,mail,1\nbob,mail,0\n",
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files, a workspace `shop` and a folder `folder.csv`; where the user stands."""
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.csv").mkdir()
    create(tmp_path / "shop")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ATTUNE_MLRUNS", str(tmp_path / "mlruns"))
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # `main` sets it
    return tmp_path


def told(capsys: pytest.CaptureFixture[str], words: str) -> tuple[int, str]:
    """The exit code and what the verb said on stderr, its progress apart."""
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(words))
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("attune:")]
    return int(str(ended.value.code)), "\n".join(lines)


def kept(shop: Path) -> dict[str, bytes]:
    """The user's files and the history: what bad input leaves as it was."""
    places = [path for path in shop.rglob("*") if ".attune" not in path.parts or "history" in path.parts]
    return {str(path): path.read_bytes() for path in places if path.is_file()}


FILE_LINES = {
    "none.csv": "none.csv: no such file",
    "folder.csv": "folder.csv: no such file",
    "empty.csv": "empty.csv: holds nothing; a header and rows are needed",
    **dict.fromkeys(("header.csv", "blank.csv", "spaces.csv"), "csv: holds no row; a header and at least one row"),
    "utf16.csv": "utf16.csv: could not be read.*not utf-8",
    "noise.csv": "noise.csv: could not be read",
    "nul.csv": "nul.csv: could not be read.*Line: 92",
    "text.parquet": "text.parquet: could not be read",
    "ragged.csv": "ragged.csv: could not be read.*Line: 92 Expected Number of Columns: 4 Found: 2",
}
VERBS = (
    "import events {}",
    "import events {} --map map.yaml",
    "import exposures {}",
    "import online-retail {}",
    "import hillstrom {}",
)


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("name", FILE_LINES)
def test_a_file_that_cannot_be_read_is_named(
    place: Path, capsys: pytest.CaptureFixture[str], verb: str, name: str
) -> None:
    before = kept(place / "shop")
    code, line = told(capsys, f"{verb.format(name)} -w shop")
    expected = FILE_LINES[name]
    if name in ("ragged.csv", "nul.csv") and verb.split()[1] in ("online-retail", "hillstrom", "exposures"):
        expected = name  # its columns are wrong already
    assert code == 2
    assert re.search(expected, line), line
    assert "\n" not in line
    assert kept(place / "shop") == before


LINES = {
    "import events good.csv --map none.yaml": "none.yaml: no such file",
    "import events good.csv --map broken.yaml": "broken.yaml: not YAML",
    "import events good.csv --map typo.yaml": "typo.yaml: .*colums.*columns",
    "import events good.csv --map zone.yaml": "zone.yaml: .*'Nowhere/City' is not a time zone",
    "import events good.csv --map good.csv": "good.csv: ",
    "import events wrong.csv --map map.yaml": r"wrong.csv: lacks the columns .*it has \['a', 'b'\]",
    "import events good.csv --map map.yaml --consent all": r"consent names \['all'\]",
    "import online-retail wrong.csv": "wrong.csv: Online Retail lacks the columns",
    "import hillstrom wrong.csv": "wrong.csv: Hillstrom lacks the columns",
    "import exposures wrong.csv": "wrong.csv: no column says which arm",
    "import exposures treated.csv": r"treated.csv: the arms are \['mail'\]; which one got no offer",
    "import complete-journey wrong.csv": "wrong.csv",
    "import complete-journey none": "none",
    "train recommender": "the event log is empty; import purchases first",
    "train recommender --model alss": "'alss' is not known; did you mean 'als'",
    "train uplift": "no exposures here; run `attune import exposures FILE`",
    "promote recomender 1": r"model == 'recomender', must be one of",
    "promote recommender 1": "recommender has no version yet; run `attune train recommender`",
    "promote recommender latest --force": "--force and --reason go together",
    "rollback recommender": "recommender has no earlier release",
    "score recommender --out scores.csv": "recommender has no release in .*run `attune promote recommender latest`",
    "score recommender --out scores.xls": "must end with one of",
    "plan --budget 100": "uplift has no release in .*run `attune promote uplift latest`",
    "plan --budget -1": "--budget == -1.0, must be >= 0",
    "features --out none/table.csv": "there is no folder 'none'",
    "report uplift": "no uplift run here; run `attune train uplift`",
    "report experiment checkout-bage": "checkout-bage.*checkout-badge",
    "explain 123": "123",
    "erase ''": "customer == '', must be an id of 1 to 256 characters",
    "export ' '": "customer == ' ', must be an id of 1 to 256 characters",
    f"erase {'x' * 257}": "customer == 'x+', must be an id of 1 to 256 characters",
    "backup folder.csv": "folder.csv: is a folder; a backup is one file",
    "backup none/shop.tar.gz": "the folder none does not exist",
}


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")  # MLflow's own queries
@pytest.mark.parametrize("words", LINES)
def test_what_a_verb_needs_is_said_in_one_line(place: Path, capsys: pytest.CaptureFixture[str], words: str) -> None:
    before = kept(place / "shop")
    code, line = told(capsys, f"{words} -w shop")
    assert code == 2
    assert re.search(LINES[words], line), line
    assert "\n" not in line
    assert kept(place / "shop") == before


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("init shop", "shop: there is a attune.yaml already"),
        ("init good.csv", "good.csv: is a file"),
        ("features -w none", "none: no attune.yaml here; run `attune init none`"),
        ("restore none.tar.gz -w again", "none.tar.gz: no such file"),
        ("restore good.csv -w again", "good.csv: could not be restored"),
        ("restore good.csv -w shop", "shop: is not empty"),
        ("compare recomender", "model == 'recomender', must be one of"),
        ("simulate good.csv --customers 5", "good.csv: is a file; a folder to write to is needed"),
        ("simulate out --world shopp", "shopp"),
        ("simulate out --customers 0", "customers == 0, must be at least 1"),
        ("trian", "No such command 'trian'. Did you mean 'train'"),
        ("features --foo", "No such option: --foo"),
        ("serve --port 0", "Invalid value for '--port'"),
    ],
)
def test_a_verb_without_a_workspace_says_what_it_needs(
    place: Path, capsys: pytest.CaptureFixture[str], words: str, line: str
) -> None:
    code, found = told(capsys, words)
    assert code == 2
    assert re.search(line, found), found
    assert not [name for name in ("again", "out", "none") if (place / name).exists()]


def garbage(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:100])


@pytest.mark.parametrize(
    "verb", ["features", "train recommender", "import events more.csv --map map.yaml", "backup shop.tar.gz"]
)
@pytest.mark.parametrize(
    ("pattern", "damage", "said"),
    [
        ("ledger.db", garbage, "ledger.db: the ledger could not be (read|copied)"),
        ("history/*.parquet", cut, "has 100 bytes, the history's log says"),
        ("history/_delta_log/*.json", cut, "history: the history could not be read"),
    ],
)
def test_broken_state_is_a_failure_that_names_the_file(
    place: Path, capsys: pytest.CaptureFixture[str], verb: str, pattern: str, damage: Callable[[Path], None], said: str
) -> None:
    main_code, _ = told(capsys, "import events good.csv --map map.yaml -w shop")
    assert main_code == 0
    (place / "more.csv").write_text(HEAD + "new,2025-07-01,i1,2.5\n")
    for path in (place / "shop" / ".attune").glob("ledger.db-*"):
        path.unlink()
    for path in (place / "shop" / ".attune").glob(pattern):
        damage(path)
    code, line = told(capsys, f"{verb} -w shop")
    assert code == 1
    assert re.search(said, line), line
    assert "\n" not in line
    assert "<unknown>" not in line
    assert not (place / "shop.tar.gz").exists()


def test_debug_shows_the_trace(place: Path) -> None:
    with pytest.raises(ValueError, match="no such file"):
        main(["--debug", "import", "events", "none.csv", "-w", "shop"])


def test_what_nobody_foresaw_is_one_line_too_and_debug_shows_where() -> None:
    program = (
        "import sys; from serving.cli import app, main; app.command('burst')(lambda: {}['gone']); main(sys.argv[1:])"
    )
    for words, ends in (["burst"], "attune: KeyError: 'gone' (--debug shows where)"), (["--debug", "burst"], "'gone'"):
        done = subprocess.run([sys.executable, "-c", program, *words], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.strip().endswith(ends)
        assert (len(done.stderr.splitlines()) > 1) == ("--debug" in words)


def test_ctrl_c_in_an_import_is_said_and_the_same_command_completes_it(
    place: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is pressed after the rows and before the consent."""

    def pressed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    words = "import events good.csv --map map.yaml -w shop"
    with monkeypatch.context() as patched:
        patched.setattr("features.imports.grant", pressed)
        assert told(capsys, words) == (130, "attune: interrupted")
    assert told(capsys, words) == (0, "")
    with pytest.raises(SystemExit):
        main(["features", "-w", "shop"])
    assert "consent: 0 of 9 customers left out" in capsys.readouterr().out
