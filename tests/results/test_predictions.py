"""What a model predicts is checked before it is stored: type, classes, number."""

import re

import numpy as np
import pytest

from usbench.errors import DataError
from usbench.results.predictions import check_predictions
from usbench.types import Boxes, Landmarks, Masks

CLASSES = ["cyst", "lesion"]


def masks(planes: int) -> Masks:
    return Masks(np.zeros((planes, 4, 6), bool))


def points(paths: int) -> Landmarks:
    return Landmarks((np.zeros((1, 2), np.float32),) * paths, np.zeros(paths, np.int8))


def boxes(label: int) -> Boxes:
    return Boxes(np.float32([[0, 0, 2, 2]]), np.array([label]), np.ones(1, np.float32))


@pytest.mark.parametrize(
    ("task", "predictions", "says"),
    [
        ("segment", [masks(1)] * 2, "prediction 1 of 2: expected 2 planes (cyst, lesion), got 1"),
        (
            "segment",
            [masks(2), masks(3)],
            "prediction 2 of 2: expected 2 planes (cyst, lesion), got 3",
        ),
        (
            "segment",
            [np.zeros((2, 4, 6))],
            "prediction 1 of 2: expected usbench.types.Masks (task=segment), got ndarray",
        ),
        ("segment", [boxes(0)], "expected usbench.types.Masks (task=segment), got Boxes"),
        ("detect", [None], "expected usbench.types.Boxes (task=detect), got NoneType"),
        ("detect", [boxes(2)], "expected labels from 0 to 1 (cyst, lesion), got 2 to 2"),
        ("landmark", [points(1)], "expected 2 paths (cyst, lesion), got 1"),
        ("segment", [masks(2)], "expected 2 predictions, one per image, got 1"),
        ("segment", [], "expected 2 predictions, one per image, got 0"),
        ("segment", [masks(2)] * 3, "expected 2 predictions, one per image, got more"),
    ],
)
def test_a_wrong_prediction_is_named(task, predictions, says):
    with pytest.raises(DataError, match=re.escape(says)):
        list(check_predictions(predictions, 2, task, CLASSES))


def test_right_predictions_pass():
    predictions = [masks(2), masks(2)]
    assert list(check_predictions(iter(predictions), 2, "segment", CLASSES)) == predictions
