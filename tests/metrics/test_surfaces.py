"""Distances of outlines: little pictures by hand, every empty case, and parity with
google-deepmind's package.

MONAI's and MedPy's HD95 are other definitions: by how much is pinned here, so that nobody takes one
for the other.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import surface_distance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from medpy.metric.binary import hd95 as medpy_hd95
from scipy import ndimage

from usbench.errors import ConfigError
from usbench.metrics import outline_distances, outline_figures
from usbench.metrics.bootstrap import draw
from usbench.metrics.segment_scorer import SegmentScorer
from usbench.types import Masks


def square(top: int, left: int, side: int = 4, size: tuple[int, int] = (20, 30)) -> np.ndarray:
    plane = np.zeros(size, bool)
    plane[top : top + side, left : left + side] = True
    return plane


def test_one_pixel_against_another_by_hand():
    """A pixel's outline: four elements at its corners; 3 right and 4 down is 5 away, in mm by each
    side's length.
    """
    first, second = square(2, 2, 1), square(6, 5, 1)
    actual = outline_distances.measure_distances(first, second)
    assert len(actual.target) == 4 and actual.target_lengths.tolist() == pytest.approx(
        [math.sqrt(0.5)] * 4
    )
    # corners are 1 apart: from the nearest corner 2 right and 3 down, from the farthest 3 right and
    # 4 down
    assert sorted(actual.target) == pytest.approx(
        [math.hypot(2, 3), math.hypot(3, 3), math.hypot(2, 4), 5]
    )
    assert actual.hausdorff() == 5 and actual.hausdorff(0.5) == pytest.approx(math.hypot(3, 3))
    assert actual.mean() == pytest.approx(
        np.mean([math.hypot(2, 3), math.hypot(2, 4), math.hypot(3, 3), 5])
    )
    assert (
        actual.surface_dice(4.2) == 0.25
        and actual.surface_dice(4.3) == 0.5
        and actual.surface_dice(5) == 1
    )
    assert outline_distances.measure_distances(
        first, second, (0.5, 2)
    ).hausdorff() == pytest.approx(math.hypot(4 * 0.5, 3 * 2))


def test_a_square_s_outline_by_hand():
    """4 × 4 pixels: 12 straight elements of a pixel's side and 4 corners that are cut."""
    outline = outline_distances.find_outline(square(2, 3))
    lengths = outline_distances.contour_lengths((1, 1))[outline.codes]
    assert len(lengths) == 16 and lengths.sum() == pytest.approx(12 + 4 * math.sqrt(0.5))
    wide = outline_distances.contour_lengths((1, 3))[outline.codes]
    assert wide.sum() == pytest.approx(6 * 3 + 6 * 1 + 4 * math.sqrt(10) / 2)


def test_a_square_moved_two_to_the_right():
    """Above and below 3 of 5 elements meet, one is 1 away, one 2; of the left's other three all are
    2 away, of the right's the middle one, and those beside it 1 from the corners.
    """
    actual = outline_distances.measure_distances(square(2, 3), square(2, 5))
    assert actual.hausdorff() == 2 and actual.surface_dice(2) == 1
    assert sorted(actual.target) == pytest.approx([0] * 6 + [1] * 4 + [2] * 6, abs=1e-12)
    assert (
        outline_distances.measure_distances(square(2, 3), square(2, 5), (9, 0.5)).hausdorff() == 1
    )


def test_a_diagonal_pair_has_two_contours_in_one_neighbourhood():
    plane = np.eye(2, dtype=bool)
    codes = outline_distances.find_outline(np.pad(plane, 1)).codes
    assert outline_distances.contour_lengths((1, 1))[codes].max() == pytest.approx(math.sqrt(2))


def test_a_share_that_is_reached_exactly_is_reached_however_the_sum_was_rounded():
    """40 elements of √½: the first 38 are 95 % of the length, though their running sum falls 4e-16
    short of it.
    """
    lengths, distances = np.full(40, 0.7071067811865476), np.arange(40.0)
    assert np.cumsum(lengths)[37] / lengths.sum() < 0.95
    assert outline_distances.percentile(distances, lengths, 0.95) == 37


