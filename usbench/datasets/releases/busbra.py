"""BUS-BRA (Gómez-Flores et al. 2024): `pairs`, with the release's five folds and its boxes.

`5-fold-cv.csv` says for each image the fold that tests it (kFold, from 1), and in valid_k whether it
trains (1), chooses (0) or tests (NaN) in fold k. `bus_data.csv` says each lesion's box, [x, y,
width, height] from 1, and each image's size.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from usbench.datasets.codecs.mask_files import Planes
from usbench.datasets.layouts.case_tables import read_keyed_rows, write_rows
from usbench.datasets.layouts.image_files import FoundImage
from usbench.datasets.layouts.pairs import Pairs
from usbench.datasets.layouts.problems import Problems
from usbench.errors import DataError
from usbench.types import Boxes, Masks, Record, Sample, Split, Target

FOLDS = 5
FILE = "BUSBRA/5-fold-cv.csv"
COLUMNS = ("ID", "Pathology", "kFold", *(f"valid_{k}" for k in range(1, FOLDS + 1)))
WORDS: dict[str, Split] = {"NaN": "test", "1": "train", "0": "val"}
BOX = re.compile(r"\[(\d+), ?(\d+), ?(\d+), ?(\d+)\]")
NEAR = 1  # px by which a box may differ from its mask's


class BusBra(Pairs):
    """See usbench.types.Layout. Its table has the attributes width, height and box."""

    name = "busbra"
    version = 1

    def __init__(self, classes: Sequence[str], **settings: Any) -> None:
        """Take the settings of `Pairs`."""
        super().__init__(classes, **settings)
        self.other_sizes: set[str] = set()  # images whose size in the table is another
        self.other_boxes: set[str] = set()  # images whose box isn't that of their mask

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        rows = read_keyed_rows(root / FILE, "ID", COLUMNS)
        records, problems = [], Problems()
        for record in super().index(root):
            row = rows.pop(Path(record.image).stem, None)
            if row is None:
                problems.add(f"{root / FILE}: expected a row of {record.image}, found none")
                continue
            words = [row[f"valid_{k}"] for k in range(1, FOLDS + 1)]
            tested = [str(k) for k, word in enumerate(words, start=1) if word == "NaN"]
            if not set(words) <= set(WORDS) or tested != [row["kFold"]]:
                problems.add(
                    f"{root / FILE}: {row['ID']}: expected 1, 0, and NaN for fold {row['kFold']} "
                    f"alone, got {', '.join(words)}"
                )
                continue
            records.append(replace(record, folds=tuple(WORDS[word] for word in words)))
        for name in rows:
            problems.add(f"{root / FILE}: expected an image of the row {name!r}, found none")
        problems.raise_any()
        return records

    def shared_files(self, root: Path) -> list[str]:
        """See usbench.types.Layout."""
        return [*super().shared_files(root), FILE]

    def read(self, root: Path, record: Record) -> Target:
        """See usbench.types.Layout. Boxes are those of the table."""
        planes = self.read_planes(root, record)
        stated = record.attributes
        if (stated["height"], stated["width"]) != tuple(map(str, planes.shape[1:])):
            self.other_sizes.add(record.id)
        box = parse_box(f"{root / record.image}: BBOX in bus_data.csv", stated["box"])
        tight = enclosing_box(planes)
        if tight is None or np.abs(tight - box).max() > NEAR:
            self.other_boxes.add(record.id)
        if self.task == "segment":
            return Masks(planes)
        label = self.classes.index(str(self.class_of[stated[str(self.class_by)]]))
        return Boxes(box[None].astype(np.float32), np.array([label], np.int64))

    def oddities(self) -> dict[str, int]:
        """See usbench.types.Layout."""
        counts = {
            "images of another size than in bus_data.csv": len(self.other_sizes),
            f"boxes that differ from their mask's by more than {NEAR} px": len(self.other_boxes),
        }
        return {**super().oddities(), **{name: count for name, count in counts.items() if count}}

    # ---- writing

    def measure(self, sample: Sample, planes: Planes) -> dict[str, str]:
        """See Pairs."""
        box = enclosing_box(planes)
        if box is None:
            raise DataError(f"sample {sample.id}: expected a lesion in every image, got none")
        x, y, right, bottom = box.tolist()
        height, width = sample.image.shape
        return {
            "box": f"[{x + 1},{y + 1},{right - x},{bottom - y}]",
            "height": str(height),
            "width": str(width),
        }

    def write_tables(self, root: Path, images: Sequence[FoundImage]) -> None:
        """See Pairs. Groups take turns as the folds' test images."""
        super().write_tables(root, images)
        groups = list(dict.fromkeys(map(self.files.group_of, images)))
        rows = []
        for picture in images:
            tested = groups.index(self.files.group_of(picture)) % FOLDS + 1
            chosen = tested % FOLDS + 1
            words = {f"valid_{k}": "1" for k in range(1, FOLDS + 1)}
            words |= {f"valid_{tested}": "NaN", f"valid_{chosen}": "0"}
            facts = {"ID": Path(picture.path).stem, "kFold": str(tested)}
            rows.append({**facts, "Pathology": picture.attributes["pathology"], **words})
        write_rows(root / FILE, COLUMNS, rows)


def parse_box(where: str, text: str) -> NDArray[np.int64]:
    """(4,) xyxy px, 0-based and half-open, of [x, y, width, height] from 1.

    Raises:
        DataError: another text.
    """
    match = BOX.fullmatch(text)
    if match is None:
        raise DataError(f"{where}: expected [x,y,width,height], got {text!r}; fetch the file again")
    x, y, width, height = map(int, match.groups())
    return np.array([x - 1, y - 1, x - 1 + width, y - 1 + height])


def enclosing_box(planes: Planes) -> NDArray[np.int64] | None:
    """(4,) xyxy px of all that is set in (C, H, W), half-open; None where nothing is."""
    rows, columns = (np.flatnonzero(planes.any(axis=axes)) for axes in ((0, 2), (0, 1)))
    if not len(rows):
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
