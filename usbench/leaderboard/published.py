"""The published figures: what conf/dataset/*.yaml states of the papers' tables, as plain YAML.

published:
  - {task: detect, name: YOLOv8, model: yolov8, recipe: kumar2025, protocol: unknown, split: test,
     scores: {map50_95: .606}, parameters: 25856899, source: doi …, verified: third-party}
published_protocols: {their-protocol: "its description"}  # where ours use none
agrees_within: .02     # scores between 0 and 1 that are no further apart may agree
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from usbench.datasets.codecs.readers import is_number
from usbench.datasets.config import CORRELATIONS
from usbench.errors import DataError
from usbench.io.files import JsonObject
from usbench.io.yaml_file import read_yaml
from usbench.leaderboard.agreement import TOLERANCE
from usbench.leaderboard.rows import Row
from usbench.types import TASKS, Task

# Stated by the authors; read in someone else's copy of their table; neither.
VERIFIED = ("author", "third-party", "no")
REQUIRED = {"task", "name", "protocol", "split", "scores", "source", "verified"}


@dataclass(frozen=True)
class Published:
    """One row of a paper's table, as the dataset's YAML states it."""

    task: Task
    name: str  # as in the paper
    protocol: str  # ours that is the same protocol, or unknown
    split: str  # test, or the name of the other data that was evaluated
    scores: Mapping[str, float]
    source: str
    verified: str  # author | third-party | no
    trained_on: str | None = None  # another dataset; None: this one
    model: str | None = None  # our model that reproduces it
    why: str = ""  # why none does
    recipe: str | None = None
    parameters: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)  # images per split, where stated
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Note:
    """Something that a reader of a dataset's scores should know."""

    kind: str  # leakage | overlap | defect | groups | split | access
    description: str
    task: str = ""  # "": all its tasks


@dataclass(frozen=True)
class DatasetSummary:
    """What the leaderboard shows of a dataset."""

    name: str
    title: str = ""
    licence: str = ""
    citation: str = ""
    published: tuple[Published, ...] = ()
    protocols: Mapping[str, str] = field(default_factory=dict)  # of published rows: description
    agrees_within: float = TOLERANCE
    notes: tuple[Note, ...] = ()
    tasks: tuple[Task, ...] = ()  # that models can be run on; () where there is no release
    test_only: bool = False  # nothing is trained on it
    # Test image → highest correlation with a training image, where it is .85 or more.
    correlations: Mapping[str, float] = field(default_factory=dict)

    def count_similar(self) -> dict[float, int]:
        """How many test images resemble a training image, by threshold; {} where it isn't known."""
        values = self.correlations.values()
        return {least: sum(value >= least for value in values) for least in CORRELATIONS if values}


def read_datasets(*folders: Path) -> list[DatasetSummary]:
    """The datasets of dataset/*.yaml below folders of configuration, read as plain YAML.

    A file of a later folder replaces one of the same name, as when a configuration is composed.

    Raises:
        DataError: a file or an entry is wrong; the message names it.
    """
    paths = {path.name: path for folder in folders for path in folder.glob("dataset/*.yaml")}
    return [read_dataset(paths[name]) for name in sorted(paths)]


def datasets_by_name(
    datasets: Iterable[DatasetSummary], rows: Iterable[Row]
) -> dict[str, DatasetSummary]:
    """Datasets by their name; one that only rows have is its name alone."""
    known = {row.dataset: DatasetSummary(row.dataset) for row in rows}
    return known | {dataset.name: dataset for dataset in datasets}


def read_dataset(path: Path) -> DatasetSummary:
    """One dataset. Raises what `read_datasets` raises."""
    content = read_yaml(path, DataError) or {}
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a mapping of keys, got {type(content).__name__}")
    published = [
        read_published(entry, f"{path}: published[{number}]")
        for number, entry in enumerate(content.get("published") or [])
    ]
    return DatasetSummary(
        name=str(content.get("name", path.stem)),
        title=one_line(content.get("title")),
        licence=one_line(content.get("licence")),
        citation=one_line(content.get("citation")),
        published=tuple(published),
        protocols=content.get("published_protocols") or {},
        agrees_within=read_tolerance(content, path),
        notes=tuple(read_notes(content)),
        tasks=tuple(read_tasks(content)),
        test_only=is_test_only(content.get("split")),
        correlations=read_correlations(content.get("leakage"), path),
    )