def test_without_a_tolerance_in_mm_it_is_twice_the_larger_side_of_a_pixel():
    """One column moved by 4 px of 0.1 mm: .4 mm is within 2 × 0.2 (rows), not within 2 × 0.1, nor 2
    × .15.
    """
    first, second = np.zeros((2, 20, 30), bool)
    first[2:18, 5], second[2:18, 9] = True, True
    assert outline_figures.measure_outlines(first, second, (0.2, 0.1), 2.0, None)["nsd_mm"] == 1.0
    assert outline_figures.measure_outlines(first, second, (0.15, 0.1), 2.0, None)["nsd_mm"] == 0.0
    assert outline_figures.measure_outlines(first, second, (0.2, 0.1), 2.0, 0.3)["nsd_mm"] == 0.0


def test_hd95_leaves_out_the_twentieth_of_the_outline_that_lies_farthest():
    """A long bar predicted exactly, one pixel 15 rows away: HD is its distance, HD95 is 0."""
    first = np.zeros((24, 90), bool)
    first[2:4, 2:88] = True
    second = first.copy()
    second[18, 40] = True
    case = outline_figures.measure_outlines(first, second, (2.0, 2.0), 2.0, None)
    assert case["hd95_px"] == case["hd95_mm"] == 0
    assert case["hd_px"] == 15 and case["hd_mm"] == 30 and 0 < case["assd_px"] < 1


def test_one_empty_and_both_empty():
    none = np.zeros((20, 30), bool)
    assert (
        outline_distances.measure_distances(none, none) is None
        and outline_distances.measure_distances(none, square(2, 3)) is None
    )
    assert outline_figures.measure_outlines(none, none, (0.1, 0.2), 2, None) == {}
    lone = outline_figures.measure_outlines(square(2, 3), none, (0.1, 0.2), 2, None)
    assert lone == {
        "diagonal_px": math.hypot(20, 30),
        "diagonal_mm": pytest.approx(math.hypot(2, 6)),
        "nsd": 0.0,
        "nsd_mm": 0.0,
    }
    with pytest.raises(ValueError, match="one shape"):
        outline_distances.measure_distances(none, none[1:])


def test_both_units_are_measured_apart():
    case = outline_figures.measure_outlines(square(2, 3), square(2, 5), (9, 0.5), 1, 0.5)
    assert (case["hd_px"], case["hd_mm"]) == (2, 1)
    assert case["nsd"] == pytest.approx(
        outline_distances.measure_distances(square(2, 3), square(2, 5)).surface_dice(1)
    )
    assert (
        case["nsd_mm"] < 1
        and outline_figures.measure_outlines(square(2, 3), square(2, 5), (9, 0.5), 1, None)[
            "nsd_mm"
        ]
        == 1
    )
    assert "hd_mm" not in outline_figures.measure_outlines(
        square(2, 3), square(2, 5), None, 1, None
    )


def test_a_mask_at_the_border_has_an_outline_there():
    full = np.ones((5, 7), bool)
    actual = outline_distances.measure_distances(full, full)
    assert actual.mean() == 0 and actual.target_lengths.sum() == pytest.approx(
        2 * 4 + 2 * 6 + 4 * math.sqrt(0.5)
    )


# ---- parity

BLOBS = arrays(bool, (9, 12), elements=st.booleans(), fill=st.just(False))
SIDES = st.sampled_from([(1.0, 1.0), (0.029, 0.036), (2.0, 0.5), (0.1, 0.1)])


def theirs(
    target: np.ndarray, prediction: np.ndarray, spacing: tuple[float, float], tolerance: float
) -> list[float]:
    """surface-distance: HD, HD95, mean over both outlines, surface Dice."""
    actual = surface_distance.compute_surface_distances(target, prediction, spacing)
    both = [
        ("distances_gt_to_pred", "surfel_areas_gt"),
        ("distances_pred_to_gt", "surfel_areas_pred"),
    ]
    total = sum(float(actual[d] @ actual[a]) for d, a in both) / sum(
        float(actual[a].sum()) for _, a in both
    )
    return [
        surface_distance.compute_robust_hausdorff(actual, 100),
        surface_distance.compute_robust_hausdorff(actual, 95),
        total,
        surface_distance.compute_surface_dice_at_tolerance(actual, tolerance),
    ]


