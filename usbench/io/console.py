"""What people see: lines and tables on stdout, progress bars on stderr (only in a terminal)."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

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
from rich.text import Text

from usbench.io.plain_text import escape_controls

T = TypeVar("T")
OUTPUT = "standard output"
FIGURE = set("0123456789.,–-% ")  # what a cell of figures is made of


class PlainConsole(Console):
    """A console to which names and messages are text: no markup, no emoji codes, no controls."""

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, highlight=False, soft_wrap=True, markup=False, emoji=False)

    def print(self, *objects: object, **options: Any) -> None:
        """Print; an error of the output names it."""
        try:
            super().print(*objects, **options)
        except OSError as error:
            error.filename = error.filename or OUTPUT
            raise

    def render_str(self, text: str, **options: Any) -> Text:
        """Every text that is printed, alone or in a table, comes through here."""
        return super().render_str(escape_controls(text), **options)

    def on_broken_pipe(self) -> None:
        """Leave it to the command, rather than end the process here."""
        raise


out = PlainConsole()
err = PlainConsole(stderr=True)


def say(text: str) -> None:
    """One line on stdout."""
    out.print(text)


def warn(text: str) -> None:
    """One line on stderr."""
    err.print(text)


def accept_any_text() -> None:
    """Print what the terminal's encoding lacks as an escape, such as \\u2026, instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


class Bar:
    """A running progress bar; `step` moves it on and may change the note behind it."""

    def __init__(self, progress: Progress, total: int | None, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(escape_controls(title), total=total, note="")

    def step(self, note: str = "", by: float = 1) -> None:
        """Move on by some units; note is shown behind the bar."""
        self._progress.update(self._task, advance=by, note=escape_controls(note))


@contextmanager
def bar(title: str, total: int | None) -> Iterator[Bar]:
    """A progress bar on stderr, invisible where stderr is no terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        yield Bar(progress, total, title)


def track(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar."""
    if total is None and isinstance(items, Sequence):
        total = len(items)
    with bar(title, total) as running:
        for item in items:
            yield item
            running.step()


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout: columns of figures to the right, of text to the left."""
    lines = list(rows)
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
