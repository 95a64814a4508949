"""Average precision with weights: weight 2 is an image listed twice, under either rule."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.helpers.drawn_boxes import SQUARE, draw_prediction, draw_target, random_pairs
from usbench.metrics import average_precision, box_protocols, chunks
from usbench.metrics.average_precision import average_precisions, hits_needed, recalls

RULES = pytest.mark.parametrize(
    "rule",
    [box_protocols.BOX_PROTOCOLS["coco"], box_protocols.BOX_PROTOCOLS["ultralytics"]],
    ids=lambda rule: rule.name,
)
AWAY = (50, 50, 60, 60)


@pytest.mark.parametrize("targets", [1, 3, 7, 50, 100, 101, 333, 12345])
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_hits_needed_are_those_that_a_search_in_floats_finds(targets, side):
    recall = np.arange(targets + 1) / targets
    expected = np.searchsorted(recall, average_precision.POINTS, side=side)
    assert (hits_needed(np.array([float(targets)]), side)[0] == expected).all()


@RULES
@given(seed=st.integers(0, 50), weights=st.lists(st.integers(0, 3), min_size=8, max_size=8))
@settings(max_examples=25)
def test_weights_repeat_images_exactly(rule, seed, weights):
    """No two scores are equal but those of an image's copies: the figures agree to the last bit."""
    pairs = random_pairs(seed, 8, ties=False)
    repeated = [pair for pair, times in zip(pairs, weights, strict=True) for _ in range(times)]
    weighted = box_protocols.match_pairs(rule, pairs, 3), np.array([weights], np.float64)
    listed = box_protocols.match_pairs(rule, repeated, 3), np.ones((1, len(repeated)))
    for first, second in zip(weighted[0], listed[0], strict=True):
        values = [
            average_precisions(actual, rule.curve, w)
            for actual, w in ((first, weighted[1]), (second, listed[1]))
        ]
        assert np.array_equal(*values, equal_nan=True)
        shares = [
            recalls(actual, 10, w) for actual, w in ((first, weighted[1]), (second, listed[1]))
        ]
        assert np.array_equal(*shares, equal_nan=True)


@RULES
def test_a_resample_is_the_same_alone_or_among_others_whatever_the_chunk(rule, monkeypatch):
    pairs = random_pairs(1, 20)
    weights = np.random.default_rng(0).integers(0, 3, (40, 20)).astype(np.float64)
    (actual, *_) = box_protocols.match_pairs(rule, pairs, 3)
    whole = average_precisions(actual, rule.curve, weights)
    monkeypatch.setattr(chunks, "CHUNK", 1000)
    assert np.array_equal(whole, average_precisions(actual, rule.curve, weights), equal_nan=True)
    alone = [average_precisions(actual, rule.curve, row[None])[0] for row in weights]
    assert np.array_equal(whole, np.stack(alone), equal_nan=True)


def test_a_repeated_box_stands_beside_itself():
    """One image, a hit and a false positive of equal score, twice: hit, hit, miss, miss (AP 1).

    An evaluator that lists the image twice has hit, miss, hit, miss: 51 points at 1, 50 at 2/3.
    Only ties within an image make that difference.
    """
    pair = (draw_target(SQUARE), draw_prediction((*SQUARE, 0.5), (*AWAY, 0.5)))
    rule = box_protocols.BOX_PROTOCOLS["coco"]
    weighted = average_precisions(
        box_protocols.match_pairs(rule, [pair], 1)[0], rule.curve, np.array([[2.0]])
    )
    assert weighted.tolist() == [[[1.0]] * 10]
    listed = box_protocols.score_pairs([pair, pair], ["a"]).scores["map50"].value
    assert listed == pytest.approx((51 + 50 * 2 / 3) / 101)


@RULES
def test_a_class_that_a_resample_has_no_target_of_is_undefined_there(rule):
    pairs = [
        (draw_target(SQUARE), draw_prediction((*SQUARE, 0.9))),
        (draw_target(SQUARE, labels=[1]), draw_prediction((*SQUARE, 0.9), labels=[1])),
    ]
    weights = np.array([[1.0, 1.0], [2.0, 0.0], [0.0, 0.0]])
    (actual, *_) = box_protocols.match_pairs(rule, pairs, 2)
    defined = np.isfinite(average_precisions(actual, rule.curve, weights)[:, 0])
    assert defined.tolist() == [[True, True], [True, False], [False, False]]
    assert np.isfinite(recalls(actual, 1, weights)).tolist() == defined.tolist()


def test_by_hand_with_weights():
    """Image 0: hit at .9. Image 1: miss at .8, hit at .7. Weights 1 and 3: 4 targets, 1 hit, 3
    misses, 3 hits.

    COCO: recall to 1/4 with precision 1 (26 points: 0 … .25), then 4/7 (75 points). Ultralytics: at
    .25 itself 4/7, so 25 points at 1, one of them a half trapezoid; at 1 it is 0.
    """
    pairs = [
        (draw_target(SQUARE), draw_prediction((*SQUARE, 0.9))),
        (draw_target(SQUARE), draw_prediction((*AWAY, 0.8), (*SQUARE, 0.7))),
    ]
    weights = np.array([[1.0, 3.0]])
    actual = {
        name: average_precisions(box_protocols.match_pairs(rule, pairs, 1)[0], rule.curve, weights)[
            0, 0, 0
        ]
        for name, rule in box_protocols.BOX_PROTOCOLS.items()
    }
    assert actual["coco"] == pytest.approx((26 + 75 * 4 / 7) / 101)
    assert actual["ultralytics"] == pytest.approx((0.5 + 24 + 75 * 4 / 7) / 100)