def read_tolerance(content: JsonObject, path: Path) -> float:
    """How far apart two scores between 0 and 1 may be that agree."""
    tolerance = content.get("agrees_within", TOLERANCE)
    if not is_number(tolerance, 0, 1) or tolerance in (0, 1):
        raise DataError(
            f"{path}: agrees_within: expected a number between 0 and 1, got {tolerance!r}"
        )
    return float(tolerance)


def read_correlations(leakage: object, path: Path) -> dict[str, float]:
    """The correlations of test images with training images."""
    correlations = leakage.get("correlations") if isinstance(leakage, dict) else None
    if correlations is None:
        return {}
    if not isinstance(correlations, dict) or not all(
        is_number(value, -1, 1) for value in correlations.values()
    ):
        raise DataError(
            f"{path}: leakage.correlations: expected {{image: number from -1 to 1}}, "
            f"got {correlations!r}"
        )
    return {str(image): float(value) for image, value in correlations.items()}


def read_published(entry: object, where: str) -> Published:
    """One published row. where: file and place, for messages."""
    if not isinstance(entry, dict):
        raise DataError(f"{where}: expected a mapping, got {type(entry).__name__}")
    stated = {name: value for name, value in entry.items() if value is not None}
    known = [item.name for item in fields(Published)]
    unknown = sorted(map(str, entry.keys() - known))
    missing = sorted(REQUIRED - stated.keys())
    if unknown or missing:
        raise DataError(
            f"{where}: unknown keys {unknown}, missing keys {missing}; known are {', '.join(known)}"
        )
    if stated["verified"] is False:  # how YAML reads a bare `no`
        stated["verified"] = "no"
    for key, allowed in (("task", TASKS), ("verified", VERIFIED)):
        if stated[key] not in allowed:
            raise DataError(f"{where}: {key}: expected one of {allowed}, got {stated[key]}")
    if "model" not in stated and "why" not in stated:
        raise DataError(
            f"{where}: expected `model`, ours that reproduces the row, or `why` none does; got none"
        )
    for scores in (stated["scores"], *stated.get("per_class", {}).values()):
        check_scores(scores, where)
    return Published(**stated)


def check_scores(scores: object, where: str) -> None:
    """Raise DataError unless the scores are finite numbers by name."""
    if not isinstance(scores, dict) or not scores:
        raise DataError(f"{where}: expected scores as {{name: number}}, got {scores}")
    for name, value in scores.items():
        if not is_number(value, -sys.float_info.max, sys.float_info.max):
            raise DataError(f"{where}: expected a number for score {name}, got {value}")


def read_tasks(content: JsonObject) -> Iterator[Task]:
    """The tasks whose classes are known; none of a dataset that is only drawn."""
    views = content.get("views")
    if isinstance(views, dict) and content.get("released") is not False:
        for task, view in views.items():
            if task in TASKS and isinstance(view, dict) and isinstance(view.get("classes"), list):
                yield task


def is_test_only(split: object) -> bool:
    """Whether every image tests."""
    return isinstance(split, dict) and split.get("test_only") is True


def read_notes(content: JsonObject) -> Iterator[Note]:
    """Leakage, known defects, unknown groups, split and access, as the YAML describes them."""
    views = content.get("views")
    for task, view in views.items() if isinstance(views, dict) else ():
        defects = view.get("known_defects") if isinstance(view, dict) else None
        counts = [f"{str(name).replace('_', ' ')}: {n}" for name, n in (defects or {}).items()]
        if counts:
            yield Note("defect", ", ".join(counts), str(task))
    for name, text in (content.get("overlaps") or {}).items():
        yield Note("overlap", f"{name}: {one_line(text)}")
    texts = {
        "leakage": description_of(content.get("leakage")),
        "groups": content.get("unknown_groups"),
        "split": description_of(content.get("split")),
        "access": content.get("access"),
    }
    for kind, text in texts.items():
        if text:
            yield Note(kind, one_line(text))


def description_of(part: object) -> object:
    """The description in a part of the YAML."""
    return part.get("description") if isinstance(part, dict) else None


def one_line(text: object) -> str:
    """A text of the YAML without its line breaks; "" for None."""
    return " ".join(str(text or "").split())
