"""Scoring of masks: every rule over the same pairs, one row per case and class."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from usbench.errors import ConfigError
from usbench.metrics import overlap
from usbench.metrics.scores import Figure, Ruled, Scores, average, mean
from usbench.types import Masks, Target, Task


def selection(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The selection rule, version 1: mean foreground Dice (per class over images, then over classes)."""
    table = [overlap.counts(truth.planes, guess.planes) for truth, guess in pairs]  # type: ignore[union-attr]
    value = float(mean(mean(overlap.dice(np.stack(table)), 0)))
    return value if np.isfinite(value) else 0.0


class SegmentScorer:
    """See usbench.metrics.scores.Scorer."""

    task: Task = "segment"

    def __init__(
        self,
        classes: Sequence[str],
        rules: Sequence[str] = ("usbench", "pooled"),
        primary: str = "dice",
        extra: dict[str, Callable[[Masks, Masks], float | None]] | None = None,
    ) -> None:
        """rules: the first is the ruler; extra: further figures, name → function of one case's (truth,
        prediction), None where
        undefined; its mean over cases is reported.
        """
        if not rules or len(set(rules)) < len(rules):
            raise ConfigError(f"metric.rules: one or more different rules were wanted, found {list(rules)}")
        self.classes, self.primary, self.extra = tuple(classes), primary, extra or {}
        self.rules = [overlap.rule(name) for name in rules]
        self.native: list[overlap.Counts] = []
        self.tables: dict[str, list[overlap.Counts]] = {rule.name: [] for rule in self.rules}
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
        """One image, at native size."""
        assert isinstance(truth, Masks) and isinstance(prediction, Masks)
        native = overlap.counts(truth.planes, prediction.planes)
        self.native.append(native)
        for rule in self.rules:
            plain = rule.size is None and not rule.background
            counted = native if plain else overlap.rule_counts(rule, truth.planes, prediction.planes)
            self.tables[rule.name].append(counted)
        for name, function in self.extra.items():
            value = function(truth, prediction)
            self.values[name].append(np.nan if value is None else float(value))
        for label, (tp, fp, fn) in zip(self.classes, native.tolist(), strict=True):
            self.cases.append({"case": case, "group": group, "class": label, "tp": tp, "fp": fp, "fn": fn})

    def result(self) -> Scores:
        """See usbench.metrics.scores.Scorer."""
        ruled = []
        for rule in self.rules:
            table = overlap.stack(self.tables[rule.name], len(self.classes) + rule.background)
            ruled.append(overlap.apply(rule, table, self.classes))
        return Scores((self.enrich(ruled[0]), *ruled[1:]), self.cases)

    def enrich(self, ruler: Ruled) -> Ruled:
        """The ruler's figures with pooled Dice, false positives on images without the class, and the extra ones."""
        table = overlap.stack(self.native, len(self.classes))
        n = len(table)
        pooled, false = overlap.dice(table.sum(0)), overlap.empty_false_positives(table)
        scores = {
            **ruler.scores,
            "pooled_dice": Figure.of(float(mean(pooled)), n),
            "empty_false_positive_rate": Figure.of(float(mean(false)), n, "every image has every class"),
            **{name: average(values) for name, values in self.values.items()},
        }
        per_class = {name: dict(figures) for name, figures in ruler.per_class.items()}
        for c, label in enumerate(self.classes):
            empty = int((table[:, c, 0] + table[:, c, 2] == 0).sum())
            per_class[label]["pooled_dice"] = Figure.of(pooled[c], n)
            per_class[label]["empty_false_positive_rate"] = Figure.of(false[c], empty, "every image has the class")
        return Ruled(ruler.name, ruler.version, ruler.words, scores, per_class, ruler.ceiling)
