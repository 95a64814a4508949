"""Public releases of landmarks in CSV tables: a row for each image, its points in columns.

    parts:
      - {table: annotations/Head.csv, images: images/Head, measures: [bpd, ofd]}
    ends: {bpd: y, ofd: x}

A measure has two ends, the classes `bpd_1` and `bpd_2`, in the columns `bpd_1_x`, `bpd_1_y` and so
on. The tables don't say which end is the first, so the ends are ordered here: by x the left one is
the first, by y the upper one. A part whose folder of images isn't there is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs import image
from usbench.datasets.codecs.readers import LARGEST, NUMBER
from usbench.datasets.layouts.case_tables import Row, read_keyed_rows, write_rows
from usbench.datasets.layouts.folders import (
    list_files,
    require_split,
    require_target,
    sort_unique,
)
from usbench.datasets.layouts.problems import Problems
from usbench.errors import ConfigError, DataError
from usbench.types import (
    BLURRED,
    OFF,
    SEEN,
    Landmarks,
    Layout,
    Record,
    Sample,
    Split,
    Task,
)

AXES = {"x": 0, "y": 1}
PICTURES = (".png", ".jpg", ".jpeg")
NOWHERE = np.zeros((0, 2), np.float32)


@dataclass(frozen=True)
class Part:
    """One table and its images."""

    table: str  # relative to the root
    images: str  # the folder of its images, likewise
    measures: tuple[str, ...]


class Tables(Layout):
    """See usbench.types.Layout."""

    name = "tables"
    version = 1

    written_as: Task = "landmark"

    def __init__(
        self,
        classes: Sequence[str],
        parts: Sequence[Mapping[str, Any]],
        ends: Mapping[str, str],
        image: str,
        group: str,
        mm_per_px: str | None = None,
        split: str | None = None,
        splits: Mapping[str, Split] | None = None,
    ) -> None:
        """Check the settings.

        Args:
            classes: the ends of the measures, such as bpd_1 and bpd_2.
            parts: table, images and measures of each part.
            ends: measure → the axis, x or y, that orders its ends.
            image: the column with the name of the image's file.
            group: a regular expression; its first group in the file's name, after the part's
                folder, is the group.
            mm_per_px: the column with the side of a pixel in mm; an empty cell is unknown.
            split: the column with the split.
            splits: its words → train, val or test.

        Raises:
            ConfigError: settings that aren't possible.
        """
        self.classes, self.ends = tuple(classes), dict(ends)
        self.parts = [Part(**{**part, "measures": tuple(part["measures"])}) for part in parts]
        self.image, self.group, self.mm_per_px = image, re.compile(group), mm_per_px
        self.split, self.splits = split, dict(splits or {})
        known = [f"{measure}_{end}" for measure in ends for end in (1, 2)]
        for name in self.classes:
            if name not in known:
                raise ConfigError(f"classes: expected some of {', '.join(known)}, got {name!r}")
        if not set(ends.values()) <= set(AXES):
            raise ConfigError(f"ends={ends}: expected x or y for each measure")
        self._tables: dict[Path, dict[str, Row]] = {}

    # ---- reading

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        self._tables = {}
        records: list[Record] = []
        parts = self.present_parts(root)
        if not parts:
            folders = ", ".join(part.images for part in self.parts)
            raise DataError(f"{root}: expected images in one of {folders}, found no such folder")
        problems = Problems()
        for part in parts:
            rows = self._rows(root, part)
            files = self.list_pictures(root / part.images)
            for name in sorted(files.keys() - rows.keys()):
                problems.add(f"{files[name]}: expected a row of it in {part.table}, found none")
            for name, row in rows.items():
                if name in files:
                    records.append(self._record(root, part, name, row))
                else:
                    problems.add(
                        f"{root / part.table}: expected the image of the row {name!r} in "
                        f"{part.images}, found none"
                    )
        problems.raise_any()
        return sort_unique(records)

    def read(self, root: Path, record: Record) -> Landmarks:
        """See usbench.types.Layout."""
        part = next(part for part in self.parts if part.images == str(_folder(record.image)))
        row = self._rows(root, part).get(PurePosixPath(record.image).name)
        if row is None:
            raise DataError(f"{root / part.table}: expected a row of {record.image}, found none")
        paths = dict.fromkeys(self.classes, NOWHERE)
        state = dict.fromkeys(self.classes, OFF)
        for measure in part.measures:
            ends = self.read_ends(f"{root / part.table}: {record.image}", measure, row)
            for number in (1, 2):
                name = f"{measure}_{number}"
                state[name] = BLURRED if ends is None else SEEN
                if ends is not None:
                    paths[name] = ends[number - 1][None].astype(np.float32)
        return Landmarks(
            tuple(paths[name] for name in self.classes),
            np.array([state[name] for name in self.classes], np.int8),
        )

    def list_pictures(self, folder: Path) -> dict[str, Path]:
        """The images of a part's folder by name."""
        return {path.name: path for path in list_files(folder, *PICTURES).values()}

    def shared_files(self, root: Path) -> list[str]:
        """No others: every record's label is its table."""
        return []

    def notes(self, root: Path) -> list[str]:
        """See usbench.types.Layout."""
        present = self.present_parts(root)
        absent = [part.images for part in self.parts if part not in present]
        return [f"without the images of {', '.join(absent)}"] if absent else []

    def present_parts(self, root: Path) -> list[Part]:
        """The parts whose folder of images is there."""
        return [part for part in self.parts if (root / part.images).is_dir()]

    def _rows(self, root: Path, part: Part) -> dict[str, Row]:
        """The rows of a part's table by image, read once."""
        path = root / part.table
        if path not in self._tables:
            points = [
                f"{measure}_{end}_{axis}"
                for measure in part.measures
                for end in (1, 2)
                for axis in AXES
            ]
            more = [name for name in (self.mm_per_px, self.split) if name is not None]
            self._tables[path] = read_keyed_rows(path, self.image, [self.image, *points, *more])
        return self._tables[path]

    def _record(self, root: Path, part: Part, name: str, row: Row) -> Record:
        where = f"{root / part.table}: {name}"
        match = self.group.search(f"{part.images}/{name}")
        if match is None:
            raise DataError(
                f"{where}: expected a name that {self.group.pattern} finds a group in; rename it"
            )
        split: Split | None = None
        if self.split is not None:
            word = row[self.split]
            if word not in self.splits:
                raise DataError(
                    f"{where}: expected {', '.join(self.splits)} as {self.split}, got {word!r}"
                )
            split = self.splits[word]
        identity = str(PurePosixPath(part.images, name).with_suffix(""))
        group = "/".join(match.groups())
        path = f"{part.images}/{name}"
        return Record(identity, group, path, part.table, split, self.read_spacing(where, row))

    def read_spacing(self, where: str, row: Row) -> tuple[float, float] | None:
        """(row, column) mm per px of an image; None where the table has none."""
        if self.mm_per_px is None or not row[self.mm_per_px]:
            return None
        side = _number(f"{where}: {self.mm_per_px}", row[self.mm_per_px])
        if not 0 < side < 100:
            raise DataError(f"{where}: expected mm per pixel as {self.mm_per_px}, got {side:g}")
        return side, side

    def read_ends(self, where: str, measure: str, row: Row) -> NDArray[np.float64] | None:
        """(2, 2) x, y of a measure's ends, in order; None where the table has none."""
        cells = [[row[f"{measure}_{end}_{axis}"] for axis in AXES] for end in (1, 2)]
        flat = [*cells[0], *cells[1]]
        if not any(flat):
            return None
        if not all(flat):
            raise DataError(f"{where}: expected both ends of {measure}, got {flat}")
        ends = np.array([[_number(f"{where}: {measure}", text) for text in end] for end in cells])
        axis = AXES[self.ends[measure]]
        # The other axis decides between ends that are level.
        order = np.lexsort((ends[:, 1 - axis], ends[:, axis]))
        return np.asarray(ends[order])

    # ---- writing

    def write(self, root: Path, samples: Iterable[Sample]) -> list[Record]:
        """See usbench.types.Layout. A sample's landmarks decide its part; ids are `group_…`."""
        rows: dict[Part, list[dict[str, str]]] = {part: [] for part in self.parts}
        for sample in samples:
            marks = require_target(sample, Landmarks)
            part = self._part_of(sample, marks)
            name = self.name_picture(sample, part)
            path = root / part.images / name
            path.parent.mkdir(parents=True, exist_ok=True)
            image.write_grey(path, sample.image)
            rows[part].append({self.image: name, **self._row(sample, marks, part)})
        for part, lines in rows.items():
            if lines:
                write_rows(root / part.table, lines[0], lines)
        return self.index(root)

    def name_picture(self, sample: Sample, part: Part) -> str:
        """The name of a written image, whose id may be that of a record."""
        stem = sample.id.removeprefix(f"{part.images}/")
        return f"{stem}{PICTURES[0]}"

    def _part_of(self, sample: Sample, marks: Landmarks) -> Part:
        """The first part that has exactly the measures that are seen."""
        seen = {
            name.rpartition("_")[0]
            for name, state in zip(self.classes, marks.state, strict=True)
            if state == SEEN
        }
        for part in self.parts:
            if seen == set(part.measures):
                return part
        raise DataError(f"sample {sample.id}: expected the measures of one part, got {seen}")

    def _row(self, sample: Sample, marks: Landmarks, part: Part) -> dict[str, str]:
        row: dict[str, str] = {}
        for measure in part.measures:
            for end in (1, 2):
                (point,) = marks.paths[self.classes.index(f"{measure}_{end}")].tolist()
                for axis, value in zip(AXES, point, strict=True):
                    row[f"{measure}_{end}_{axis}"] = repr(value)
        if self.mm_per_px is not None:
            row[self.mm_per_px] = "" if sample.mm_per_px is None else repr(sample.mm_per_px[0])
        if self.split is not None:
            words = {split: word for word, split in self.splits.items()}
            row[self.split] = words[require_split(sample, words)]
        return row


def _folder(path: str) -> PurePosixPath:
    return PurePosixPath(path).parent


def _number(where: str, text: str) -> float:
    if not NUMBER.fullmatch(text) or abs(float(text)) > LARGEST:
        raise DataError(f"{where}: expected a number, got {text!r}; correct the cell")
    return float(text)
