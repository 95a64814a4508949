"""What people see: lines and tables on stdout, progress on stderr.

Progress is a bar in a terminal; elsewhere it is a line at least once a minute.
"""

from __future__ import annotations

import io
import sys
import textwrap
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from usbench.io.plain_text import escape_controls
from usbench.io.progress import ProgressLines

T = TypeVar("T")
MOST_COLUMNS = 1000  # of a line in a file
OUTPUT = "standard output"
FIGURE = set("0123456789.,–-% ")  # what a cell of figures is made of


class PlainConsole(Console):
    """A console to which names and messages are text: no markup, no emoji codes, no controls."""

    def __init__(self, **options: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **options)

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


out = PlainConsole(soft_wrap=True)
err = PlainConsole(soft_wrap=True, stderr=True)


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
    """A task's running progress: a bar in a terminal, else lines."""

    def __init__(self, progress: Progress, title: str, total: int | None, unit: str) -> None:
        self._progress = progress
        self._task = progress.add_task(escape_controls(title), total=total, part="", note="")
        self._lines = ProgressLines(title, total, unit, time.monotonic, self._write)

    def skip(self, units: float) -> None:
        """Some units were done before this process began."""
        self._progress.reset(self._task, completed=int(units))
        self._lines.skip(units)

    def step(self, note: str = "", by: float = 1) -> None:
        """Move on by some units.

        Args:
            note: what to say about them.
            by: their number.
        """
        self._progress.update(self._task, advance=by, part="", note=escape_controls(note))
        self._lines.step(note, by)

    def watch(self, items: Iterable[T], total: int, name: str) -> Iterator[T]:
        """Iterate over the parts of a unit, such as an epoch's batches; name: of one part."""
        for n, item in enumerate(items, 1):
            yield item
            self.pulse(f"{name} {n}/{total}")

    def pulse(self, part: str) -> None:
        """Some part of a unit is done, such as batch 3/20."""
        self._progress.update(self._task, part=escape_controls(part))
        self._lines.pulse(part)

    def _write(self, line: str) -> None:
        if self._progress.disable:
            warn(line)


@contextmanager
def bar(title: str, total: int | None, unit: str = "") -> Iterator[Bar]:
    """Show a task's progress on stderr.

    Args:
        title: what is being done.
        total: units; None: unknown.
        unit: of a long task, such as epoch: the first and the last are always shown; "": a task
            that is soon over says nothing where stderr is no terminal.
    """
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        TextColumn("{task.fields[part]}", markup=False),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=err, disable=not err.is_terminal) as progress:
        yield Bar(progress, title, total, unit)


def track(items: Iterable[T], title: str, total: int | None = None) -> Iterator[T]:
    """Iterate with a progress bar."""
    if total is None and isinstance(items, Sequence):
        total = len(items)
    with bar(title, total) as running:
        for item in items:
            yield item
            running.step()


def facts(rows: Iterable[tuple[str, str]]) -> None:
    """Names and values on stdout, the values below each other, also where one takes two lines."""
    lines = list(rows)
    indent = 2 + max(len(name) for name, _ in lines)
    width = out.width if out.is_terminal else MOST_COLUMNS
    for name, value in lines:
        wrapped = textwrap.wrap(
            value,
            max(width - indent, 20),
            break_long_words=False,  # a path can be copied
            break_on_hyphens=False,
        )
        say(f"{name:<{indent}}" + f"\n{'':<{indent}}".join(wrapped))


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """A table on stdout: columns of figures to the right, of text to the left."""
    lines = list(rows)
    grid = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
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
    out.print(title, style="bold")
    if out.is_terminal:
        out.print(grid)
        return
    # A file has no width: there a table is as wide as it needs.
    text = io.StringIO()
    PlainConsole(file=text, width=MOST_COLUMNS).print(grid)
    say("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def table_fits(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bool:
    """Whether a terminal shows a table without breaking its lines; always true elsewhere."""
    columns = zip(header, *rows, strict=True)
    # A cell may have several lines.
    widths = [
        max(cell_len(line) for cell in column for line in cell.split("\n")) for column in columns
    ]
    width = sum(widths) + 2 * (len(widths) - 1)
    return not out.is_terminal or width <= out.width


def fit_columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], optional: Iterable[str]
) -> tuple[list[str], list[list[str]], list[str]]:
    """Leave out columns until a terminal shows a table without breaking its lines.

    Args:
        header: the columns' titles.
        rows: their cells.
        optional: titles of columns that may go, the first one first.

    Returns:
        (header, rows, titles of what was left out).
    """
    shown, cells = list(header), list(map(list, rows))
    hidden: list[str] = []
    for title in optional:
        if table_fits(shown, cells):
            break
        place = shown.index(title)
        hidden.append(shown.pop(place))
        cells = [[*line[:place], *line[place + 1 :]] for line in cells]
    return shown, cells, hidden
