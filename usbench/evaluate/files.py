"""What others predicted, in the usual file formats, as pairs of truth and prediction for our scorers. No torch.

Masks: index PNGs paired by stem, 0 = background. Boxes: folders of YOLO txt (COCO's files: see instances.py).
Landmarks: Unity label JSON twice. A truth without a prediction is scored as nothing found, and counted; a prediction of
an unknown image is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from usbench.datasets.codecs import label_png, unity_labels, yolo_txt
from usbench.datasets.layouts.folders import list_files
from usbench.errors import ConfigError, DataError
from usbench.types import Boxes, Masks, Target, Task

Size = tuple[int, int]  # (height, width)
Spacing = tuple[float, float]  # (row, column) mm per px
UNIT: Size = (1, 1)  # where only fractions of the sides are known


@dataclass(frozen=True)
class Pair:
    """One image's truth and prediction, in native px."""

    case: str
    group: str
    size: Size
    truth: Target
    prediction: Target


@dataclass
class Pairs:
    """All images of a truth, read one by one; `missing` have no prediction."""

    task: Task
    classes: tuple[str, ...]
    cases: list[str]
    missing: list[str]
    read: Callable[[str], tuple[Size, Target, Target]]
    group: re.Pattern[str] | None = None
    areas: bool = True  # whether the boxes' areas in px are known

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Pair]:
        for case in self.cases:
            size, truth, prediction = self.read(case)
            yield Pair(case, group_of(case, self.group), size, truth, prediction)


def group_of(case: str, pattern: re.Pattern[str] | None) -> str:
    """What the pattern's first group finds in the case's name; without a pattern, every case is its own group."""
    match = pattern.search(case) if pattern else None
    if pattern and not match:
        raise DataError(
            f"{case}: a name that --group {pattern.pattern!r} matches was wanted; correct one of them"
        )
    return match.group(1) if match else case


def grouping(expression: str | None) -> re.Pattern[str] | None:
    """ConfigError for a pattern that can't be or has no group."""
    if expression is None:
        return None
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise ConfigError(
            f"--group {expression}: a regular expression was wanted ({error})"
        ) from error
    if not pattern.groups:
        raise ConfigError(
            f"--group {expression}: a regular expression with a group, as in '^(pig\\d+)_', was wanted"
        )
    return pattern


def matched(
    truths: Iterable[str], predictions: Iterable[str], where: Path, strict: bool
) -> tuple[list[str], list[str]]:
    """(the truths' images in order, those without a prediction).

    Raises DataError for a prediction of an unknown image, for no truth at all and, if strict, for a missing prediction.
    """
    known, predicted = sorted(truths), set(predictions)
    unknown = sorted(predicted - set(known))
    if unknown:
        raise DataError(
            f"{where}: predictions of the truth's images were wanted, found {unknown[0]!r} ({len(unknown)} such); "
            "remove them or add their truths"
        )
    missing = [case for case in known if case not in predicted]
    if strict and missing:
        raise DataError(
            f"{where}: a prediction of {missing[0]!r} was wanted, found none ({len(missing)} such)"
        )
    if not known:
        raise DataError(f"{where}: a truth to score against was wanted, found none")
    return known, missing


# ---- masks


def masks(
    truth: Path, predictions: Path, classes: Sequence[str], ignore: int | None, strict: bool
) -> Pairs:
    """Folders of index PNGs; ignore: a value of the truth whose pixels count nowhere."""
    if not classes or len(set(classes)) < len(classes):
        raise ConfigError(
            f"--classes: different names of index 1, 2, … were wanted, found {','.join(classes) or 'none'}"
        )
    if ignore is not None and not len(classes) < ignore <= 255:
        raise ConfigError(
            f"--ignore {ignore}: a value above the classes' {len(classes)}, at most 255, was wanted"
        )
    there, found = list_files(truth, ".png"), list_files(predictions, ".png")
    cases, missing = matched(there, found, predictions, strict)

    def read(case: str) -> tuple[Size, Target, Target]:
        index = read_index(there[case], classes, ignore)
        guess = read_index(found[case], classes, None) if case in found else np.zeros_like(index)
        if guess.shape != index.shape:
            raise DataError(
                f"{found[case]}: the size of its truth {index.shape} was wanted, found {guess.shape}"
            )
        counted = index != ignore if ignore is not None else np.ones(index.shape, bool)
        planes = (
            label_png.index_to_planes(np.where(counted, each, 0).astype(np.uint8), len(classes))
            for each in (index, guess)
        )
        true, guessed = (Masks(each) for each in planes)
        return (index.shape[0], index.shape[1]), true, guessed

    return Pairs("segment", tuple(classes), cases, missing, read)


def read_index(path: Path, classes: Sequence[str], ignore: int | None) -> label_png.Index:
    """Indices 0..C, or the ignored value; DataError for another."""
    index = label_png.read_label_png(path, 255)
    foreign = np.setdiff1d(
        np.unique(index), [*range(len(classes) + 1), *([] if ignore is None else [ignore])]
    )
    if len(foreign):
        extra = "" if ignore is None else f" or {ignore}"
        raise DataError(
            f"{path}: a mask of indices 0..{len(classes)}{extra} was wanted, found {foreign[0]}; name its class in "
            "--classes, or give it as --ignore"
        )
    return index


# ---- boxes


def yolo(truth: Path, predictions: Path, classes: Sequence[str], strict: bool) -> Pairs:
    """Folders of YOLO txt: `class cx cy w h`, and the same with a confidence. Of fractions IoU is the same as of px."""
    if not classes:
        file = truth / "classes.txt"
        if not file.is_file():
            raise ConfigError(
                f"--classes: the names of class 0, 1, … were wanted, for {file} isn't there"
            )
        classes = yolo_txt.read_class_names(file)
    there = {stem: path for stem, path in list_files(truth, ".txt").items() if stem != "classes"}
    found = {
        stem: path for stem, path in list_files(predictions, ".txt").items() if stem != "classes"
    }
    cases, missing = matched(there, found, predictions, strict)

    def read(case: str) -> tuple[Size, Target, Target]:
        true = yolo_txt.read_yolo_boxes(there[case], classes, UNIT)
        guess = (
            yolo_txt.read_yolo_predictions(found[case], classes, UNIT)
            if case in found
            else Boxes.empty(scored=True)
        )
        return UNIT, true, guess

    return Pairs("detect", tuple(classes), cases, missing, read, areas=False)


# ---- landmarks


def landmarks(truth: Path, predictions: Path, strict: bool) -> Pairs:
    """Unity label JSON of truths, and of predictions with or without a score per name."""
    known, found = (
        unity_labels.read_unity_labels(truth),
        unity_labels.read_unity_predictions(predictions),
    )
    names = tuple(sorted(known.seen))
    if not names:
        raise DataError(f"{truth}: a point or a curve was wanted, found none")
    cases, missing = matched(known.labels, found, predictions, strict)
    if missing:
        raise DataError(
            f"{predictions}: a place of every name in every image was wanted, found none in {missing[0]!r} "
            f"({len(missing)} such); write the most likely one, whatever its score"
        )

    def read(case: str) -> tuple[Size, Target, Target]:
        return (
            UNIT,
            known.landmarks(case, names),
            unity_labels.parse_prediction(found[case], names, f"{predictions}: {case}"),
        )

    return Pairs("landmark", names, cases, missing, read)
