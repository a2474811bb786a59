"""The packages that are imported are this checkout's, and the floors are where they should be."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("package", ["features", "training", "serving"])
def test_the_packages_imported_are_this_checkouts(package):
    assert Path(importlib.import_module(package).__file__).parent == ROOT / package


@pytest.mark.parametrize("package", ["features", "training", "serving"])
def test_the_installed_command_imports_this_checkout_from_anywhere(package, tmp_path):
    script = f"import {package}; print({package}.__file__)"
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert Path(found.stdout.strip()).parent == ROOT / package


def test_help_comes_in_half_a_second_of_cpu():
    best = min(_seconds([sys.executable, "-m", "serving.cli", "--help"]) for _ in range(6))
    assert best < 0.5, f"attune --help took {best:.2f} s of CPU, must stay under 0.5"


def test_help_loads_no_heavy_library():
    script = "import sys, serving.cli; print([m for m in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    heavy = ("pandas", "mlflow", "bentoml", "sklearn", "lightgbm", "implicit", "duckdb", "ibis", "altair", "pyarrow")
    assert [name for name in heavy if f"'{name}'" in loaded] == []


def _seconds(command: list[str]) -> float:
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
