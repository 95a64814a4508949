"""Others' predictions in the usual file formats, paired with their targets. No torch.

Masks: index PNGs paired by stem, 0 = background; of one class also 255 or one bit. Boxes: folders
of YOLO txt (COCO's own files: see coco.py). Landmarks: Unity label JSON twice. A target without a prediction is scored as an image
in which nothing was predicted, and counted; a prediction of an unknown image is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from usbench.datasets.codecs import label_png, unity_labels, unity_predictions, yolo_txt
from usbench.datasets.layouts.folders import list_files
from usbench.errors import ConfigError, DataError
from usbench.types import Boxes, Masks, Target, Task

Size = tuple[int, int]  # height, width
UNIT: Size = (1, 1)  # where only fractions of the sides are known
IGNORED = 255  # the largest value of an index PNG
WHITE = (1, 255)  # what an only class may be: 1 as an index or one bit, 255 as white


@dataclass(frozen=True)
class Pair:
    """One image's target and prediction, in native px."""

    case: str
    group: str
    size: Size
    target: Target
    prediction: Target


@dataclass(frozen=True)
class Pairs:
    """All images that have a target, read one by one."""

    task: Task
    classes: tuple[str, ...]
    cases: list[str]
    missing: list[str]  # those without a prediction
    read: Callable[[str], tuple[Size, Target, Target]]
    group: re.Pattern[str] | None = None  # its first group, in a case's name, is the case's group
    has_areas: bool = True  # whether the boxes' areas in px are known

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Pair]:
        for case in self.cases:
            size, target, prediction = self.read(case)
            yield Pair(case, group_of(case, self.group), size, target, prediction)


def group_of(case: str, pattern: re.Pattern[str] | None) -> str:
    """What the pattern's first group matches in the case's name; without a pattern, the case.

    Raises:
        DataError: the pattern doesn't match.
    """
    if pattern is None:
        return case
    match = pattern.search(case)
    if match is None:
        raise DataError(
            f"{case}: expected a name that --group {pattern.pattern!r} matches; correct one of them"
        )
    return match.group(1)


def compile_group(expression: str | None) -> re.Pattern[str] | None:
    """The pattern of --group. Raises ConfigError where it can't be or has no group."""
    if expression is None:
        return None
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise ConfigError(
            f"--group {expression}: expected a regular expression ({error})"
        ) from error
    if not pattern.groups:
        raise ConfigError(
            f"--group {expression}: expected a regular expression with a group, such as "
            r"'^(pig\d+)_'"
        )
    return pattern


def match_cases(
    targets: Iterable[str], predictions: Iterable[str], where: Path, strict: bool
) -> tuple[list[str], list[str]]:
    """Pair targets and predictions by name.

    Args:
        targets: the images to score.
        where: the predictions, for messages.
        strict: whether a missing prediction is an error.

    Returns:
        (the targets' images by name, those without a prediction).

    Raises:
        DataError: a prediction of an unknown image, no target, or a missing prediction (strict).
    """
    cases, predicted = set(targets), set(predictions)
    unknown, missing = sorted(predicted - cases), sorted(cases - predicted)
    if unknown:
        raise DataError(
            f"{where}: expected predictions of images to score, got {unknown[0]!r} "
            f"({len(unknown)} such); remove them, or add the images with their targets"
        )
    if strict and missing:
        raise DataError(f"{where}: no prediction of {missing[0]!r} found ({len(missing)} such)")
    if not cases:
        raise DataError(f"{where}: no target to score against found")
    return sorted(cases), missing


# ---- masks


def number_classes(classes: Sequence[str]) -> dict[str, int]:
    """Class → 1, 2, …, its value in a mask. Raises ConfigError where there is none, or one twice."""
    if not classes or len(set(classes)) < len(classes):
        raise ConfigError(
            "--classes: expected different names of index 1, 2, …, got "
            f"{','.join(classes) or 'none'}; or --values lesion=255 for other values"
        )
    return {name: value for value, name in enumerate(classes, start=1)}


def class_values(text: str | None, classes: Sequence[str]) -> dict[str, int]:
    """Class → its value in a mask, by --values, else in the order of --classes.

    Raises:
        ConfigError: as `parse_values` and `number_classes`, or the two name other classes.
    """
    values = parse_values(text)
    if values and classes and set(classes) != set(values):
        raise ConfigError(
            f"--values {text}: expected the classes of --classes ({', '.join(classes)}), got "
            f"{', '.join(values)}; --values alone suffices"
        )
    return values or number_classes(classes)


def parse_values(text: str | None) -> dict[str, int]:
    """Class → its value in a mask, of a=128,b=255; empty where nothing is given.

    Raises:
        ConfigError: a class or a value comes twice, or a value isn't 1..255.
    """
    pairs = [part.rpartition("=") for part in text.split(",")] if text is not None else []
    values = {name: int(value) for name, _, value in pairs if name and value.isdecimal()}
    numbers = set(values.values())
    if len(numbers) < len(pairs) or not numbers <= set(range(1, IGNORED + 1)):
        raise ConfigError(
            f"--values {text}: expected another value of 1..255 for each class, such as lesion=255"
        )
    return values


