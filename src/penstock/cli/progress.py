"""A bar for those who watch long work; nothing where nobody does."""

from collections.abc import Callable, Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn


@contextmanager
def bar(what: str, total: int | None, *, is_shown: bool) -> Generator[Callable[[int], None]]:
    """Show a bar on stderr until the block is left, and yield what moves it on; not shown when stderr is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not (is_shown and console.is_terminal)) as progress:
        task = progress.add_task(what, total=total)
        yield lambda more: progress.advance(task, more)