def ours(
    target: np.ndarray, prediction: np.ndarray, spacing: tuple[float, float], tolerance: float
) -> list[float]:
    actual = outline_distances.measure_distances(target, prediction, spacing)
    return [
        actual.hausdorff(),
        actual.hausdorff(0.95),
        actual.mean(),
        actual.surface_dice(tolerance),
    ]


@settings(max_examples=200)
@given(BLOBS, BLOBS, SIDES, st.sampled_from([0.0, 1.0, 2.0, 3.3]))
def test_any_masks_measure_as_by_surface_distance(target, prediction, spacing, pixels):
    if target.any() and prediction.any():
        tolerance = pixels * max(spacing)
        expected = theirs(target, prediction, spacing, tolerance)
        actual = ours(target, prediction, spacing, tolerance)
        assert [actual[0], *actual[2:]] == pytest.approx([expected[0], *expected[2:]], abs=1e-9)
        # where a distance covers exactly 95 % of an outline, theirs hangs on how a sum was rounded:
        # it or the next
        both = outline_distances.measure_distances(target, prediction, spacing)
        assert (
            both.hausdorff(0.95 - 1e-9) - 1e-9 <= expected[1] <= both.hausdorff(0.95 + 1e-9) + 1e-9
        )
        if both.hausdorff(0.95 - 1e-9) == both.hausdorff(0.95 + 1e-9):
            assert actual[1] == pytest.approx(expected[1], abs=1e-9)


@given(BLOBS, BLOBS)
def test_distances_are_symmetric_and_stay_when_both_masks_move(target, prediction):
    if not (target.any() and prediction.any()):
        return
    there = ours(target, prediction, (1, 1), 2)
    assert ours(prediction, target, (1, 1), 2) == pytest.approx(there)
    padded = [np.pad(plane, ((3, 8), (5, 1))) for plane in (target, prediction)]
    assert ours(*padded, (1, 1), 2) == pytest.approx(there)
    scaled = ours(target, prediction, (0.125, 0.125), 0.25)
    assert scaled == pytest.approx(
        [*(value / 8 for value in there[:3]), there[3]]
    )  # a power of 2 rounds nothing


def smooth(seed: int) -> np.ndarray:
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(96, 128)), 12)
    return field > np.quantile(field, 0.8)


@pytest.mark.simulate
@given(BLOBS, BLOBS)
def test_the_other_definitions_are_medpy_s_and_monai_s(target, prediction):
    import torch
    from monai import metrics as monai

    if target.any() and prediction.any():
        actual = outline_distances.pixel_hd95(target, prediction)
        assert actual.medpy == pytest.approx(medpy_hd95(prediction, target))
        first, second = (torch.from_numpy(plane)[None, None] for plane in (prediction, target))
        theirs = monai.compute_hausdorff_distance(
            first, second, percentile=95, include_background=True
        )
        assert actual.monai == pytest.approx(float(theirs), rel=1e-5)


def test_the_other_definitions_are_of_two_masks():
    assert outline_distances.pixel_hd95(square(2, 3), np.zeros((20, 30), bool)) is None
    actual = outline_distances.pixel_hd95(square(2, 3), square(2, 5), (9, 0.5))
    assert (actual.monai, actual.medpy) == (1, 1)


@pytest.mark.simulate
def test_monai_and_medpy_define_hd95_otherwise():
    """Pixels instead of weighted surface elements: not the same figure, though near on smooth
    shapes.
    """
    import torch  # slow to import, as MONAI is: only here
    from monai import metrics as monai

    ours_hd, monai_hd, medpy_hd = [], [], []
    for seed in range(20):
        target, prediction = (
            smooth(seed),
            np.roll(smooth(seed), (3, 5), axis=(0, 1)) & smooth(seed + 100) | smooth(seed),
        )
        ours_hd.append(outline_distances.measure_distances(target, prediction).hausdorff(0.95))
        tensors = [torch.from_numpy(plane)[None, None] for plane in (prediction, target)]
        monai_hd.append(
            float(
                monai.compute_hausdorff_distance(*tensors, percentile=95, include_background=True)
            )
        )
        medpy_hd.append(medpy_hd95(prediction, target))
    assert np.mean(monai_hd) != pytest.approx(np.mean(ours_hd), rel=1e-3)
    assert np.mean(medpy_hd) != pytest.approx(np.mean(ours_hd), rel=1e-3)
    assert np.mean(monai_hd) == pytest.approx(np.mean(ours_hd), rel=0.3)


