"""scripts/bench_picture.py: four panels of two benchmarks' JSON, and files that are none."""

from __future__ import annotations

import json

import pytest
from PIL import Image

from scripts import bench_picture

MASKS = {part: {"usbench": {"ms": 1.0}, "MONAI": {"ms": 8.0}} for part in ("overlap", "distances")}
RESAMPLING = {"matching": 0.25, "resamples": 0.5, "fastest_peer_extrapolated": 99.0}
BOXES = {
    "evaluate": {"usbench": {"whole": 1.0}, "pycocotools": {"whole": 18.0}},
    "resampling": RESAMPLING,
}


def test_the_panels_are_of_the_same_job():
    panels = bench_picture.panels(MASKS, BOXES)
    assert [unit for _, unit, _ in panels] == ["ms", "ms", "s", "s"]
    assert panels[0][2] == {"usbench": 1.0, "MONAI": 8.0} and panels[3][2]["usbench"] == 0.75


@pytest.mark.parametrize(("order", "code"), [((0, 1), 0), ((1, 0), 1), ((0, 2), 1)])
def test_the_picture_is_drawn_or_the_file_named(tmp_path, capsys, order, code):
    paths = [tmp_path / "masks.json", tmp_path / "boxes.json", tmp_path / "none.json"]
    paths[0].write_text(json.dumps(MASKS))
    paths[1].write_text(json.dumps(BOXES))
    picture = tmp_path / "bench.png"
    assert bench_picture.main([*(str(paths[n]) for n in order), str(picture)]) == code
    assert picture.exists() == (code == 0)
    if code == 0:
        assert Image.open(picture).width > 800
    else:
        assert capsys.readouterr().err.count("\n") == 1
