"""Progress as lines of text, where no bar can be drawn: when a line is due, and what it says."""

from __future__ import annotations

from collections.abc import Callable

EVERY_S = 30.0  # between two lines; half of what is promised, since only a step can write one
SHORT_S = 15.0  # a task that takes less may be silent


def format_seconds(seconds: float | None) -> str:
    """A duration for people; – where it is unknown."""
    if seconds is None:
        return "–"
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


class ProgressLines:
    """A task's progress as lines: every half minute, and what `unit` asks for."""

    def __init__(
        self,
        title: str,
        total: int | None,
        unit: str,
        clock: Callable[[], float],
        write: Callable[[str], None],
    ) -> None:
        """Begin the task.

        Args:
            title: what is being done.
            total: units; None: unknown.
            unit: such as epoch, whose first and last are always told; "": units are only counted,
                and a task that is soon over is silent.
            clock: the time in seconds.
            write: takes a line.
        """
        self._title, self._total, self._unit = title, total, unit
        self._clock, self._write = clock, write
        self._begun = self._stepped = self._told = clock()
        self._done = self._earlier = 0.0

    def skip(self, units: float) -> None:
        """Some units were done before this process began."""
        self._done = self._earlier = units

    def step(self, note: str, by: float) -> None:
        """Some units are done.

        Args:
            note: what to say about them.
            by: their number.
        """
        is_first, was_over = self._done == self._earlier, self._is_over()
        self._done += by
        self._stepped = self._clock()
        is_last = self._is_over() and not was_over
        is_long = self._stepped - self._begun >= SHORT_S
        if (self._unit and is_first) or (is_last and (self._unit or is_long)):
            self._tell(note)
        else:
            self._tell_if_due(note)

    def pulse(self, part: str) -> None:
        """Some part of a unit is done, such as batch 3/20."""
        self._tell_if_due(part, inside=True)

    def _is_over(self) -> bool:
        return self._total is not None and self._done >= self._total

    def _tell_if_due(self, note: str, inside: bool = False) -> None:
        if self._clock() - self._told >= EVERY_S:
            self._tell(note, inside)

    def _tell(self, note: str, inside: bool = False) -> None:
        now = self._told = self._clock()
        count = f"{self._done + inside:.0f}" + ("" if self._total is None else f"/{self._total}")
        text = f"{self._title}: {self._unit} {count}" if self._unit else f"{self._title}: {count}"
        self._write("".join((text, f", {note}" if note else "", self._time_note(now))))

    def _time_note(self, now: float) -> str:
        """How long the rest may take, by the units of this process; "" before the first one."""
        done = self._done - self._earlier
        if self._total is None or not done:
            return ""
        if self._is_over():
            return f"; took {format_seconds(now - self._begun)}"
        per_unit = (self._stepped - self._begun) / done
        after_this_one = per_unit * (self._total - self._done - 1)
        this_one = per_unit - (now - self._stepped)
        if this_one >= 0:
            return f"; about {format_seconds(this_one + after_this_one)} left"
        # This unit takes longer than those before; how long, nobody knows.
        return f"; more than {format_seconds(after_this_one)} left" if after_this_one else ""
