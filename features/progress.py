"""Progress of long work, on stderr: results go to stdout."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

console = Console(stderr=True)


class Step:
    """A bar that moves: `advance` by units of its total, `say` what is being done now."""

    def __init__(self, progress: Progress, task: int) -> None:
        self._progress, self._task = progress, task

    def advance(self, amount: float = 1) -> None:
        self._progress.advance(self._task, amount)  # type: ignore[arg-type]  # TaskID is a NewType of int

    def say(self, description: str) -> None:
        self._progress.update(self._task, description=description)  # type: ignore[arg-type]  # as above


@contextmanager
def step(description: str, total: float | None = None) -> Iterator[Step]:
    """Shows a bar while the block runs; without a total it pulses."""
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        yield Step(progress, progress.add_task(description, total=total))
