"""A path pattern on the command line needs no quotes of Hydra's, in a run and in a sweep."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.helpers.release_files import save, speckle
from tests.runner.test_run_command import usbench

PATTERNS = ("dataset.images={kind}/{id}.png", "dataset.labels={kind}/{id}_mask*.png")


@pytest.mark.parametrize("words", [("model=unet",), ("-m", "model=unet,fpn")])
def test_a_pattern_needs_no_quotes(tmp_path: Path, words: tuple[str, ...]) -> None:
    for n in range(8):
        save(tmp_path / f"scans/ill/{n}.png", speckle(32, 32, n))
        save(tmp_path / f"scans/ill/{n}_mask.png", np.eye(32, dtype=np.uint8) * 255)
    own = ("dataset=folder", "dataset.name=mine", "dataset.root=scans", "dataset.classes=[lesion]")
    code, out, err = usbench(tmp_path, *words, *own, *PATTERNS, "recipe=tiny", "plan=true")
    assert code == 0, err
    planned = out.count(" missing ")
    assert planned == len(words[-1].split(","))
