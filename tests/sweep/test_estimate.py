"""What a plan says of a run that was interrupted."""

from __future__ import annotations

import pytest

from usbench.sweep.estimate import epochs_done


@pytest.mark.parametrize(
    ("names", "epochs"),
    [
        ([], 0),
        (["best.pt", "log.csv"], 0),
        (["checkpoint-00009.pt", "checkpoint-00010.pt", "checkpoint-00011.pt.part"], 10),
        (["checkpoint-00003.pth"], 3),
    ],
)
def test_the_last_epoch_with_a_checkpoint(tmp_path, names, epochs):
    for name in names:
        (tmp_path / name).touch()
    assert epochs_done(tmp_path) == epochs
    assert epochs_done(tmp_path / "no-such-run") == 0
