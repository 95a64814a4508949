"""Scoring of boxes: every rule over the same pairs, the figures at one confidence, and one row per case, class and
box."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from usbench.errors import ConfigError
from usbench.metrics import boxes, lesions
from usbench.metrics.bootstrap import Draws, draw, means
from usbench.metrics.matches import Matches, rank_in
from usbench.metrics.scores import ProtocolScores, Scores, average, bounded
from usbench.types import Boxes, Target, Task


def listed(pairs: Iterable[tuple[Target, Target]]) -> tuple[list[tuple[Boxes, Boxes]], int]:
    """(pairs of boxes, how many classes they have)."""
    own: list[tuple[Boxes, Boxes]] = list(pairs)  # type: ignore[arg-type]
    labels = np.concatenate(
        [np.zeros(0, np.int64), *(each.labels for pair in own for each in pair)]
    )
    return own, int(labels.max(initial=-1)) + 1


def selection(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The selection rule, version 1: mAP50-95 over the classes that the truths have."""
    own, classes = listed(pairs)
    how = replace(boxes.rule(boxes.NAME), areas=boxes.AREAS[:1], recall=())
    scores, _ = boxes.figures(
        how, boxes.matched(how, own, classes), [str(n) for n in range(classes)]
    )
    return scores["map50_95"].value or 0.0


