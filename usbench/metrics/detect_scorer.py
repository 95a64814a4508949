"""Scoring of boxes: all protocols over the same pairs, and one row per case, class and box."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from usbench.errors import ConfigError
from usbench.metrics import box_protocols, detection_figures
from usbench.metrics.bootstrap import Draws, draw
from usbench.metrics.box_protocols import BOX_PROTOCOLS, COCO, match_pairs
from usbench.metrics.matches import Matches, rank_within_runs
from usbench.metrics.scores import (
    CustomFigure,
    ExtraFigures,
    ProtocolScores,
    Scores,
    TableRow,
    lookup_protocols,
)
from usbench.types import Boxes, Target, Task

# The COCO protocol without its figures by size.
ALL_AREAS_COCO = replace(BOX_PROTOCOLS[COCO], areas=box_protocols.AREAS[:1])


def _match_all_areas(pairs: Iterable[tuple[Target, Target]]) -> Matches:
    """The COCO matches of the pairs, whatever their area."""
    boxes: list[tuple[Boxes, Boxes]] = []
    classes = 0
    for target, prediction in pairs:
        assert isinstance(target, Boxes) and isinstance(prediction, Boxes)
        boxes.append((target, prediction))
        classes = max(classes, int(np.append(target.labels, prediction.labels).max(initial=-1)) + 1)
    return match_pairs(ALL_AREAS_COCO, boxes, classes)[0]


def selection(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The selection metric, version 1: mAP50-95 over the classes that the targets have."""
    matches = _match_all_areas(pairs)
    labels = list(map(str, range(matches.targets.shape[1])))
    scores, _ = box_protocols.box_figures(replace(ALL_AREAS_COCO, recall_at=()), [matches], labels)
    return scores["map50_95"].value or 0.0


def best_confidence(pairs: Iterable[tuple[Target, Target]]) -> float:
    """The confidence with the best F1 at IoU .5 on these (validation) pairs, all classes together.

    It is .25 where no box is right.
    """
    return detection_figures.best_confidence(_match_all_areas(pairs))