# ---- over many images


def test_figures_over_images_by_hand():
    """Two images with distance 2 and 4, one with the class in one mask, one in none; a diagonal of
    36.06.
    """
    scorer = SegmentScorer(["a"])
    none = np.zeros((20, 30), bool)
    pairs = [
        (square(2, 3), square(2, 5)),
        (square(2, 3), square(2, 7)),
        (square(2, 3), none),
        (none, none),
    ]
    for n, (target, prediction) in enumerate(pairs):
        scorer.update(str(n), str(n), Masks(target[None]), Masks(prediction[None]), (20, 30))
    actual = scorer.result().protocol.scores
    assert actual["hd_px"].value == 3 and actual["hd_px"].n == 2
    assert actual["hd_px:penalty"].value == pytest.approx((2 + 4 + math.hypot(20, 30)) / 3)
    assert actual["hd_px:penalty"].n == 3
    assert actual["undefined_px"].value == 1
    near = outline_distances.measure_distances(square(2, 3), square(2, 7)).surface_dice(2)
    assert actual["nsd"].value == pytest.approx((1 + near + 0) / 3) and actual["nsd"].n == 3
    assert actual["hd_mm"].value is None and "size isn't known" in actual["hd_mm"].reason
    assert all(f.value is None or math.isfinite(f.value) for f in actual.values())
    rows = scorer.cases
    assert (
        rows[0]["hd_px"] == 2
        and rows[2]["hd_px"] is None
        and rows[2]["nsd"] == 0
        and rows[3]["nsd"] is None
    )


def test_mm_are_averaged_over_images_whose_pixels_have_a_size():
    scorer = SegmentScorer(["a"])
    for n, spacing in enumerate([(1.0, 0.5), None]):
        scorer.update(
            str(n), str(n), Masks(square(2, 3)[None]), Masks(square(2, 5)[None]), (20, 30), spacing
        )
    actual = scorer.result().protocol.scores
    assert (actual["hd_mm"].value, actual["hd_mm"].n, actual["hd_px"].value, actual["hd_px"].n) == (
        1,
        1,
        2,
        2,
    )


def test_an_unknown_class_has_no_outline():
    scorer = SegmentScorer(["a"])
    scorer.update(
        "1", "1", Masks(square(2, 3)[None], known=np.array([False])), Masks(square(2, 5)[None])
    )
    assert scorer.result().protocol.scores["nsd"].value is None


def test_no_image_has_no_figures():
    overall, per_class = outline_figures.summarise_outlines([], draw([]))
    assert per_class == [] and all(
        figure.value is None and figure.reason for figure in overall.values()
    )


@pytest.mark.parametrize("tolerance", [-1, math.inf, math.nan, "2"])
def test_a_tolerance_that_is_no_length_is_refused(tolerance):
    with pytest.raises(ConfigError, match="tolerance_px"):
        SegmentScorer(["a"], tolerance_px=tolerance)


def test_the_dataset_s_tolerance_holds_unless_the_user_chose_one(compose):
    from usbench.datasets.config import ViewConfig
    from usbench.runner.resolve import metric_node

    metric = compose("dataset=usgra", "model=unet")["metric"]
    view = ViewConfig({}, tolerance={"px": 4, "mm": 0.3})
    assert metric_node(metric, view)["tolerance_px"] == 4
    chosen = metric_node({**metric, "tolerance_px": 1}, view)
    assert (chosen["tolerance_px"], chosen["tolerance_mm"]) == (1, 0.3)
    description = (
        SegmentScorer(["a"], tolerance_px=4, tolerance_mm=0.3).result().protocol.description
    )
    assert "at 4 px, in mm at 0.3 mm" in description