def pair_masks(
    targets: Path,
    predictions: Path,
    values: Mapping[str, int],
    ignore: int | None,
    strict: bool,
) -> Pairs:
    """Pair two folders of index PNGs.

    Args:
        values: class → its value in the masks.
        ignore: a value of the target whose pixels count nowhere.
        strict: whether a missing prediction is an error.
    """
    if ignore is not None and (ignore in values.values() or not 0 < ignore <= IGNORED):
        taken = ", ".join(map("{1} {0}".format, values, values.values()))
        raise ConfigError(
            f"--ignore {ignore}: expected a value of 1..{IGNORED} besides the classes' ({taken})"
        )
    target_files, prediction_files = list_files(targets, ".png"), list_files(predictions, ".png")
    cases, missing = match_cases(target_files, prediction_files, predictions, strict)
    target_masks, predicted_masks = MaskReader(values, ignore), MaskReader(values)

    def read(case: str) -> tuple[Size, Target, Target]:
        index = target_masks.read(target_files[case])
        prediction = np.zeros_like(index)
        if case in prediction_files:
            prediction = predicted_masks.read(prediction_files[case])
        if prediction.shape != index.shape:
            raise DataError(
                f"{prediction_files[case]}: expected the size of its target {index.shape}, "
                f"got {prediction.shape}"
            )
        if ignore is not None:
            prediction = np.where(index == IGNORED, 0, prediction).astype(np.uint8)
            index = np.where(index == IGNORED, 0, index).astype(np.uint8)
        return (
            (index.shape[0], index.shape[1]),
            Masks(label_png.index_to_planes(index, len(values))),
            Masks(label_png.index_to_planes(prediction, len(values))),
        )

    return Pairs("segment", tuple(values), cases, missing, read)


class MaskReader:
    """Reads the index PNGs of one folder.

    A mask of an only class may hold it as 1, 255 or one bit, but all masks of the folder alike:
    255 often means that a pixel wasn't labelled.
    """

    def __init__(self, values: Mapping[str, int], ignore: int | None = None) -> None:
        """Set up a reader.

        Args:
            values: class → its value in the masks.
            ignore: a value whose pixels count nowhere.
        """
        self.values = dict(values)
        self.ignore = ignore
        self.white: int | None = None  # what the masks so far hold their only class as

    def read(self, path: Path) -> label_png.Index:
        """Indices 0..C, and IGNORED for the ignored value. Raises DataError for another value."""
        pixels = label_png.read_label_png(path, IGNORED)
        used = set(np.unique(pixels).tolist()) - {0, self.ignore}
        values = self.values_in(path, used)
        table = np.zeros(IGNORED + 1, np.uint8)
        table[values] = range(1, len(values) + 1)
        if self.ignore is not None:
            table[self.ignore] = IGNORED
        return table[pixels]

    def values_in(self, path: Path, used: set[int]) -> list[int]:
        """The classes' values in one mask. used: its values, without those that are no class."""
        values = list(self.values.values())
        if len(values) == 1 and values[0] in WHITE and len(used) == 1 and used <= set(WHITE):
            (white,) = used
            if self.white not in (None, white):
                raise DataError(
                    f"{path}: expected {next(iter(self.values))} as {self.white}, as in the "
                    f"masks before it, got {white}; save them alike, or set --ignore {white}"
                )
            self.white = white
            return [white]
        if foreign := sorted(used.difference(values)):
            shown = ", ".join(map("{1} {0}".format, self.values, values))
            ignored = "" if self.ignore is None else f", {self.ignore} ignored"
            raise DataError(
                f"{path}: expected a mask of 0 background, {shown}{ignored}, got {foreign[0]}; "
                f"name its class in --classes or --values, or set --ignore {foreign[0]}"
            )
        return values


# ---- boxes


def pair_yolo(targets: Path, predictions: Path, classes: Sequence[str], strict: bool) -> Pairs:
    """Pair two folders of YOLO txt: `class cx cy w h`, and the same with a confidence.

    The sides are fractions of the image; IoU is the same as in px.

    Args:
        classes: names of class 0, 1, …; none: the targets' classes.txt has them.
        strict: whether a missing prediction is an error.
    """
    if not classes:
        file = targets / "classes.txt"
        if not file.is_file():
            raise ConfigError(f"--classes: expected names of class 0, 1, …: {file} isn't there")
        classes = yolo_txt.read_class_names(file)
    target_files, prediction_files = list_files(targets, ".txt"), list_files(predictions, ".txt")
    for files in (target_files, prediction_files):
        files.pop("classes", None)
    cases, missing = match_cases(target_files, prediction_files, predictions, strict)

    def read(case: str) -> tuple[Size, Target, Target]:
        prediction = Boxes.empty(scored=True)
        if case in prediction_files:
            prediction = yolo_txt.read_yolo_predictions(prediction_files[case], classes, UNIT)
        return UNIT, yolo_txt.read_yolo_boxes(target_files[case], classes, UNIT), prediction

    return Pairs("detect", tuple(classes), cases, missing, read, has_areas=False)


# ---- landmarks


def pair_landmarks(targets: Path, predictions: Path, strict: bool) -> Pairs:
    """Pair Unity label JSON of targets, and of predictions with or without a score per name."""
    labels = unity_labels.read_unity_labels(targets)
    predicted = unity_predictions.read_unity_predictions(predictions)
    names = tuple(sorted(labels.seen))
    if not names:
        raise DataError(f"{targets}: expected a point or a curve, got none")
    cases, missing = match_cases(labels.images, predicted, predictions, strict)
    if missing:
        raise DataError(
            f"{predictions}: expected a place for every name in every image, got none in "
            f"{missing[0]!r} ({len(missing)} such); write the most likely one, whatever its score"
        )

    def read(case: str) -> tuple[Size, Target, Target]:
        prediction = unity_predictions.parse_prediction(
            predicted[case], names, f"{predictions}: {case}"
        )
        return UNIT, labels.landmarks(case, names), prediction

    return Pairs("landmark", names, cases, missing, read)
