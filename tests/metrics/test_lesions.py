"""Figures at one confidence, per image and per false alarm: small sets with answers by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from tests.helpers.drawn_boxes import SQUARE, Pairs, draw_prediction, draw_target, random_pairs
from usbench.metrics import box_protocols, detection_figures
from usbench.metrics.bootstrap import draw
from usbench.metrics.matches import Matches
from usbench.metrics.scores import figure_values
from usbench.types import Boxes

AWAY = (50, 50, 60, 60)
OTHER = (30, 30, 40, 40)
NOTHING = Boxes.empty(scored=True)


def matches(pairs: Pairs, classes: int = 1) -> Matches:
    """All classes together."""
    return box_protocols.match_pairs(box_protocols.BOX_PROTOCOLS["coco"], pairs, classes)[
        0
    ].pool_classes()


def figures(pairs: Pairs, confidence: float = 0.25, classes: int = 1) -> dict[str, float | None]:
    return figure_values(
        detection_figures.detection_figures(
            matches(pairs, classes), confidence, draw([str(n) for n in range(len(pairs))])
        )
    )


FOUR: Pairs = [
    (
        draw_target(SQUARE, OTHER),
        draw_prediction((*SQUARE, 0.9), (*SQUARE, 0.6), (*OTHER, 0.3)),
    ),  # hit, second box on it, hit
    (draw_target(SQUARE), draw_prediction((*AWAY, 0.8), (*SQUARE, 0.7))),  # miss, hit
    (Boxes.empty(), draw_prediction((*AWAY, 0.5))),  # a false alarm
    (Boxes.empty(), NOTHING),
]


@pytest.mark.parametrize(
    ("confidence", "hits", "wrong"),
    [(0.95, 0, 0), (0.9, 1, 0), (0.75, 1, 1), (0.65, 2, 1), (0.5, 2, 3), (0.0, 3, 3)],
)
def test_precision_recall_and_f1_of_three_targets(confidence, hits, wrong):
    """The threshold itself counts: a box of .9 is found at .9, float32 or not."""
    actual = figures(FOUR, confidence)
    assert actual["precision"] == (pytest.approx(hits / (hits + wrong)) if hits + wrong else None)
    assert actual["recall"] == pytest.approx(hits / 3)
    assert actual["f1"] == pytest.approx(2 * hits / (hits + wrong + 3))


def test_false_positives_on_the_images_without_a_target():
    """Two such images, one of them with a box of .5."""
    assert [figures(FOUR, confidence)["fp_per_empty_image"] for confidence in (0.4, 0.5, 0.6)] == [
        0.5,
        0.5,
        0.0,
    ]
    assert figures(FOUR[:2])["fp_per_empty_image"] is None


def test_sensitivity_at_false_positives_per_image():
    """Four images, so ¼ allows 1 false positive, ½ two, 1 four.

    In order: hit .9, miss .8, hit .7, miss .6, miss .5, hit .3: with 1 two of three are found, with
    2 as well, with 3 all.
    """
    actual = figures(FOUR)
    assert [actual[f"sens_fppi_{rate}"] for rate in ("0.25", "0.5", "1", "2")] == pytest.approx(
        [2 / 3, 2 / 3, 1, 1]
    )
    froc = detection_figures.sensitivities(
        matches(FOUR), np.array([0.0, 0.249, 0.25, 0.75]), np.ones((1, 4))
    )
    assert froc[0] == pytest.approx([1 / 3, 1 / 3, 2 / 3, 1])


def test_boxes_of_one_score_come_together():
    """A hit and two misses at .5: no threshold has the hit alone, so 1 false positive per image
    finds nothing.
    """
    pairs = [(draw_target(SQUARE), draw_prediction((*SQUARE, 0.5), (*AWAY, 0.5), (*OTHER, 0.5)))]
    actual = figures(pairs)
    assert (actual["sens_fppi_1"], actual["sens_fppi_2"]) == (0.0, 1.0)
    assert detection_figures.best_confidence(matches(pairs)) == 0.5


def test_whether_an_image_has_a_target_is_seen_by_its_highest_score():
    """Present: .9, .8; absent: .5 and nothing, which is 0: all four pairs are in order. Then .85
    for the third: of its two pairs one is lost: 3/4. Then .8, a tie: 3.5/4. An image with a target
    and no box is at 0, too: a tie.
    """
    assert figures(FOUR)["auroc_image"] == 1.0
    for score, expected in ((0.85, 0.75), (0.8, 0.875)):
        pairs = [*FOUR[:2], (Boxes.empty(), draw_prediction((*AWAY, score))), FOUR[3]]
        assert figures(pairs)["auroc_image"] == expected
    assert figures([(draw_target(SQUARE), NOTHING), FOUR[3]])["auroc_image"] == 0.5
    assert figures(FOUR[:2])["auroc_image"] is None


@pytest.mark.parametrize("seed", range(3))
def test_parity_with_scikit_learn(seed):
    pairs = random_pairs(seed, 40)
    present = [len(own.labels) > 0 for own, _ in pairs]
    highest = [float(actual.scores.max(initial=0)) for _, actual in pairs]
    assert figures(pairs, classes=3)["auroc_image"] == pytest.approx(
        roc_auc_score(present, highest), abs=1e-12
    )


def test_calibration_is_of_every_box():
    """Bins of .9 | .8 | .7 | .6 | .5 and .3, one box each: hits at .9, .7 and .3."""
    expected = (0.1 + 0.8 + 0.3 + 0.6 + 0.5 + 0.7) / 6
    assert figures(FOUR)["ece"] == pytest.approx(expected, abs=1e-6)
    assert figures(FOUR[3:])["ece"] is None


def test_the_best_confidence():
    """F1 of three targets: at .9 2/4, at .7 4/6, at .3 6/9: the lowest of equals. Without the .3 it
    is .7.
    """
    assert detection_figures.best_confidence(matches(FOUR)) == pytest.approx(0.3)
    short = [(FOUR[0][0], draw_prediction((*SQUARE, 0.9), (*SQUARE, 0.6))), *FOUR[1:]]
    assert detection_figures.best_confidence(matches(short)) == pytest.approx(0.7)


def test_boxes_of_one_score_are_found_together():
    """Two targets: at .9 F1 is 2/3; at .5 come a hit and three misses, 4/7. The hit alone would
    have 4/4.
    """
    away = [(n, 60, n + 5, 65, 0.5) for n in (0, 20, 40)]
    pair = [(draw_target(SQUARE, OTHER), draw_prediction((*SQUARE, 0.9), (*OTHER, 0.5), *away))]
    assert detection_figures.best_confidence(matches(pair)) == pytest.approx(0.9)


@pytest.mark.parametrize("pairs", [[], FOUR[3:], FOUR[2:], [(draw_target(SQUARE), NOTHING)]])
def test_without_a_hit_there_is_no_best_confidence(pairs):
    assert detection_figures.best_confidence(matches(pairs)) == detection_figures.DEFAULT_CONFIDENCE


@pytest.mark.parametrize("seed", range(3))
def test_the_best_confidence_is_the_best_of_all(seed):
    actual = matches(random_pairs(seed), 3)
    best = detection_figures.best_confidence(actual)
    f1 = {
        float(score): detection_figures.box_rates(
            detection_figures.count_boxes(actual, score).sum(axis=0)
        )[2]
        for score in actual.score
    }
    assert best == min(score for score in f1 if f1[score] == max(f1.values())) and f1[best] > 0


def test_what_is_ignored_counts_nowhere():
    own = matches(FOUR)
    ignored = own.ignored.copy()
    ignored[:, own.score == np.float32(0.5)] = True  # the false alarm lies in a crowd
    crowded = Matches(own.starts, own.image, own.score, own.rank, own.hit, ignored, own.targets)
    actual = figure_values(detection_figures.detection_figures(crowded, 0.4, draw(list("abcd"))))
    assert (actual["fp_per_empty_image"], actual["precision"]) == (0.0, pytest.approx(2 / 4))
    assert actual["sens_fppi_0.5"] == 1.0  # 2 false positives, not 3, before the last hit
    assert actual["ece"] == pytest.approx((0.1 + 0.8 + 0.3 + 0.6 + 0.7) / 5, abs=1e-6)
    present = [*FOUR[:2], (Boxes.empty(), NOTHING), FOUR[3]]
    assert actual["auroc_image"] == figures(present)["auroc_image"]


@given(st.integers(0, 30), st.lists(st.integers(0, 3), min_size=8, max_size=8))
@settings(max_examples=25)
def test_sensitivity_with_weights_is_that_of_repeated_images(seed, weights):
    """Ties or not: boxes of equal score come together anyway."""
    pairs, rates = random_pairs(seed, 8), np.array(detection_figures.FROC_RATES)
    repeated = [pair for pair, times in zip(pairs, weights, strict=True) for _ in range(times)]
    weighted = detection_figures.sensitivities(
        matches(pairs, 3), rates, np.array([[1.0] * 8, weights])
    )[1]
    if not repeated:
        assert np.isnan(weighted).all()
        return
    listed = detection_figures.sensitivities(
        matches(repeated, 3), rates, np.ones((1, len(repeated)))
    )[0]
    assert np.array_equal(weighted, listed, equal_nan=True)


@pytest.mark.parametrize("margin", [0.0, 0.5, 1.5, np.inf])
def test_sensitivity_doesn_t_depend_on_how_many_boxes_are_looked_at_first(monkeypatch, margin):
    """Equal scores included. With a margin of 0 or .5 some resamples need all boxes, others not."""
    pairs, rates = random_pairs(5, 60), np.array([0.1, 0.25, 0.5])
    weights = draw(list(map(str, range(60))), 50).weights
    found = matches(pairs, 3).pool_classes()
    expected = [
        detection_figures.sensitivities(
            matches([pairs[n] for n, k in enumerate(row) for _ in range(int(k))], 3),
            rates,
            np.ones((1, 60)),
        )[0]
        for row in weights
    ]
    monkeypatch.setattr(detection_figures, "MARGIN", margin)
    assert np.array_equal(detection_figures.sensitivities(found, rates, weights), expected)


def test_every_figure_has_an_interval_that_holds_it():
    pairs = random_pairs(0, 40)
    draws = draw([str(n // 2) for n in range(40)])
    for name, figure in detection_figures.detection_figures(matches(pairs, 3), 0.5, draws).items():
        assert figure.low is not None and figure.low <= figure.value <= figure.high, name
        assert figure.interval is None
    few = detection_figures.detection_figures(
        matches(pairs, 3), 0.5, draw([str(n // 10) for n in range(40)])
    )
    assert all(figure.low is None and "groups, got 4" in figure.interval for figure in few.values())
