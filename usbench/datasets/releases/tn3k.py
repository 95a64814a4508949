"""TN3K (Gong et al. 2023): `pairs`, with the five folds of the authors' JSON files and the
pathology of their CSV files.

`tn3k-trainval-fold0.json` and so on hold {"train": […], "val": […]}: positions in the list of the
training images, sorted by number. The test images are the same in every fold.
`label4trainval.csv` and `label4test.csv` have no header; a line is 0000.jpg,1.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from usbench.datasets.codecs.readers import is_number, read_json, read_lines
from usbench.datasets.layouts.image_files import FoundImage
from usbench.datasets.layouts.pairs import Pairs
from usbench.datasets.layouts.problems import Problems
from usbench.errors import DataError
from usbench.io.files import write_atomically
from usbench.types import Record, Split

FOLDS = 5
PARTS: tuple[Split, Split] = ("train", "val")
FOLDER = "Thyroid Dataset/tn3k"
LABELS: dict[Split, str] = {
    "train": f"{FOLDER}/label4trainval.csv",
    "test": f"{FOLDER}/label4test.csv",
}
PATHOLOGIES = {"0": "benign", "1": "malignant"}


def fold_file(fold: int) -> str:
    """The file of a fold, relative to the root."""
    return f"{FOLDER}/tn3k-trainval-fold{fold}.json"


class Tn3k(Pairs):
    """See usbench.types.Layout. Images have the attribute pathology."""

    name = "tn3k"
    version = 1

    def index(self, root: Path) -> list[Record]:
        """See usbench.types.Layout."""
        records = super().index(root)
        training = sorted((record for record in records if record.split == "train"), key=_number_of)
        folds = [read_positions(root / fold_file(fold), len(training)) for fold in range(FOLDS)]
        split_of: dict[str, tuple[Split, ...]] = {
            record.id: splits
            for record, splits in zip(training, zip(*folds, strict=True), strict=True)
        }
        tested: list[Split] = ["test"] * FOLDS
        return [replace(record, folds=split_of.get(record.id, tuple(tested))) for record in records]

    def find_images(self, root: Path) -> list[FoundImage]:
        """See Pairs. DataError, too, for an image without a pathology."""
        found = super().find_images(root)
        pathologies = {split: read_pathologies(root / file) for split, file in LABELS.items()}
        images, problems = [], Problems()
        for picture in found:
            assert picture.folder_split is not None
            pathology = pathologies[picture.folder_split].pop(Path(picture.path).name, None)
            if pathology is None:
                file = LABELS[picture.folder_split]
                problems.add(f"{root / picture.path}: expected a line in {file}, found none")
                continue
            attributes = {**picture.attributes, "pathology": pathology}
            images.append(replace(picture, attributes=attributes))
        for split, left in pathologies.items():
            for name in left:
                problems.add(
                    f"{root / LABELS[split]}: expected an image of the line {name!r}, found none"
                )
        problems.raise_any()
        return images

    def shared_files(self, root: Path) -> list[str]:
        """See usbench.types.Layout."""
        return [*super().shared_files(root), *LABELS.values(), *map(fold_file, range(FOLDS))]

    def write_tables(self, root: Path, images: Sequence[FoundImage]) -> None:
        """See Pairs. Pathologies alternate; of five training images each fold chooses one."""
        super().write_tables(root, images)
        for split, file in LABELS.items():
            names = [Path(image.path).name for image in images if image.folder_split == split]
            lines = [f"{name},{n % len(PATHOLOGIES)}\n" for n, name in enumerate(names)]
            write_atomically(root / file, "".join(lines))
        count = sum(image.split == "train" for image in images)
        for fold in range(FOLDS):
            chosen = list(range(fold, count, FOLDS))
            rest = sorted(set(range(count)).difference(chosen))
            content = {"train": rest, "val": chosen}
            write_atomically(root / fold_file(fold), json.dumps(content))


def read_pathologies(path: Path) -> dict[str, str]:
    """File name → pathology.

    Raises:
        DataError: a line is another, or names a file again.
    """
    pathologies: dict[str, str] = {}
    problems = Problems()
    for number, line in enumerate(read_lines(path, "lines of an image's name and 0 or 1"), start=1):
        name, _, code = line.strip().partition(",")
        where = f"{path}: line {number}"
        if not name:
            continue
        if code not in PATHOLOGIES:
            problems.add(f"{where}: expected a file name, a comma and 0 or 1, got {line!r}")
        elif name in pathologies:
            problems.add(f"{where}: expected every image once, got {name!r} again")
        else:
            pathologies[name] = PATHOLOGIES[code]
    problems.raise_any()
    return pathologies


def read_positions(path: Path, count: int) -> list[Split]:
    """The split of each of so many training images, by position.

    Raises:
        DataError: the file isn't such a fold, or lacks or repeats a position.
    """
    content = read_json(path, "a fold's positions")
    splits: dict[int, Split] = {}
    for part in PARTS:
        positions = content.get(part) if isinstance(content, dict) else None
        if not isinstance(positions, list):
            raise DataError(f"{path}: expected lists train and val, got no {part}")
        for position in positions:
            if not is_number(position, 0, count - 1, whole=True) or position in splits:
                raise DataError(
                    f"{path}: expected each position of 0 to {count - 1} once, got {position!r}; "
                    "is an image missing, or is this the fold of another release?"
                )
            splits[position] = part
    if len(splits) < count:
        missing = next(n for n in range(count) if n not in splits)
        raise DataError(
            f"{path}: expected each position of 0 to {count - 1} once, found no {missing}"
        )
    return [splits[position] for position in range(count)]


def _number_of(record: Record) -> int:
    return int(Path(record.image).stem)
