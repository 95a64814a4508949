"""The table of measurements in a terminal."""

from __future__ import annotations

import numpy as np

from tests.helpers.finished import finish
from usbench.cli import explain
from usbench.metrics.bootstrap import draw
from usbench.metrics.measures.measurements import Measurements
from usbench.results.measure_table import HEADER, measure_row, without_measures
from usbench.results.store import load_result
from usbench.types import Masks

AREA = {"area": {"kind": "area", "of": "lesion", "tolerance": {"pct": 10, "source": "us"}}}


def plane(width: int) -> Masks:
    pixels = np.zeros((1, 20, 40), bool)
    pixels[0, 2:12, 2 : 2 + width] = True
    return Masks(pixels)


def test_a_row_by_hand():
    """Of 100 px² predicted 110 and 90, and a failure; half of SD √200 · 1.96 = 27.72."""
    measurements = Measurements(AREA, "segment", ["lesion"])
    for width in (11, 9, 0):
        measurements.update(plane(10), plane(width), None)
    protocol = measurements.score(draw(["g", "h", "i"]))
    row = dict(zip(HEADER, measure_row("area", protocol.per_class["area"]), strict=True))
    assert row == {
        "measurement": "area",
        "unit": "px²",
        "bias": "0.00",
        "limits of agreement": "−27.72 to 27.72",
        "absolute error": "10.00",
        "absolute error, %": "10.00",
        "within tolerance": ".667",
        "ICC": ".000",
        "failures": ".333",
        "n": "2",
    }


def test_explain_shows_it_and_no_row_among_the_protocols(compose, tmp_path, capsys):
    config, path = finish(compose, tmp_path, "hc18", "segment")
    names = [scores.name for scores in load_result(path).protocols]
    assert names == ["usbench", "pooled", "measure"]
    assert [p.name for p in without_measures(load_result(path).protocols)] == names[:2]
    assert explain.main([str(path), "--runs", str(config.runs)]) == 0
    printed = capsys.readouterr().out
    assert "measurements, with 95 % intervals" in printed and "\nHC " in printed
    assert "\nmeasure 1: clinical measurements" in printed  # its definition alone
    assert explain.main([str(path), "--runs", str(config.runs), "--class", "fetal head"]) == 0
    assert "measurements, with" not in capsys.readouterr().out
