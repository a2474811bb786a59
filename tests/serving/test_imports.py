"""The service starts without what only training needs, and nothing reads a pickle."""

import re
import subprocess
import sys
from pathlib import Path

PROBE = """
import sys
TRAINING = ("mlflow", "tea_tasting", "sklearn", "implicit", "lightgbm")
import serving.service, serving.http.app, serving.decisions.state, serving.experiments.report
found = [name for name in sys.modules if name.split(".")[0] in TRAINING]
found += [name for name in sys.modules if name.startswith("training.pipelines")]
print(sorted(found)[:5])
"""


def test_the_service_imports_what_it_needs_only() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_nothing_of_ours_reads_a_pickle() -> None:
    root = Path(__file__).parents[2]
    wrong = re.compile(r"import (pickle|cloudpickle|dill|joblib|shelve|marshal)\b|read_pickle|allow_pickle=True")
    files = [path for floor in ("features", "training", "serving") for path in (root / floor).rglob("*.py")]
    assert [path for path in files if wrong.search(path.read_text())] == []
    loads = [
        path for path in files for call in re.findall(r"np\.load\([^)]*\)", path.read_text()) if "False" not in call
    ]
    assert loads == []