class DetectScorer:
    """Scores boxes; see `usbench.metrics.scores.Scorer`. Boxes are small, so all pairs are kept."""

    task: Task = "detect"

    def __init__(
        self,
        classes: Sequence[str],
        protocols: Sequence[str] = (COCO,),
        primary: str = "map50_95",
        extra: Mapping[str, CustomFigure] | None = None,
        confidence: float | None = None,
    ) -> None:
        """Set up an empty scorer.

        Args:
            classes: in order of the labels.
            protocols: names from `box_protocols`; the first is the main one.
            primary: name of the score that the leaderboard ranks by.
            extra: further figures, as for `SegmentScorer`.
            confidence: of precision, recall and F1, chosen on validation; None: .25.
        """
        self.protocols = lookup_protocols(protocols, BOX_PROTOCOLS, {})
        if confidence is not None and not (
            isinstance(confidence, (int, float)) and 0 <= confidence <= 1
        ):
            raise ConfigError(
                f"metric.confidence: expected a number from 0 to 1 or null, got {confidence!r}"
            )
        self.confidence = detection_figures.DEFAULT_CONFIDENCE if confidence is None else confidence
        self.description = detection_figures.describe_figures(
            self.confidence, is_chosen=confidence is not None
        )
        self.classes = tuple(classes)
        self.primary = primary
        self.extra = ExtraFigures(extra, classes)
        self.pairs: list[tuple[Boxes, Boxes]] = []  # (target, prediction) of each image
        self.images: list[tuple[str, str]] = []  # (case, group) of each pair

    def update(
        self,
        case: str,
        group: str,
        target: Target,
        prediction: Target,
        size: tuple[int, int] | None = None,
        mm_per_px: tuple[float, float] | None = None,
    ) -> None:
        """Add one image in native pixels; see `Scorer.update`."""
        assert isinstance(target, Boxes) and isinstance(prediction, Boxes)
        self.pairs.append((target, prediction))
        self.images.append((case, group))
        self.extra.update(target, prediction)

    def result(self) -> Scores:
        """The scores of all images so far."""
        draws = draw([group for _, group in self.images])
        coco = match_pairs(BOX_PROTOCOLS[COCO], self.pairs, len(self.classes))
        scored = []
        for protocol in self.protocols:
            matches = (
                coco
                if protocol.name == COCO
                else match_pairs(protocol, self.pairs, len(self.classes))
            )
            scored.append(
                box_protocols.score_matches(protocol, matches, self.pairs, self.classes, draws)
            )
        scored[0] = self.add_figures(scored[0], coco[0], draws)
        return Scores(tuple(scored), self.case_rows(coco[0]))

    def add_figures(
        self, protocol: ProtocolScores, matches: Matches, draws: Draws
    ) -> ProtocolScores:
        """Add the figures at one confidence, per image and per false alarm, and the extra ones.

        Args:
            protocol: the main protocol's scores.
            matches: by the COCO protocol, all areas.
            draws: resamples of the images' groups.
        """
        pooled = detection_figures.detection_figures(matches.pool_classes(), self.confidence, draws)
        protocol = replace(
            protocol,
            description=f"{protocol.description}; {self.description}",
            scores=protocol.scores | pooled,
            per_class={
                label: protocol.per_class[label]
                | detection_figures.detection_figures(matches.of_class(c), self.confidence, draws)
                for c, label in enumerate(self.classes)
            },
        )
        return self.extra.add_to(protocol, draws)

    def case_rows(self, matches: Matches) -> list[TableRow]:
        """The case table of COCO matches.

        Per case and class, a row with the number of targets, then a row per box, best first: its
        score and, as "m" and a digit per IoU threshold, whether it matches.
        """
        order = np.lexsort((matches.rank, matches.label, matches.image))
        scores = matches.score[order].astype(float).tolist()
        # One string of digits per box: its T bytes "0" and "1" read as a text of length T.
        digits = np.ascontiguousarray(np.where(matches.hit.T[order], b"1", b"0"))
        hits = digits.view(f"S{len(matches.hit)}").ravel().astype(str).tolist()
        # The boxes of cell (case, class) are those from ends[cell] to ends[cell + 1].
        cells = (matches.image * len(self.classes) + matches.label)[order]
        ends = np.searchsorted(cells, np.arange(matches.targets.size + 1)).tolist()
        targets = matches.targets.ravel().tolist()
        rows: list[TableRow] = []
        for n, (case, group) in enumerate(self.images):
            for c, label in enumerate(self.classes):
                cell = n * len(self.classes) + c
                row: TableRow = {"case": case, "group": group, "class": label}
                rows.append({**row, "truths": targets[cell], "score": None, "matches": None})
                rows += [
                    {**row, "truths": None, "score": scores[box], "matches": f"m{hits[box]}"}
                    for box in range(ends[cell], ends[cell + 1])
                ]
        return rows


def from_cases(rows: Sequence[Mapping[str, str]], classes: Sequence[str]) -> Scores:
    """The COCO protocol's figures from a case table alone: all but those by size.

    Args:
        rows: of the table, as text; "" for null.
        classes: in order of the labels.
    """
    coco = ALL_AREAS_COCO
    draws = draw(list({row["case"]: row["group"] for row in rows}.values()))
    scores, per_class = box_protocols.box_figures(
        coco, [matches_from_cases(rows, classes)], classes, draws
    )
    return Scores(
        (ProtocolScores(coco.name, coco.version, coco.description, scores, per_class, {}),)
    )


def matches_from_cases(rows: Sequence[Mapping[str, str]], classes: Sequence[str]) -> Matches:
    """The COCO matches that a case table holds; cases are numbered in order of the rows."""
    cases = {case: n for n, case in enumerate(dict.fromkeys(row["case"] for row in rows))}
    labels = {label: c for c, label in enumerate(classes)}
    targets = np.zeros((len(cases), len(classes)), np.int64)
    label, image, score, hit = [], [], [], []
    for row in rows:
        c, n = labels[row["class"]], cases[row["case"]]
        if not row["matches"]:
            targets[n, c] = int(row["truths"])
            continue
        label.append(c)
        image.append(n)
        score.append(float(row["score"]))
        hit.append([digit == "1" for digit in row["matches"][1:]])
    labels_array, images_array = np.array(label, np.int64), np.array(image, np.int64)
    hits = np.array(hit, bool).reshape(len(hit), len(box_protocols.THRESHOLDS)).T
    return Matches.from_unsorted(
        labels_array,
        images_array,
        np.array(score, np.float64),
        # A case's boxes of a class are adjacent, best first.
        rank_within_runs(labels_array, images_array),
        hits,
        np.zeros_like(hits),
        targets,
    )
