"""The published figures: what conf/dataset/*.yaml says of the papers' tables, read as plain YAML.

published:
  - {task: detect, name: YOLOv8, model: yolov8, recipe: kumar2025, protocol: unknown, split: test,
     scores: {map50_95: .606}, parameters: 25856899, source: doi …, verified: third-party}
published_protocols: {their-rule: "its words"}     # for protocols that no result of ours is scored by
agrees_within: .02     # figures between 0 and 1 that are no further apart may agree
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from usbench.errors import DataError
from usbench.leaderboard.agreement import WITHIN
from usbench.types import TASKS

VERIFIED = (
    "author",
    "third-party",
    "no",
)  # stated by the authors; read in someone else's copy; neither
REQUIRED = ("task", "name", "protocol", "split", "scores", "source", "verified")


@dataclass(frozen=True)
class Published:
    """One row of a paper's table, as the dataset's YAML states it."""

    task: str
    name: str  # as in the paper
    protocol: str  # ours that is the same rule, or unknown
    split: str  # test, or the name of the other data that was evaluated
    scores: Mapping[str, float]
    source: str
    verified: str  # author | third-party | no
    trained_on: str | None = None  # another dataset; null: this one
    model: str | None = None  # our model key that reproduces it
    why: str = ""  # why none does
    recipe: str | None = None
    parameters: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)  # images per split, where stated
    per_class: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    note: str = ""


@dataclass(frozen=True)
class Note:
    """Something that a reader of a dataset's figures should know."""

    kind: str  # leak | defect | groups | split | access
    description: str
    task: str = ""  # "": every task of it


@dataclass(frozen=True)
class Dataset:
    """What the board says of a dataset."""

    name: str
    title: str = ""
    licence: str = ""
    citation: str = ""
    published: tuple[Published, ...] = ()
    protocols: Mapping[str, str] = field(
        default_factory=dict
    )  # words for protocols that only published rows have
    agrees_within: float = WITHIN
    notes: tuple[Note, ...] = ()


def _published(entry: object, where: str) -> Published:
    if not isinstance(entry, dict):
        raise DataError(f"{where}: wanted a mapping, found {type(entry).__name__}")
    stated = {name: value for name, value in entry.items() if value is not None}
    known = [item.name for item in fields(Published)]
    wrong = [str(name) for name in entry if name not in known]
    missing = [name for name in REQUIRED if name not in stated]
    if wrong or missing:
        raise DataError(
            f"{where}: unknown keys {wrong}, missing keys {missing}; known are {', '.join(known)}"
        )
    if stated["verified"] is False:  # YAML reads a bare `no` so
        stated["verified"] = "no"
    if stated["task"] not in TASKS or stated["verified"] not in VERIFIED:
        task, verified = stated["task"], stated["verified"]
        raise DataError(
            f"{where}: wanted task of {TASKS}, verified of {VERIFIED}, found {task} and {verified}"
        )
    if "model" not in stated and "why" not in stated:
        raise DataError(
            f"{where}: wanted our model that reproduces the row, or `why` none does, found neither"
        )
    for scores in (stated["scores"], *stated.get("per_class", {}).values()):
        _check_scores(scores, where)
    return Published(**stated)


def _check_scores(scores: object, where: str) -> None:
    if not isinstance(scores, dict) or not scores:
        raise DataError(f"{where}: wanted scores as {{name: number}}, found {scores}")
    for name, value in scores.items():
        if (
            isinstance(value, bool)
            or not isinstance(value, (int, float))
            or not math.isfinite(value)
        ):
            raise DataError(f"{where}: wanted a number for score {name}, found {value}")


def read_datasets(conf: Path) -> list[Dataset]:
    """The datasets of conf/dataset/*.yaml by name, read as plain YAML. Raises DataError naming file and entry."""
    folder = conf / "dataset"
    if not folder.is_dir():
        raise DataError(
            f"{folder}: wanted the folder of dataset YAMLs, found none; point at it with --conf DIR"
        )
    return [_dataset(path) for path in sorted(folder.glob("*.yaml"))]


def _dataset(path: Path) -> Dataset:
    try:
        content = yaml.safe_load(path.read_text("utf-8")) or {}
    except (OSError, yaml.YAMLError, ValueError) as error:
        raise DataError(f"{path}: wanted YAML, found {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: wanted a mapping of keys, found {type(content).__name__}")
    entries, within = content.get("published") or [], content.get("agrees_within", WITHIN)
    if isinstance(within, bool) or not isinstance(within, (int, float)) or not 0 < within < 1:
        raise DataError(
            f"{path}: agrees_within: a number between 0 and 1 was wanted, found {within!r}"
        )
    words = {
        key: " ".join(str(content.get(key) or "").split())
        for key in ("title", "licence", "citation")
    }
    return Dataset(
        name=str(content.get("name", path.stem)),
        **words,
        published=tuple(
            _published(item, f"{path}: published[{n}]") for n, item in enumerate(entries)
        ),
        protocols=content.get("published_protocols") or {},
        agrees_within=float(within),
        notes=tuple(_notes(content)),
    )


def _notes(content: Mapping[str, Any]) -> Iterator[Note]:
    """What leaks, which defects are known, how it is split and had: as the YAML says them."""
    parts = {name: content.get(name) for name in ("leakage", "views", "split")}
    leak, views, split = (part if isinstance(part, dict) else {} for part in parts.values())
    for task, view in views.items():
        defects = view.get("known_defects") if isinstance(view, dict) else None
        words = [
            f"{str(name).replace('_', ' ')}: {count}" for name, count in (defects or {}).items()
        ]
        if words:
            yield Note("defect", ", ".join(words), str(task))
    said = (("leak", leak.get("description")), ("groups", content.get("unknown_groups")))
    for kind, text in (
        *said,
        ("split", split.get("description")),
        ("access", content.get("access")),
    ):
        if text:
            yield Note(kind, " ".join(str(text).split()))
