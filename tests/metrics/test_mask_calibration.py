"""Calibration of masks: the histograms that prediction writes, by hand, and what is scored from
them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers.finished import finish
from usbench.datasets.codecs import histograms
from usbench.errors import DataError
from usbench.results import scoring
from usbench.results.predictions import (
    confidence_file,
    probability_histogram,
    read_predictions,
    write_predictions,
)
from usbench.runner.config import RunConfig
from usbench.types import Boxes, Masks

TARGET = Masks(np.array([[[True, True, False, False]], [[False, False, False, True]]]))


def test_a_histogram_by_hand():
    """Class 0: .95 and .05 right and wrong in the last and the first bin; class 1 is sure of what
    isn't there.
    """
    probabilities = np.array([[[0.95, 0.05, 0.05, 0.05]], [[1.0, 0.0, 0.0, 0.0]]], np.float32)
    table = probability_histogram(TARGET, probabilities)
    assert table[0, 14].tolist() == pytest.approx([1, 0.95, 1]) and table[
        0, 0
    ].tolist() == pytest.approx([3, 0.15, 1])
    assert table[1, 14].tolist() == [1, 1, 0] and table[1, 0].tolist() == [3, 0, 1]
    assert table.sum(axis=1)[:, 0].tolist() == [4, 4]


def test_an_unknown_class_has_no_pixel():
    target = Masks(TARGET.planes, known=np.array([True, False]))
    assert not probability_histogram(target, np.ones((2, 1, 4), np.float32))[1].any()


def test_probabilities_are_of_the_planes_shape():
    with pytest.raises(ValueError, match="probabilities"):
        Masks(TARGET.planes, probabilities=np.ones((1, 1, 4), np.float32))


@given(st.lists(st.lists(st.floats(0, 1e9, width=32), min_size=12, max_size=12), max_size=3))
def test_what_is_written_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("h") / "confidence-test.json"
    tables = [np.array(row).reshape(2, 2, 3) for row in rows]
    histograms.write_histograms(path, tables, 2, 2)
    actual = histograms.read_histograms(path, len(rows), 2, 2)
    assert actual.shape == (len(rows), 2, 2, 3) and np.allclose(
        actual.reshape(-1, 12), np.array(rows).reshape(-1, 12)
    )


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"shape": [2, 2, 3]}',
        '{"shape": [1, 2, 3], "images": []}',
        '{"shape": [2, 2, 3], "images": [[1]]}',
        json.dumps({"shape": [2, 2, 3], "images": [[1] * 11 + [-1]]}),
        json.dumps({"shape": [2, 2, 3], "images": [["1"] * 12]}),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "confidence-test.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"confidence-test\.json: "):
        histograms.read_histograms(path, 1, 2, 2)


@pytest.fixture
def run(compose, tmp_path) -> RunConfig:
    return finish(compose, tmp_path, "kidney", "segment")[0]


def predictions(samples, sure: float):
    """The target, each pixel with the same confidence in what it is."""
    for sample in samples:
        planes = sample.target.planes
        yield Masks(planes, probabilities=np.where(planes, sure, 1 - sure).astype(np.float32))


@pytest.mark.process
@pytest.mark.parametrize("sure", [1.0, 0.75])
def test_the_error_of_a_confidence_that_is_too_low(run, sure, tmp_path):
    """All right, with a confidence of .75: every pixel is .25 off."""
    test = run.open_dataset().samples("test")
    write_predictions(tmp_path, "test", test, predictions(test, sure))
    scores = scoring.score(run.metric, read_predictions(tmp_path, "test", test))
    figure = scores.protocol.scores["ece"]
    assert figure.value == pytest.approx(1 - sure, abs=1e-6)
    assert figure.low <= figure.value <= figure.high and figure.method == "bound"
    assert all(
        figures["ece"].value == pytest.approx(1 - sure, abs=1e-6)
        for figures in scores.protocol.per_class.values()
    )
    assert "ece: a pixel's probability" in scores.protocol.description


@pytest.mark.process
def test_a_model_without_probabilities_has_no_calibration(run, tmp_path):
    test = run.open_dataset().samples("test")
    write_predictions(tmp_path, "test", test, predictions(test, 0.75))
    assert confidence_file(tmp_path, "test").is_file()
    write_predictions(
        tmp_path, "test", test, (Masks(prediction.planes) for prediction in predictions(test, 0.75))
    )
    assert not confidence_file(
        tmp_path, "test"
    ).exists()  # an old one would be of other predictions
    assert (
        "ece"
        not in scoring.score(run.metric, read_predictions(tmp_path, "test", test)).protocol.scores
    )


def test_boxes_have_no_histogram_of_pixels(compose, tmp_path):
    config, _ = finish(compose, tmp_path, "usgra", "detect")
    test = config.open_dataset().samples("test")
    write_predictions(tmp_path, "test", test, (Boxes.empty(scored=True) for _ in range(len(test))))
    assert not confidence_file(tmp_path, "test").exists() and isinstance(tmp_path, Path)
