"""Progress where no bar can be drawn, on a clock that the test moves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest

from usbench.io.console import bar, track
from usbench.io.progress import ProgressLines, format_seconds


@dataclass
class Watched:
    """A task whose clock stands still until it is moved."""

    total: int | None
    unit: str = ""
    now: float = 0.0
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.progress = ProgressLines(
            "training", self.total, self.unit, lambda: self.now, self.lines.append
        )

    def step(self, after: float, note: str = "") -> None:
        self.now += after
        self.progress.step(note, 1)

    def pulse(self, after: float, part: str) -> None:
        self.now += after
        self.progress.pulse(part)


def test_the_first_and_the_last_epoch_and_a_line_every_half_minute_between_them():
    task = Watched(10, "epoch")
    for epoch in range(1, 11):
        task.step(12, f"loss {epoch}")
    assert task.lines == [
        "training: epoch 1/10, loss 1; about 2 min left",
        "training: epoch 4/10, loss 4; about 72 s left",
        "training: epoch 7/10, loss 7; about 36 s left",
        "training: epoch 10/10, loss 10; took 2 min",
    ]


def test_no_minute_is_silent_within_a_long_epoch():
    task, told = Watched(2, "epoch"), [0.0]
    for epoch in range(2):
        for batch in range(40):
            before = len(task.lines)
            task.pulse(10, f"batch {batch + 1}/40")
            told += [task.now] * (len(task.lines) - before)
        task.step(5, f"loss {epoch}")
    assert max(later - earlier for earlier, later in itertools.pairwise(told)) <= 60
    assert task.lines[0] == "training: epoch 1/2, batch 3/40"  # no estimate before an epoch is over
    assert "training: epoch 1/2, loss 0; about 7 min left" in task.lines
    assert "training: epoch 2/2, batch 3/40; about 6 min left" in task.lines
    assert task.lines[-1] == "training: epoch 2/2, loss 1; took 14 min"


def test_an_epoch_that_takes_longer_than_those_before_has_no_estimate_of_its_own():
    task = Watched(3, "epoch")
    task.step(10)
    task.pulse(500, "batch 1/2")
    assert task.lines[-1] == "training: epoch 2/3, batch 1/2; more than 10 s left"
    task.step(10)
    task.pulse(500, "batch 1/2")
    assert task.lines[-1] == "training: epoch 3/3, batch 1/2"


def test_a_resumed_training_counts_only_its_own_epochs_for_the_estimate():
    task = Watched(10, "epoch")
    task.progress.skip(8)
    task.step(20, "loss 1")
    assert task.lines == ["training: epoch 9/10, loss 1; about 20 s left"]


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        (1, []),  # soon over: nothing to say
        (5, ["training: 4/4; took 20 s"]),
        (20, ["training: 2/4; about 40 s left", "training: 4/4; took 80 s"]),
    ],
)
def test_a_task_without_a_named_unit_speaks_only_if_it_takes_long(each, expected):
    task = Watched(4)
    for _ in range(4):
        task.step(each)
    assert task.lines == expected
    task.step(1)  # one more than was announced
    assert task.lines == expected


def test_a_task_of_unknown_length_has_no_estimate():
    task = Watched(None)
    for _ in range(3):
        task.step(20)
    assert task.lines == ["training: 2"]


def test_bars_are_lines_on_stderr_where_it_is_no_terminal(capsys):
    with bar("training", 3, "epoch") as progress:
        for _ in progress.watch(range(2), 2, "batch"):
            pass
        for epoch in range(3):
            progress.step(f"loss {epoch}")
    assert list(track(range(4), "decoding")) == [0, 1, 2, 3]
    output = capsys.readouterr()
    first, last = output.err.splitlines()
    assert output.out == ""
    assert first.startswith("training: epoch 1/3, loss 0; about ")
    assert last.startswith("training: epoch 3/3, loss 2; took ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "–"), (0.4, "0 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")],
)
def test_a_duration(seconds, text):
    assert format_seconds(seconds) == text
