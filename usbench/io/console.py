"""What people see: lines and tables on stdout, progress bars on stderr (only in a terminal)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

T = TypeVar("T")
FIGURE = set("0123456789.,–-% ")  # what a cell of figures is made of

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line on stdout."""
    out.print(text, markup=False)


def warn(text: str) -> None:
    """One line on stderr."""
    err.print(text, markup=False)


class Bar:
    """A running progress bar; `step` moves it on and may change the words behind it."""

    def __init__(self, progress: Progress, total: int | None, words: str) -> None:
        self._progress = progress
        self._task = progress.add_task(words, total=total, note="")

    def step(self, note: str = "", by: float = 1) -> None:
        """Move on by some units; note is shown behind the bar."""
        self._progress.update(self._task, advance=by, note=note)


@contextmanager
def bar(words: str, total: int | None) -> Iterator[Bar]:
    """A progress bar on stderr, invisible where stderr is no terminal."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        yield Bar(progress, total, words)


def track(items: Iterable[T], words: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar."""
    with bar(
        words, total if total is not None else len(items) if isinstance(items, Sequence) else None
    ) as running:
        for item in items:
            yield item
            running.step()


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout: columns of figures to the right, words to the left."""
    lines = [tuple(row) for row in rows]
    grid = Table(title=title, title_justify="left", title_style="bold")
    for n, name in enumerate(header):
        figures = all(set(line[n]) <= FIGURE for line in lines)
        grid.add_column(
            name,
            justify="right" if figures else "left",
            no_wrap=n == 0 or figures,
            overflow="fold",  # a long path is broken, not shortened
        )
    for line in lines:
        grid.add_row(*line)
    out.print(grid)
