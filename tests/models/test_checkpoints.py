"""When checkpoints are written, and which of them stay."""

from __future__ import annotations

import pytest
import torch

from usbench.models.checkpoints import Checkpoints, list_checkpoints, load_file


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    """A clock that stands still, and moves by .2 s while torch writes a file."""
    now, save = [100.0], torch.save

    def save_slowly(*arguments) -> None:
        now[0] += 0.2
        save(*arguments)

    monkeypatch.setattr("time.monotonic", lambda: now[0])
    monkeypatch.setattr("torch.save", save_slowly)
    return now


def test_writing_takes_at_most_a_fiftieth_of_the_time(tmp_path, clock):
    """An epoch of 1 s and .2 s for a checkpoint: one in 10 s, which is every tenth or eleventh."""
    files, written = Checkpoints(tmp_path), []
    for epoch in range(1, 31):
        clock[0] += 1.0
        if files.due():
            files.save(epoch, {})
            written.append(epoch)
    assert written == [1, 12, 23]
    assert 0.2 * len(written) / (clock[0] - 100) < 0.03


def test_after_a_long_epoch_there_always_is_one(tmp_path, clock):
    files = Checkpoints(tmp_path)
    for epoch in range(1, 5):
        clock[0] += 60
        assert files.due()
        files.save(epoch, {})


def test_the_newest_two_stay(tmp_path):
    files = Checkpoints(tmp_path)
    for epoch in range(1, 5):
        files.save(epoch, {"epoch": epoch})
    assert [load_file(path)["epoch"] for path in list_checkpoints(tmp_path)] == [4, 3]
