"""Landmarks as ultralytics' pose nets know them: one instance per image, a place per name.

The instance is the rectangle around all seen points, with a margin, so that a single point is an
instance too; where none is seen, it is the whole image and all names are absent. The loss's
tolerance is twice a name's sigma times the root of the instance's area. A name that is off is
absent (the presence learns it, the place doesn't); of a blurred one neither learns anything.
Curves aren't predicted: see `to_landmarks`. Needs no ultralytics.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from usbench.errors import ConfigError
from usbench.models.yolo.boxes import Fit, Frame, Input, outputs
from usbench.types import BLURRED, OFF, SEEN, Landmarks, Sample, Target

UNKNOWN, HERE = 1, 2  # visibilities in a label, besides 0 for what isn't there
CENTRE = 0.5
MARGIN = 0.25  # around the points, share of the image; with a narrow one lone points hardly learn
PRESENT = 0.5  # presence from which on a name counts as seen
IMPOSSIBLE = -30.0  # a logit


@dataclass(frozen=True)
class Points:
    """What a run knows of its names."""

    sigmas: tuple[float, ...]  # (K,) tolerances, see above
    flip: tuple[int, ...]  # (K,) whose place a name takes in a mirrored image; or empty


def parse_points(sigmas: object, flip: object, classes: int, augment: object) -> Points:
    """Read what a configuration says about the names.

    Args:
        sigmas: one for all names, or one for each.
        flip: null, or a number per name.

    Raises:
        ConfigError: anything else, or a flip in the augmentation without a flip map.
    """
    values = [sigmas] * classes if isinstance(sigmas, (int, float)) else sigmas
    if (
        not isinstance(values, Sequence)
        or len(values) != classes
        or not all(map(is_tolerance, values))
    ):
        raise ConfigError(
            f"yolov8_pose: kpt_oks_sigmas: expected a number above 0, or {classes} of them, "
            f"got {sigmas!r}"
        )
    places = [] if flip is None else flip
    if not isinstance(places, Sequence) or (places and sorted(places) != list(range(classes))):
        raise ConfigError(
            f"yolov8_pose: flip_idx: expected null or each of 0..{classes - 1} once, got {flip!r}"
        )
    flips = isinstance(augment, dict) and (augment.get("fliplr") or augment.get("flipud"))
    if flips and not places:
        raise ConfigError(
            "yolov8_pose: a flip exchanges names: it needs model.build.flip_idx, "
            "else fliplr=flipud=0"
        )
    return Points(tuple(map(float, values)), tuple(map(int, places)))


def is_tolerance(value: object) -> bool:
    """Whether a value is a finite number above 0."""
    return type(value) in (int, float) and 0 < value < np.inf  # type: ignore[operator]


def curves_of(samples: Sequence[Sample], classes: int) -> NDArray[np.bool_]:
    """(K,): which names are seen as a curve anywhere; a name never seen counts as a point."""
    curves = np.zeros(classes, bool)
    for sample in samples:
        assert isinstance(sample.target, Landmarks)
        lengths = np.array([len(path) for path in sample.target.paths])
        curves |= (lengths > 1) & (sample.target.state == SEEN)
    return curves


def count_points(samples: Iterable[Sample], curves: NDArray[np.bool_]) -> int:
    """How many points are seen in all samples."""
    count = 0
    for sample in samples:
        assert isinstance(sample.target, Landmarks)
        count += int(((sample.target.state == SEEN) & ~curves).sum())
    return count


def point_lines(
    target: Target, height: int, width: int, curves: NDArray[np.bool_]
) -> Iterator[str]:
    """The label's line: the instance, then each point's x, y (shares of the image), visibility."""
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
    values = [*(low + high) / 2, *(high - low), *points.ravel()]
    yield "0 " + " ".join(f"{value:.9f}" for value in values) + "\n"


def predict_points(
    net: Any, inputs: Iterable[Input], fit: Fit, curves: NDArray[np.bool_], batch: int = 1
) -> Iterator[Landmarks]:
    """Yield of each image the instance that the net is surest of; SEEN from a presence of .5 on."""
    for frame, output in outputs(net, inputs, fit.device, batch):
        points = output[5:, output[4].argmax()].reshape(len(curves), 3).cpu().numpy()
        places = (frame.to_native(points[:, :2]) - 0.5).astype(np.float32)
        yield to_landmarks(places, points[:, 2].clip(0, 1), curves, frame)


def to_landmarks(
    places: NDArray[np.float32],
    presence: NDArray[np.float32],
    curves: NDArray[np.bool_],
    frame: Frame,
) -> Landmarks:
    """Landmarks with all curves absent: OFF with a score of 0.

    Their place is the image's centre, because the protocol measures the distance of whatever is
    seen to some place.

    Args:
        places: (K, 2) native px.
        presence: (K,) in 0..1.
        curves: (K,).
    """
    scores = np.where(curves, 0, presence).astype(np.float32)
    centre = np.array([frame.width / 2 - 0.5, frame.height / 2 - 0.5], np.float32)
    spots = np.where(curves[:, None], centre, places)[:, None]
    return Landmarks(tuple(spots), np.where(scores >= PRESENT, SEEN, OFF).astype(np.int8), scores)


def ignore_unknown(loss: Any) -> Any:
    """A subclass of ultralytics' pose loss that learns nothing from unknown names.

    Theirs takes a name for either present or absent.
    """

    class Loss(loss):  # type: ignore[misc]
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
            # An impossible name that is labelled absent: no loss, no gradient.
            logits = pred_kpts[..., 2].masked_fill(unknown, IMPOSSIBLE)
            predicted = torch.cat([pred_kpts[..., :2], logits[..., None]], -1)
            seen = torch.where(keypoints[..., 2:] == HERE, keypoints[..., 2:], 0.0)
            target = torch.cat([keypoints[..., :2], seen], -1)
            place_loss, presence_loss = super().calculate_keypoints_loss(
                masks, target_gt_idx, target, stride_tensor, target_bboxes, predicted
            )
            # Theirs is a mean over all names; this makes it one over the known.
            known_share = (~unknown[masks]).float().mean().clamp(min=1e-6)
            return place_loss, presence_loss / known_share

    return Loss
