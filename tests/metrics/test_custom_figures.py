"""Custom figures: a number per image or one per class, their direction, and what is refused."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from torchmetrics import MeanSquaredError

from usbench.errors import ConfigError
from usbench.metrics.detect_scorer import DetectScorer
from usbench.metrics.landmark_scorer import LandmarkScorer
from usbench.metrics.modules import PerImage
from usbench.metrics.scores import declared_direction
from usbench.metrics.segment_scorer import SegmentScorer
from usbench.types import SEEN, Boxes, Landmarks, Masks


def missed_px(target, prediction):
    """Per class the target's px that aren't predicted; None where the target has none."""
    missed = (target.planes & ~prediction.planes).sum(axis=(1, 2))
    there = target.planes.any(axis=(1, 2))
    return [int(n) if has else None for n, has in zip(missed, there, strict=True)]


missed_px.higher_is_better = False


def planes(*rows: str) -> Masks:
    """A plane per row of marks."""
    return Masks(np.array([[[mark == "1" for mark in row]] for row in rows]))


def score_masks(functions, *pairs: tuple[Masks, Masks], groups: int = 6):
    """The reporting protocol of so many copies of the pairs, each copy a group."""
    scorer = SegmentScorer(["a", "b"], extra=functions)
    for group in range(groups):
        for n, (target, prediction) in enumerate(pairs):
            scorer.update(f"{group}-{n}", str(group), target, prediction)
    return scorer.result().protocol


def test_numbers_by_class_are_averaged_by_class_then_over_classes():
    """a misses 1 and 3 px: 2; b misses 2 px in one image, and isn't in the other: 2; mean 2."""
    pairs = [
        (planes("1100", "0011"), planes("0100", "0000")),
        (planes("1110", "0000"), planes("0000", "0000")),
    ]
    protocol = score_masks({"missed": missed_px}, *pairs)
    assert (
        protocol.per_class["a"]["missed"].value == 2 and protocol.per_class["a"]["missed"].n == 12
    )
    assert protocol.per_class["b"]["missed"].value == 2 and protocol.per_class["b"]["missed"].n == 6
    assert protocol.scores["missed"].value == 2 and protocol.scores["missed"].groups == 6
    assert protocol.scores["missed"].higher_is_better is False
    assert protocol.per_class["a"]["missed"].higher_is_better is False


def test_a_number_for_the_image_has_no_classes():
    pair = (planes("1100", "0011"), planes("0100", "0000"))
    protocol = score_masks({"size": lambda t, p: float(t.planes.sum())}, pair)
    assert protocol.scores["size"].value == 4
    assert protocol.scores["size"].higher_is_better is None
    assert "size" not in protocol.per_class["a"]


def test_an_image_may_be_undefined_as_a_whole():
    pairs = [(planes("1100", "0011"), planes("0100", "0000")), (planes("0000", "0000"),) * 2]
    function = lambda t, p: missed_px(t, p) if t.planes.any() else None  # noqa: E731
    assert score_masks({"missed": function}, *pairs).scores["missed"].value == 1.5


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"odd": lambda t, p: [1.0]}, "metric.extra.odd: expected a number, or 2, one per class"),
        ({"dice": lambda t, p: 1.0}, "metric.extra.dice: the metric has a score of that name"),
    ],
)
def test_other_values_and_taken_names_are_refused(functions, message):
    with pytest.raises(ConfigError, match=message):
        score_masks(functions, (planes("1100", "0011"), planes("0100", "0000")))


def test_boxes_and_landmarks_have_them_too():
    boxes = DetectScorer(["a", "b"], extra={"count": lambda t, p: [1.0, 3.0]})
    empty = Boxes.empty()
    boxes.update("1", "g", empty, Boxes.empty(scored=True), (9, 9))
    assert boxes.result().protocol.per_class["b"]["count"].value == 3
    marks = LandmarkScorer(["a"], extra={"shift": lambda t, p: float(p.paths[0][0, 0])})
    for n in range(5):
        point = Landmarks((np.float32([[n, 0]]),), np.array([SEEN]), np.ones(1, np.float32))
        marks.update(str(n), str(n), point, point)
    figure = marks.result().protocol.scores["shift"]
    assert figure.value == 2 and figure.groups == 5 and figure.low is not None


def test_a_direction_is_the_function_s_or_the_torchmetrics_metric_s():
    assert declared_direction(partial(missed_px)) is False
    assert declared_direction(PerImage(MeanSquaredError())) is False
    assert declared_direction(len) is None
