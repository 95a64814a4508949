"""A predictions file and, beside it, the list of the images that were predicted: written together,
read with a check.

Predictions alone can't tell "nothing found" from "not predicted", hence the list. What a prediction
looks like is for the modules coco and unity to know. Image ids start at 1: the COCO evaluators take
an annotation with id 0 for none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self, TypedDict

import numpy as np

from usbench.datasets.codecs import rle
from usbench.datasets.codecs.readers import is_number, read_json, read_name, read_pixels, require
from usbench.errors import DataError
from usbench.io.files import JsonObject, replacing
from usbench.io.plain_text import has_controls
from usbench.types import Masks, Target

AddLine = Callable[[str], None]


class ImageEntry(TypedDict):
    """One predicted image."""

    id: int  # from 1, in the file's order
    file_name: str
    group: str
    height: int
    width: int


# ---- writing


class PairWriter:
    """Both files, growing on disk one entry per line, always the same bytes. Use it with `with`.

    Both appear when the block ends well, neither when it doesn't. An old list of images goes before
    the predictions change and the new one comes after them: a kill in between leaves none, which
    reading refuses.
    """

    def __init__(self, predictions: Path, images: Path, brackets: str = "[]") -> None:
        """brackets: `[]` where the predictions are a JSON list, `{}` where they are an object."""
        self.predictions, self.images, self._brackets = predictions, images, brackets
        self._names: set[str] = set()
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        """Open both files beside their places; RunError where they can't be written."""
        self._add_image, self.add_line = self._stack.enter_context(
            _open_pair(self.predictions, self.images, self._brackets)
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add_image(self, file_name: str, group: str, size: tuple[int, int]) -> int:
        """List the next image, of (height, width) px; its id.

        DataError for a name that was there before.
        """
        if file_name in self._names:
            raise DataError(
                f"{self.predictions}: expected every image once, got {file_name} twice; make the "
                "ids unique"
            )
        self._names.add(file_name)
        entry = ImageEntry(
            id=len(self._names),
            file_name=file_name,
            group=group,
            height=int(size[0]),
            width=int(size[1]),
        )
        self._add_image(json.dumps(entry, separators=(",", ":")))
        return entry["id"]


@contextmanager
def _open_pair(predictions: Path, images: Path, brackets: str) -> Iterator[tuple[AddLine, AddLine]]:
    """(add an image, add a prediction), each as JSON on one line."""
    with replacing(images) as new_images, replacing(predictions) as new_predictions:
        with (
            _open_lines(new_images, "[]") as add_image,
            _open_lines(new_predictions, brackets) as add_prediction,
        ):
            yield add_image, add_prediction
        images.unlink(missing_ok=True)


@contextmanager
def _open_lines(path: Path, brackets: str) -> Iterator[AddLine]:
    """A JSON list or object that grows on disk, one entry per line."""
    with path.open("w", encoding="ascii", newline="\n") as file:
        separator = start = f"{brackets[0]}\n"

        def add_line(line: str) -> None:
            nonlocal separator
            file.write(separator + line)
            separator = ",\n"

        yield add_line
        file.write((start if separator == start else "\n") + f"{brackets[1]}\n")


# ---- reading


@dataclass(frozen=True)
class PackedMasks:
    """One image's masks as a file holds them; a class without a plane is empty, of score 0."""

    where: str  # file and image, for the error
    shape: tuple[int, int, int]  # (classes, height, width)
    planes: list[tuple[int, str, float]]  # class, compressed run lengths, score

    def decode(self) -> Masks:
        """The masks; DataError where run lengths are damaged."""
        planes = np.zeros(self.shape, bool)
        scores = np.zeros(len(planes), np.float32)
        for label, counts, score in self.planes:
            scores[label] = score
            try:
                planes[label] = rle.decode_rle(counts, self.shape[1:])
            except ValueError as error:
                raise DataError(
                    f"{self.where}: expected the mask of class {label + 1}, got {error}; predict "
                    "again"
                ) from error
        return Masks(planes, scores)


@dataclass(frozen=True)
class PredictionFile:
    """A checked predictions file: `file[n]` is the prediction of `file.images[n]`.

    Masks are decoded when asked for.
    """

    path: Path
    images: list[ImageEntry]
    predictions: list[Target | PackedMasks]

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, n: int) -> Target:
        prediction = self.predictions[n]
        return prediction.decode() if isinstance(prediction, PackedMasks) else prediction


def read_images(path: Path) -> list[ImageEntry]:
    """The predicted images, in the file's order.

    Raises:
        DataError: a missing, cut-off or damaged list.
    """
    images: dict[str, ImageEntry] = {}
    for number, entry in enumerate(load_entries(path, "the list of predicted images"), start=1):
        where, own_id = f"{path}: entry {number}", entry.get("id")
        name, group = read_name(where, entry, "file_name"), entry.get("group")
        require(
            is_number(own_id, number, number, whole=True),
            where,
            f"id {number} (from 1, in order)",
            own_id,
        )
        require(isinstance(group, str), where, "a group", group)
        plain_group = not has_controls(str(group))
        require(plain_group, where, "a group without control characters", group)
        require(name not in images, where, "a file_name of its own", name)
        height, width = read_pixels(where, entry)
        images[name] = ImageEntry(
            id=number, file_name=name, group=str(group), height=height, width=width
        )
    return list(images.values())


def load_entries(path: Path, expected: str) -> list[JsonObject]:
    """Read a JSON list of objects; `expected` names it in the error.

    Raises:
        DataError: the file is missing, damaged or something else.
    """
    value = read_json(path, expected, "predict again")
    if not isinstance(value, list) or not {dict}.issuperset(map(type, value)):
        raise DataError(f"{path}: expected {expected}, got other JSON; predict again")
    return value
