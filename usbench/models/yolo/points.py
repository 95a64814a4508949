"""Landmarks as ultralytics' pose nets know them: one instance per image, and in it a place and a presence per name.

The instance is the rectangle around all points that are seen, with a margin, so that one point alone is an instance
too; where none is, it is the whole image, whose names are all absent. The loss's tolerance is twice a name's sigma
times the root of the instance's area. A name that is off is absent (the presence learns it, the place doesn't); of a
blurred one neither learns anything. Curves aren't predicted: see `absent`. Needs no ultralytics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from usbench.errors import ConfigError
from usbench.models.yolo.boxes import Fit, Frame, Image8, outputs
from usbench.types import BLURRED, OFF, SEEN, Landmarks, Sample, Target

UNKNOWN, HERE = 1, 2  # visibilities in a label, besides 0 for what isn't there
CENTRE = 0.5
MARGIN = 0.25  # around the points, as share of the image; with a narrow one lone points are hardly learnt
PRESENT = 0.5  # presence from which on a name counts as seen
SURELY_NOT = -30.0  # a logit


@dataclass(frozen=True)
class Points:
    """What a run knows of its names. sigmas: (K,), see above; flip: (K,), whose place a
    name takes in a mirrored image, or empty."""

    sigmas: tuple[float, ...]
    flip: tuple[int, ...]


def told(sigmas: object, flip: object, classes: int, augment: object) -> Points:
    """From a configuration: one sigma for all names or one for each. ConfigError for anything else, and for a flip in
    the augmentation without a flip map."""
    listed = [sigmas] * classes if isinstance(sigmas, (int, float)) else sigmas
    if (
        not isinstance(listed, Sequence)
        or len(listed) != classes
        or not all(_positive(value) for value in listed)
    ):
        raise ConfigError(
            f"yolov8_pose: kpt_oks_sigmas: a number above 0, or {classes} of them, was wanted: {sigmas!r}"
        )
    places = [] if flip is None else flip
    if not isinstance(places, Sequence) or (places and sorted(places) != list(range(classes))):
        raise ConfigError(
            f"yolov8_pose: flip_idx: null or each of 0..{classes - 1} once was wanted, found {flip!r}"
        )
    flips = isinstance(augment, dict) and (augment.get("fliplr") or augment.get("flipud"))
    if flips and not places:
        raise ConfigError(
            "yolov8_pose: a flip exchanges names: it needs model.build.flip_idx, else fliplr=flipud=0"
        )
    return Points(tuple(float(value) for value in listed), tuple(int(place) for place in places))


def _positive(value: object) -> bool:
    return (
        isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")
    )


def curves_of(samples: Sequence[Sample], classes: int) -> NDArray[np.bool_]:
    """(K,): which names are seen as a curve anywhere; what is never seen counts as a point."""
    curves = np.zeros(classes, bool)
    for sample in samples:
        assert isinstance(sample.target, Landmarks)
        curves |= [
            len(path) > 1 and s == SEEN
            for path, s in zip(sample.target.paths, sample.target.state, strict=True)
        ]
    return curves


def points_in(samples: Iterable[Sample], curves: NDArray[np.bool_]) -> int:
    """How many points are seen."""
    states = (sample.target.state for sample in samples if isinstance(sample.target, Landmarks))
    return sum(int(((state == SEEN) & ~curves).sum()) for state in states)


def label_lines(
    target: Target, height: int, width: int, curves: NDArray[np.bool_]
) -> Iterator[str]:
    """The instance with its points: x and y as shares of the image, edges on edges, and the visibility."""
    assert isinstance(target, Landmarks)
    points = np.zeros((len(curves), 3))
    for point, path, state, curve in zip(points, target.paths, target.state, curves, strict=True):
        if curve or state == BLURRED:
            point[:] = CENTRE, CENTRE, UNKNOWN
        elif state == SEEN:
            point[:2] = np.clip((path[0].astype(np.float64) + 0.5) / [width, height], 0, 1)
            point[2] = HERE
    seen = points[points[:, 2] == HERE, :2]
    low, high = (seen.min(0), seen.max(0)) if len(seen) else (np.zeros(2), np.ones(2))
    low, high = (low - MARGIN).clip(0, 1), (high + MARGIN).clip(0, 1)
    places = [*(low + high) / 2, *(high - low), *points.ravel()]
    yield "0 " + " ".join(f"{value:.9f}" for value in places) + "\n"


def place(
    net: Any, images: Iterable[Image8], fit: Fit, curves: NDArray[np.bool_]
) -> Iterator[Landmarks]:
    """Of each image the instance that the net is surest of; SEEN from a presence of .5 on, else OFF, with a place."""
    for frame, output in outputs(net, images, fit):
        points = output[5:, output[4].argmax()].reshape(len(curves), 3).cpu().numpy()
        places = (frame.native(points[:, :2]) - 0.5).astype(np.float32)
        yield absent(places, points[:, 2].clip(0, 1), curves, frame)


def absent(
    places: NDArray[np.float32],
    presence: NDArray[np.float32],
    curves: NDArray[np.bool_],
    frame: Frame,
) -> Landmarks:
    """Landmarks of which the curves are absent: OFF with a score of 0, and because the rule measures the distance of
    whatever is seen to some place, the image's centre for one."""
    scores = np.where(curves, 0, presence).astype(np.float32)
    centre = np.array([[frame.width / 2 - 0.5, frame.height / 2 - 0.5]], np.float32)
    paths = tuple(
        centre if curve else spot[None] for spot, curve in zip(places, curves, strict=True)
    )
    return Landmarks(paths, np.where(scores >= PRESENT, SEEN, OFF).astype(np.int8), scores)


def knowing(loss: Any) -> Any:
    """Ultralytics' pose loss that learns nothing from what is unknown: theirs takes a name for there or absent."""

    class Knowing(loss):  # type: ignore[misc]
        def calculate_keypoints_loss(
            self,
            masks: Any,
            target_gt_idx: Any,
            keypoints: Any,
            stride_tensor: Any,
            target_bboxes: Any,
            pred_kpts: Any,
        ) -> tuple[Any, Any]:
            image = torch.arange(len(keypoints), device=keypoints.device)[:, None]
            unknown = keypoints[image, target_gt_idx][..., 2] == UNKNOWN  # (B, anchors, K)
            logits = pred_kpts[..., 2].masked_fill(
                unknown, SURELY_NOT
            )  # against absent: no loss, no gradient
            predicted = torch.cat([pred_kpts[..., :2], logits[..., None]], -1)
            seen = torch.where(keypoints[..., 2:] == HERE, keypoints[..., 2:], 0.0)
            truth = torch.cat([keypoints[..., :2], seen], -1)
            where, there = super().calculate_keypoints_loss(
                masks, target_gt_idx, truth, stride_tensor, target_bboxes, predicted
            )
            counted = (
                (~unknown[masks]).float().mean().clamp(min=1e-6)
            )  # theirs is a mean over all names
            return where, there / counted

    return Knowing
