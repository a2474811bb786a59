"""Cost: the CPU seconds and the memory that a step took, measured in this process."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
RESET_PEAK = "5"  # what Linux is told to forget the highest memory so far: proc(5)


@dataclass
class Cost:
    """CPU seconds of all threads; `memory_mb`: the peak above what the process held before, NaN outside Linux."""

    cpu_s: float = float("nan")
    memory_mb: float = float("nan")


@contextmanager
def measured() -> Iterator[Cost]:
    """The cost of the block, filled in when it ends."""
    cost, before = Cost(), _reset()
    started = time.process_time()
    yield cost
    cost.cpu_s = time.process_time() - started
    cost.memory_mb = max(0.0, _status("VmHWM") - before)


def _reset() -> float:
    """What the process holds now; the peak counts from here."""
    gc.collect()
    try:
        RESET.write_text(RESET_PEAK)
    except OSError:
        return float("nan")
    return _status("VmRSS")


def _status(name: str) -> float:
    """A line of the process' status in MB; NaN where the system has none."""
    if not STATUS.exists():
        return float("nan")
    lines = dict(line.partition(":")[::2] for line in STATUS.read_text().splitlines())
    return float(lines[name].split()[0]) / 1024
