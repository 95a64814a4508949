"""Rules of a layout's `index`: what the records of a release must be."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

from usbench.datasets.check.findings import Finding, finding_of_error
from usbench.datasets.dataset import require_plain_names
from usbench.errors import DataError
from usbench.types import SPLITS, TASKS, Layout, Record


def check_layout(layout: object) -> list[Finding]:
    """An error for what isn't a `Layout`, or writes the targets of no task."""
    if not isinstance(layout, Layout):
        expected = "expected a class that inherits from usbench.types.Layout"
        return [Finding("error", "layout", f"{expected}, got {type(layout).__name__}")]
    if layout.written_as not in (None, *TASKS):
        expected = f"written_as: expected {', '.join(TASKS)} or None"
        return [Finding("error", "layout", f"{expected}, got {layout.written_as!r}")]
    return []


def check_classes(layout: Layout, named: Sequence[str] | None) -> list[Finding]:
    """An error where `classes` isn't a tuple of different names, or has others than the YAML.

    Args:
        layout: after its `index`, which may set them.
        named: the YAML's; None: the release names them itself.
    """
    classes = getattr(layout, "classes", None)
    names = classes if isinstance(classes, tuple) else ()
    if not names or len({*names}) < len(names) or not all(isinstance(n, str) for n in names):
        expected = "expected a tuple of different names"
        return [Finding("error", "classes", f"{expected}, got {classes!r}")]
    if named and tuple(named) != names:
        expected = f"expected those of the YAML in its order ({', '.join(named)})"
        return [Finding("error", "classes", f"{expected}, got {', '.join(names)}")]
    return []


def check_names(records: Sequence[object], root: Path) -> list[Finding]:
    """An error for what is no `Record`, or has an id, group or path that isn't plain text."""
    if not records:
        return [Finding("error", "index", "expected a list of records, got an empty one")]
    found: list[Finding] = []
    for record in records:
        if not isinstance(record, Record):
            text = f"expected usbench.types.Record, got {type(record).__name__}"
            found.append(Finding("error", "index", text))
            continue
        try:
            require_plain_names(record, root)
        except DataError as error:
            found.append(finding_of_error("index", error, root))
    return found


def check_same_records(first: Sequence[Record], second: Sequence[Record]) -> list[Finding]:
    """An error where two listings of the same files differ."""
    expected = "expected the same records each time"
    if len(first) != len(second):
        return [Finding("error", "index", f"{expected}, got {len(first)}, then {len(second)}")]
    for before, after in zip(first, second, strict=True):
        if before != after:
            return [Finding("error", "index", f"{expected}, got {before}, then {after}")]
    return []


def check_ids(records: Sequence[Record]) -> list[Finding]:
    """An error for an id that several records have, and where records aren't in order of id."""
    ids = [record.id for record in records]
    found = [
        Finding("error", "ids", f"expected every id once, got {identity!r} {count} times")
        for identity, count in Counter(ids).items()
        if count > 1
    ]
    for before, after in itertools.pairwise(ids):
        if before > after:
            text = f"expected records sorted by id, got {after!r} after {before!r}"
            return [*found, Finding("error", "ids", text)]
    return found


def check_paths(records: Sequence[Record], root: Path) -> list[Finding]:
    """An error for a path that isn't a file below the root, written with forward slashes."""
    found: list[Finding] = []
    for record in records:
        for key, path in (("image", record.image), ("label", record.label)):
            fault = None if path is None else _path_fault(path, root)
            if fault:
                found.append(Finding("error", "paths", f"{record.id}: {key}: {fault}"))
    return found


def _path_fault(path: str, root: Path) -> str | None:
    if PurePosixPath(path).is_absolute() or PureWindowsPath(path).is_absolute():
        return f"expected a path relative to the root, got {path}"
    if "\\" in path:
        return f"expected forward slashes, got {path}"
    if ".." in PurePosixPath(path).parts:
        return f"expected a path below the root, got {path}"
    return None if (root / path).is_file() else f"expected a file, found none at {path}"


def check_facts(records: Sequence[Record], folds: int | None) -> list[Finding]:
    """An error for a split, folds, a pixel size or attributes that no image can have.

    Args:
        records: of the release.
        folds: how many of its own the release has, by its YAML; None: none, or unknown.
    """
    found: list[Finding] = []
    for record in records:
        faults: dict[str, bool] = {
            f"split: expected train, val, test or None, got {record.split!r}": (
                record.split not in (None, *SPLITS)
            ),
            f"folds: expected {folds or 'some'} splits, got {record.folds}": (
                not set(record.folds) <= set(SPLITS)
                or len(record.folds) != (folds or len(record.folds))
            ),
            f"mm_per_px: expected (row, column) above 0, got {record.mm_per_px}": (
                not _is_pixel_size(record.mm_per_px)
            ),
            f"attributes: expected texts by name, got {record.attributes!r}": (
                not _has_texts(record.attributes)
            ),
        }
        found += [
            Finding("error", "facts", f"{record.id}: {text}")
            for text, is_wrong in faults.items()
            if is_wrong
        ]
    return found


def _is_pixel_size(value: object) -> bool:
    return value is None or (
        isinstance(value, tuple)
        and len(value) == 2
        and all(isinstance(side, (int, float)) and 0 < side < math.inf for side in value)
    )


def _has_texts(value: object) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(text, str) for item in value.items() for text in item
    )
