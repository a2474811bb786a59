"""The service's workers import neither MLflow nor tea-tasting nor a pipeline."""

import subprocess
import sys

PROBE = """
import sys
import serving.service, serving.http.app, serving.decisions.state, serving.experiments.report
found = [name for name in sys.modules if name.split(".")[0] in ("mlflow", "tea_tasting")]
found += [name for name in sys.modules if name.startswith("training.pipelines")]
print(sorted(found)[:5])
"""


def test_the_service_imports_what_it_needs_only() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
