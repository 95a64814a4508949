"""Scoring of boxes: the COCO figures, and one row per case, class and box."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from usbench.errors import ConfigError
from usbench.metrics import boxes
from usbench.metrics.scores import Ruled, Scores, average
from usbench.types import Boxes, Target, Task


def selection(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The selection rule, version 1: mAP50-95 over the classes that the truths have."""
    listed: list[tuple[Boxes, Boxes]] = list(pairs)  # type: ignore[arg-type]
    labels = np.concatenate([each.labels for pair in listed for each in pair])
    classes = [str(n) for n in range(int(labels.max(initial=0)) + 1)]
    scores, _ = boxes.figures(listed, classes)
    return scores["map50_95"].value or 0.0


class DetectScorer:
    """See usbench.metrics.scores.Scorer. Boxes are small: pairs are kept, images never."""

    task: Task = "detect"

    def __init__(
        self,
        classes: Sequence[str],
        rules: Sequence[str] = ("coco",),
        primary: str = "map50_95",
        extra: dict[str, Callable[[Boxes, Boxes], float | None]] | None = None,
    ) -> None:
        """extra: as in usbench.metrics.segment.SegmentScorer."""
        if tuple(rules) != (boxes.NAME,):
            raise ConfigError(f"metric.rules: [{boxes.NAME}] was wanted for boxes, found {list(rules)}")
        self.classes, self.primary, self.extra = tuple(classes), primary, extra or {}
        self.pairs: list[tuple[Boxes, Boxes]] = []
        self.values: dict[str, list[float]] = {name: [] for name in self.extra}
        self.cases: list[dict[str, Any]] = []

    def update(
        self,
        case: str,
        group: str,
        truth: Target,
        prediction: Target,
        size: tuple[int, int] | None = None,
        mm_per_px: tuple[float, float] | None = None,
    ) -> None:
        """One image, in native pixels."""
        assert isinstance(truth, Boxes) and isinstance(prediction, Boxes)
        self.pairs.append((truth, prediction))
        for name, function in self.extra.items():
            value = function(truth, prediction)
            self.values[name].append(np.nan if value is None else float(value))
        for c, label in enumerate(self.classes):
            self.cases += self.rows(case, group, c, label, truth, prediction)

    def rows(self, case: str, group: str, c: int, label: str, truth: Boxes, prediction: Boxes) -> list[dict[str, Any]]:
        """One row with the number of truths, then a row per box: its score and, per IoU threshold, whether it
        matched."""
        own = truth.xyxy[truth.labels == c]
        guesses = boxes.by_score(prediction, c)
        matched = boxes.match(own, guesses.xyxy)
        assert guesses.scores is not None
        head = {"case": case, "group": group, "class": label}
        rows: list[dict[str, Any]] = [{**head, "truths": len(own), "score": None, "matches": None}]
        for n, score in enumerate(guesses.scores):
            hits = "m" + "".join("1" if hit else "0" for hit in matched[:, n])
            rows.append({**head, "truths": None, "score": float(score), "matches": hits})
        return rows

    def result(self) -> Scores:
        """See usbench.metrics.scores.Scorer."""
        ruled = boxes.apply(self.pairs, self.classes)
        extra = {name: average(values) for name, values in self.values.items()}
        scores = {**ruled.scores, **extra}
        return Scores(
            (Ruled(ruled.name, ruled.version, ruled.words, scores, ruled.per_class, ruled.ceiling),), self.cases
        )
