"""Apart: one part of a benchmark in a process of its own, so that its cost is its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any


def apart(module: str, *words: object, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The JSON that the benchmark's module prints last for these words; also shown on stderr."""
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, words)]
    under = os.environ | (environment or {})
    told = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=under).stdout
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    print(f"{' '.join(command[2:])}: {found}", file=sys.stderr)
    return found