def best_confidence(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The confidence with the best F1 at IoU .5 on these (validation) pairs, all classes together; .25 where no box is
    right."""
    own, classes = listed(pairs)
    how = replace(boxes.rule(boxes.NAME), areas=boxes.AREAS[:1])
    return lesions.best_confidence(boxes.matched(how, own, classes)[0])


class DetectScorer:
    """See usbench.metrics.scores.Scorer. Boxes are small: pairs are kept, images never."""

    task: Task = "detect"

    def __init__(
        self,
        classes: Sequence[str],
        protocols: Sequence[str] = (boxes.NAME,),
        primary: str = "map50_95",
        extra: dict[str, Callable[[Boxes, Boxes], float | None]] | None = None,
        confidence: float | None = None,
    ) -> None:
        """protocols: the first is the protocol; confidence: of precision, recall and F1, chosen on validation (None: .25);
        extra: as in usbench.metrics.segment.SegmentScorer.
        """
        self.protocols = [boxes.rule(name) for name in protocols]
        if not protocols or len({rule.name for rule in self.protocols}) < len(protocols):
            known = ", ".join(boxes.RULES)
            raise ConfigError(
                f"metric.protocols: one or more different of {known} were wanted, found {list(protocols)}"
            )
        self.confidence = checked(confidence)
        self.classes, self.primary, self.extra = tuple(classes), primary, extra or {}
        self.pairs: list[tuple[Boxes, Boxes]] = []
        self.named: list[tuple[str, str]] = []
        self.values: dict[str, list[float]] = {name: [] for name in self.extra}

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
        self.named.append((case, group))
        for name, function in self.extra.items():
            value = function(truth, prediction)
            self.values[name].append(np.nan if value is None else float(value))

    def result(self) -> Scores:
        """See usbench.metrics.scores.Scorer."""
        draws = draw([group for _, group in self.named])
        found = {boxes.NAME: boxes.matched(boxes.RULES[boxes.NAME], self.pairs, len(self.classes))}
        ruled = []
        for rule in self.protocols:
            if rule.name not in found:
                found[rule.name] = boxes.matched(rule, self.pairs, len(self.classes))
            ruled.append(boxes.protocol_scores(rule, found[rule.name], self.pairs, self.classes, draws))
        own = found[boxes.NAME][0]
        return Scores((self.enrich(ruled[0], own, draws), *ruled[1:]), self.rows(own))

    def enrich(self, protocol: ProtocolScores, own: Matches, draws: Draws) -> ProtocolScores:
        """The protocol's figures with those at one confidence, per image and per false alarm, and the extra ones."""
        sure = lesions.UNCHOSEN if self.confidence is None else self.confidence
        per_class = {
            label: {**protocol.per_class[label], **lesions.figures(own.of(c), sure, draws)}
            for c, label in enumerate(self.classes)
        }
        scores = {**protocol.scores, **lesions.figures(own.pooled(), sure, draws)}
        for name, values in self.values.items():
            scores[name] = bounded(average(values), means(np.array(values), draws), draws.groups)
        words = f"{protocol.description}; {lesions.words(sure, self.confidence is not None)}"
        return ProtocolScores(
            protocol.name, protocol.version, words, scores, per_class, protocol.target_score
        )

    def rows(self, own: Matches) -> list[dict[str, Any]]:
        """Per case and class one row with the number of truths, then a row per box, best first: its score and, per IoU
        threshold, whether it matched, by the rule coco."""
        order = np.lexsort((own.rank, own.label, own.image))
        bits = (
            np.ascontiguousarray(np.where(own.hit.T[order], b"1", b"0"))
            .view(f"S{len(own.hit)}")
            .ravel()
        )
        hits, scores = bits.astype(str).tolist(), own.score[order].astype(float).tolist()
        cells = (own.image * len(self.classes) + own.label)[order]
        ends = np.searchsorted(cells, np.arange(own.truths.size + 1)).tolist()
        truths = own.truths.ravel().tolist()
        rows: list[dict[str, Any]] = []
        for n, (case, group) in enumerate(self.named):
            for c, label in enumerate(self.classes):
                cell = n * len(self.classes) + c
                head = {"case": case, "group": group, "class": label}
                rows.append({**head, "truths": truths[cell], "score": None, "matches": None})
                for box in range(ends[cell], ends[cell + 1]):
                    rows.append(
                        {**head, "truths": None, "score": scores[box], "matches": f"m{hits[box]}"}
                    )
        return rows


def from_cases(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Scores:
    """What the rule coco gives from a case table alone: average precision and recall, but none by size."""
    how = replace(boxes.RULES[boxes.NAME], areas=boxes.AREAS[:1])
    draws = draw(list({row["case"]: row["group"] for row in rows}.values()))
    scores, per_class = boxes.figures(how, [matches_of(rows, classes)], classes, draws)
    return Scores((ProtocolScores(how.name, how.version, how.description, scores, per_class, {}),))


def matches_of(rows: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Matches:
    """The matches by the rule coco that `DetectScorer.rows` wrote; cases are numbered in the order of the rows."""
    number = {case: n for n, case in enumerate(dict.fromkeys(row["case"] for row in rows))}
    place = {label: c for c, label in enumerate(classes)}
    truths = np.zeros((len(number), len(classes)), np.int64)
    found = []
    for row in rows:
        if row["matches"]:
            found.append(
                (place[row["class"]], number[row["case"]], row["score"], row["matches"][1:])
            )
        else:
            truths[number[row["case"]], place[row["class"]]] = int(row["truths"])
    label, image = (np.array([each[n] for each in found], np.int64) for n in (0, 1))
    score = np.array([each[2] for each in found], np.float32)
    bits = np.array([list(each[3]) for each in found]).reshape(len(found), len(boxes.THRESHOLDS))
    hit = bits.T == "1"
    rank = rank_in(label, image)  # a case's boxes of a class stand together, best first
    order = np.lexsort((rank, image, -score, label))
    starts = np.searchsorted(label[order], np.arange(len(classes) + 1))
    parts = image[order], score[order], rank[order], np.ascontiguousarray(hit[:, order])
    return Matches(starts, *parts, np.zeros_like(parts[3]), truths)


def checked(confidence: float | None) -> float | None:
    """A confidence of 0..1, or none."""
    if confidence is not None and not (
        isinstance(confidence, (int, float)) and 0 <= confidence <= 1
    ):
        raise ConfigError(
            f"metric.confidence: a number of 0..1 or null was wanted, found {confidence!r}"
        )
    return confidence
